/* What the code under test writes to stderr, as a text. */
#ifndef CAPTURE_H
#define CAPTURE_H

/* From here on stderr goes to a file. */
void capture_start(void);
/* What was written since; stderr is the old one again. Valid until the next
 * call. */
const char *capture_stop(void);

#endif
