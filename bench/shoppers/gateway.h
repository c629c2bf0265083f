/* Connections to the gateways under test, and the queue in front of them. */
#ifndef SHOPPERS_GATEWAY_H
#define SHOPPERS_GATEWAY_H

#include "options.h"
#include "shopper.h"
#include "tally.h"

#include <stdint.h>

struct gateways;

/*
 * Borrows what it is given. `connections` is the bound over all gateways. NULL
 * after a message on stderr.
 */
struct gateways *gateways_new(const struct options *o, struct shopping *s,
                              struct tally *tally, uint64_t connections);
void gateways_free(struct gateways *g);

/* Opens up to n connections before there is a request; see gateways_ready. */
void gateways_open(struct gateways *g, uint64_t n);
uint64_t gateways_ready(const struct gateways *g);
uint64_t gateways_connecting(const struct gateways *g);

/* Queues an attempt for p->gateway; it is sent by gateways_dispatch. */
void gateways_submit(struct gateways *g, struct purchase *p);

/*
 * Sends at most `batch` of what is queued. Returns the time (ns) at which
 * there is more to do by itself: 0 at once, UINT64_MAX when only an event can
 * bring it.
 */
uint64_t gateways_dispatch(struct gateways *g, uint64_t now, unsigned batch);

/* Waits for events until `until` (ns, monotonic) and handles them. */
void gateways_wait(struct gateways *g, uint64_t until);

uint64_t gateways_now(void);

#endif
