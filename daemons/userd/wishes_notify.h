/*
 * "Notify me when it opens": a duty that asks productd which sales will open,
 * and queues a mail `sale_opens` for everybody who wished for the product and
 * asked to be told, [userd] notify_ahead before the opening.
 *
 * Once for a user and a sale, ever: who was told of a sale that is then
 * postponed is not told again; who was not told before is, ahead of its new
 * time. A sale that was made later than notify_ahead before its opening is
 * told of at the next look, and so is whoever asks late. A paused sale is not
 * told of until it is resumed. A mail is of no use after the opening.
 */
#ifndef USERD_WISHES_NOTIFY_H
#define USERD_WISHES_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/json.h"
#include "../shop/names.h"

#define USERD_NOTIFY_BATCH 500 /* wishes of one transaction */

struct userd_notify_sale {
    char id[SPEEDY_ID_MAX + 1], product[SPEEDY_ID_MAX + 1];
    int64_t opens_at;
    char *params; /* of its mails */
    bool done;    /* with its round, or another userd is at it */
};

struct userd_notifier {
    struct speedy_db *db; /* this duty's alone; the rest starts as zero */
    /* of wishes_notify.c: */
    struct userd_notify_sale *sale; /* that are to be told of now */
    size_t count, size;
    struct {
        char user[SPEEDY_ID_MAX + 1];
        bool tell;
    } page[USERD_NOTIFY_BATCH];
    size_t page_count;
    bool away; /* productd; it was logged */
};

/* Shows the metrics before the first turn. */
void userd_notify_metrics(void);
/* A duty (speedy_duty_start); any number of instances. */
long userd_notify_turn(void *notifier);
void userd_notify_free(struct userd_notifier *n);

#endif
