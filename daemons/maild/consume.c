/*
 * Which mail a record names does not matter: the sender takes what is due,
 * that which is soon of no use first. The wake-up is an eventfd, which counts
 * while the sender is busy.
 */
#include "consume.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/mail.h"
#include "metrics.h"

#define READ_MS 500
#define SLICE_MS 250 /* how soon a stop is noticed */

static int wake_fd = -1;

int maild_wake_init(void)
{
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake_fd < 0 ? -1 : 0;
}

void maild_wake(void)
{
    uint64_t one = 1;

    /* refused only when the count is full: then it is readable anyway */
    if (write(wake_fd, &one, sizeof(one)) < 0)
        return;
}

void maild_wake_wait(long ms)
{
    struct pollfd p = {.fd = wake_fd, .events = POLLIN};
    int64_t until = speedy_now_boot() + ms;
    uint64_t count;

    while (!speedy_stopping()) {
        int64_t left = until - speedy_now_boot();

        if (left <= 0)
            return;
        if (poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS) == 1 &&
            read(wake_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
            return;
    }
}

long maild_consume_turn(void *group)
{
    rd_kafka_message_t *m = speedy_group_read(group, READ_MS);

    unsigned char id[16];

    if (m == NULL)
        return 0;
    if (speedy_mail_record_parse(m->payload, m->len, id) != 0)
        speedy_log(SPEEDY_WARN, "a record that names no mail",
                   "partition=%d offset=%lld", m->partition,
                   (long long)m->offset);
    rd_kafka_message_destroy(m);
    maild_metrics_record();
    maild_wake();
    return 0;
}
