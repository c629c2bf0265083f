/* A shopper's address, asked of userd. */
#ifndef PAYD_ADDRESS_H
#define PAYD_ADDRESS_H

#include "rows.h"

int payd_address_init(void);
void payd_address_free(void);
/* 0; PAYD_A_NO_ADDRESS of attempt_rows.h; or SPEEDY_DB_RETRY: no answer. */
int payd_address_read(const char *user, const unsigned char id[16],
                      const char *request_id, struct payd_recipient *to);

#endif
