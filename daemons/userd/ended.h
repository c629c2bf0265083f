/*
 * Ended sessions, from MySQL (the truth) into Redis, where gateways look them
 * up: a duty that looks for rows every 500 ms, and at once when a request has
 * ended some. It writes the whole list when Redis has lost it or another one
 * took its place, and once a minute anyway, which heals whatever a crash at
 * the wrong moment left out.
 */
#ifndef USERD_ENDED_H
#define USERD_ENDED_H

struct userd_ended;

/* NULL when a secret cannot be read. */
struct userd_ended *userd_ended_new(void);
void userd_ended_free(struct userd_ended *e);
/* Duty. */
long userd_ended_turn(void *ended);

/*
 * After the commit of what ended sessions, before answering: waits until they
 * are in Redis, or 500 ms (the duty goes on trying). Any thread.
 */
void userd_ended_publish(void);

#endif
