/*
 * Old verifications go: what was asked for a day ago ([userd]
 * verification_life) is of no use, and holds an address that may be nobody's.
 */
#ifndef USERD_HOUSEKEEPING_H
#define USERD_HOUSEKEEPING_H

/* Duty; data is a connection of its own (struct speedy_db). */
long userd_housekeeping_turn(void *db);

#endif
