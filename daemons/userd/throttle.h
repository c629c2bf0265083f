/*
 * Guessing passwords: tries are counted for the name that was given, whether
 * or not anybody has it, so that being slowed down tells nothing either.
 *
 * A try is counted as failed *before* its password is looked at, by one
 * atomic statement: a thousand guesses at once are not judged together. From
 * the fifth failure on the next try waits: 5 s, doubled with each, 15 minutes
 * at the most ([userd] login_…). Failures are forgotten by the right password
 * or after a day without one.
 */
#ifndef USERD_THROTTLE_H
#define USERD_THROTTLE_H

#include "../common/db.h"
#include "../common/seal.h"

#define USERD_SUBJECT SPEEDY_BLIND_INDEX

/* Of a name of one kind: "login" (an address), "password" (a user id)… */
void userd_throttle_subject(const char *kind, const char *name,
                            unsigned char subject[USERD_SUBJECT]);

/*
 * 1: counted, judge it; 0: too early, *seconds until it is not; else enum
 * speedy_db_status. Outside a transaction.
 */
int userd_throttle_take(struct speedy_db *db,
                        const unsigned char subject[USERD_SUBJECT],
                        long *seconds);
/* It was the right password. enum speedy_db_status. */
int userd_throttle_clear(struct speedy_db *db,
                         const unsigned char subject[USERD_SUBJECT]);
/* It was not judged at all (the hasher was busy): no failure. */
void userd_throttle_return(struct speedy_db *db,
                           const unsigned char subject[USERD_SUBJECT]);

#endif
