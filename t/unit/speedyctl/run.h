/* A command of speedyctl, run as main() would, in this process. */
#ifndef SPEEDYCTL_RUN_H
#define SPEEDYCTL_RUN_H

/*
 * The words after `speedyctl`, ended by NULL. The exit code; what it printed
 * is kept until the next call.
 */
int run(const char *first, ...) __attribute__((sentinel));
extern char run_out[65536];

/* The settings as their defaults are. */
void run_settings(void);

#endif
