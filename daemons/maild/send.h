/* The sender: one mail after the other, over one connection. */
#ifndef MAILD_SEND_H
#define MAILD_SEND_H

#include "../common/http_client.h"
#include "claim.h"
#include "smtp.h"
#include "templates.h"

struct maild_sender {
    struct maild_rows rows;
    struct maild_smtp *smtp;
    struct speedy_client *userd;
    const struct maild_templates *templates;
    /* nothing is sent before (boot time), because of the account */
    int64_t paused_until;
    /* the same, because a server is in trouble; doubled each time */
    int64_t cool_until;
    long cool_ms;
};

/* Duty; data: struct maild_sender. */
long maild_send_turn(void *sender);

/*
 * Duty beside it, so that a stalled server does not hide the queue: ends what
 * is of no use any more, and counts. data: its own struct speedy_db.
 */
long maild_watch_turn(void *db);
/* Boot time of MySQL's last answer to it; 0: none yet. */
int64_t maild_watch_answered(void);

#endif
