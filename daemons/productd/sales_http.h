/*
 * A sale in JSON, as shoppers and as the staff see it.
 */
#ifndef PRODUCTD_SALES_HTTP_H
#define PRODUCTD_SALES_HTTP_H

#include "../common/json.h"
#include "../shop/sale.h"

/*
 * The whole sale for the staff, without its closing brace; left of each
 * variant as speedy_sale_read_redis() found it.
 */
void productd_sale_write_staff(struct speedy_buf *b,
                               const struct speedy_sale *s);

#endif
