/*
 * Payments whose outcome is open are asked about until it is known: rows are
 * taken by whichever instance comes first, for the time that an inquiry may
 * take.
 */
#ifndef PAYD_RECONCILE_H
#define PAYD_RECONCILE_H

/* Duty; data: a connection of its own. */
long payd_reconcile_turn(void *data);
/* Duty: gauges and alarms; data: a connection of its own. */
long payd_watch_turn(void *data);

#endif
