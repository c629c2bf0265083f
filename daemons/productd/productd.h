/*
 * What the files of productd share.
 */
#ifndef PRODUCTD_H
#define PRODUCTD_H

#include "../common/conf.h"
#include "../common/db.h"
#include "../common/http_server.h"
#include "../common/stores.h"
#include "../shop/sale.h"

#define PRODUCTD_ROLE "productd"
#define PRODUCTD_OFFSET_MIN 540 /* Seoul */
#define PRODUCTD_LIMIT_DEFAULT 20
#define PRODUCTD_LIMIT_MOST 100
#define PRODUCTD_JSON_MOST 65536
#define PRODUCTD_IMAGE_MOST 5242880

struct productd_settings {
    long http_connections, mysql_connections, max_age, stale;
    char *images;
};
extern struct productd_settings productd_settings;
extern const struct speedy_setting productd_settings_table[];

extern const struct speedy_route productd_routes[];

/* --- answer.c: what handlers answer alike --- */

void productd_unavailable(struct speedy_request *r);
/* 400 with one entry of errors[]; returns -1. */
int productd_bad(struct speedy_request *r, const char *pointer,
                 const char *code, const char *title);
/*
 * Ends an answer that all may see: 200, Cache-Control, an ETag over the body,
 * 304 when the client has it. What stands behind `same` (server_time, which
 * differs each time) is not part of the tag; NULL: all is.
 */
void productd_public(struct speedy_request *r, size_t same);
/* Ends an answer to the staff: 200 or 201, never stored; version > 0: ETag. */
void productd_private(struct speedy_request *r, int status, int64_t version);
/* `?limit=`: 0, or -1 after answering 400. */
int productd_limit(struct speedy_request *r, int *limit);
/* Milliseconds as JSON, null for 0. */
void productd_time(struct speedy_buf *b, int64_t ms);
/* Refuses a parameter that is not among the names: -1 after answering. */
int productd_known_query(struct speedy_request *r, const char *const *names);

/* --- cursor.c: where the next page of a list begins --- */

/* Reads <secrets>/cursor-key. 0, or -1 after logging. */
int productd_cursor_init(void);
void productd_cursor_free(void);
/* `query` names the list and its filters: a cursor is good for them alone. */
void productd_cursor_write(struct speedy_buf *out, const char *query,
                           int64_t at, const char *id);
/* 0, or -1: forged, damaged, or of another query. */
int productd_cursor_read(const char *text, const char *query, int64_t *at,
                         char id[SPEEDY_ID_MAX + 1]);

/* --- handlers --- */

/* data: non-NULL on the operators' listener, which sees hidden ones too */
void productd_products_list(struct speedy_request *r, void *staff);
void productd_product_show(struct speedy_request *r, void *staff);
void productd_sales_list(struct speedy_request *r, void *staff);
void productd_sale_show(struct speedy_request *r, void *data);
void productd_admin_sale_show(struct speedy_request *r, void *data);
void productd_admin_product_add(struct speedy_request *r, void *data);
void productd_admin_product_change(struct speedy_request *r, void *data);
void productd_admin_product_image(struct speedy_request *r, void *data);
void productd_admin_sale_create(struct speedy_request *r, void *data);
void productd_admin_sale_change(struct speedy_request *r, void *data);
void productd_admin_sale_move(struct speedy_request *r, void *verb);
void productd_admin_sale_time(struct speedy_request *r, void *verb);
void productd_admin_sale_notice(struct speedy_request *r, void *data);
void productd_admin_sale_stop_all(struct speedy_request *r, void *data);
void productd_admin_sale_stock(struct speedy_request *r, void *data);
void productd_admin_sale_release(struct speedy_request *r, void *data);
void productd_admin_sale_extend_holds(struct speedy_request *r, void *data);
void productd_admin_report(struct speedy_request *r, void *html);

#endif
