/* What a shopper sees of a session's device: "Chrome, Android". */
#ifndef USERD_DEVICE_H
#define USERD_DEVICE_H

#define USERD_DEVICE_SIZE 61

/*
 * A label from a User-Agent (NULL: none was sent), made of words that stand
 * here: nothing of the header itself is kept.
 */
void userd_device_label(const char *agent, char out[USERD_DEVICE_SIZE]);

#endif
