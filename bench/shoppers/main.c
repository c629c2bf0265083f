/*
 * shoppers: the load of a flash sale. Many shoppers, each with a token of its
 * own, buy through one or more gateways as real clients do: they keep their
 * connection, wait for the opening, retry with the same Idempotency-Key, and
 * leave a line in a client log for every answer. One thread, one epoll.
 *
 * main.c       options, signals, summary, exit code
 * options.c    the command line
 * tokens.c     tokens and user ids
 * shopper.c    arrivals, retries, repeats, what an answer must not contradict
 * gateway.c    connections, queues, time-outs
 * http.c       responses
 * histogram.c, tally.c, clientlog.c    what is told afterwards
 *
 * With --get, --post or --head it sends plain requests, so that a benchmark
 * can compare a handler with nginx's own `return` by the same tool.
 */
#include "clientlog.h"
#include "options.h"
#include "shopper.h"
#include "tally.h"
#include "tokens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int stop;

static void on_signal(int signo)
{
    (void)signo;
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = on_signal;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

int main(int argc, char **argv)
{
    static struct options o;
    static struct tally tally;
    struct clientlog *log = NULL;
    struct shopping *s = NULL;
    int status = 2;

    int rc = options_parse(&o, argc, argv);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }

    struct tokens *tokens = tokens_open(&o);
    if (tokens == NULL) {
        return 2;
    }
    if (o.log != NULL) {
        log = clientlog_open(o.log);
        if (log == NULL) {
            goto out;
        }
    }
    s = shopping_new(&o, tokens, log, &tally);
    if (s == NULL) {
        fputs("shoppers: out of memory\n", stderr);
        goto out;
    }

    catch_signals();
    status = shopping_run(s, &stop) == 0 ? 0 : 1;
    if (status == 0) {
        tally_print(&tally, &o);
    }
    if (tally.violations > 0) {
        status = 1;
    }

out:
    shopping_free(s);
    if (log != NULL && clientlog_close(log) != 0) {
        status = 1;
    }
    tokens_close(tokens);
    return status;
}
