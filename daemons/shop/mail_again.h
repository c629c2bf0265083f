/* A mail that has failed is sent again, at an operator's word. */
#ifndef SPEEDY_SHOP_MAIL_AGAIN_H
#define SPEEDY_SHOP_MAIL_AGAIN_H

#include "../common/db.h"

/*
 * Within the caller's transaction: a FAILED or EXPIRED mail is QUEUED anew,
 * with an hour at the least; one that is QUEUED does not wait any longer. 1:
 * done; 0: no such mail, or it was sent, is being sent, or has nobody to tell;
 * < 0: enum speedy_db_status.
 */
int speedy_mail_again(struct speedy_db *db, const unsigned char id[16]);

#endif
