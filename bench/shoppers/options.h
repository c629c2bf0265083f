/* The command line of shoppers, checked and in the units of the program. */
#ifndef SHOPPERS_OPTIONS_H
#define SHOPPERS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define OPTIONS_URLS_MAX 16
#define OPTIONS_VARIANTS_MAX 64
#define OPTIONS_RETRY_CODES_MAX 16
#define OPTIONS_HEADERS_MAX 16

enum arrival { ARRIVAL_INSTANT, ARRIVAL_STEADY, ARRIVAL_CLOSED };

struct target {
    const char *url; /* as given, without a path */
    char host[256];  /* the Host header */
    struct sockaddr_storage addr;
    socklen_t addrlen;
};

struct variant {
    char id[41];
    unsigned weight;
};

struct options {
    struct target urls[OPTIONS_URLS_MAX];
    unsigned nurls;

    const char *sale;
    struct variant variants[OPTIONS_VARIANTS_MAX];
    unsigned nvariants;
    bool weighted;
    unsigned quantity;
    unsigned limit; /* 0: not checked */

    const char *raw_method; /* not NULL: plain requests on raw_path */
    const char *raw_path;
    const char *raw_body;
    const char *headers[OPTIONS_HEADERS_MAX];
    unsigned nheaders;

    const char *tokens;
    bool users_given;
    uint64_t users_first;
    uint64_t users_last;
    const char *key_prefix;

    uint64_t shoppers;
    uint64_t connections; /* 0: as many as are needed and allowed */
    enum arrival arrival;
    double rate;
    uint64_t duration_ns; /* 0: none */
    uint64_t requests;    /* purchases to start, 0: none given */
    uint64_t timeout_ns;
    uint64_t max_active;
    double max_rps;

    bool retry;
    uint64_t give_up_ns;
    uint64_t retry_every_ns; /* 0: Retry-After or a backoff */
    const char *retry_codes[OPTIONS_RETRY_CODES_MAX];
    unsigned nretry_codes;
    double repeat_same; /* 0..1 */
    double repeat_new;

    int64_t start_at_ms; /* Unix time, 0: at once */
    const char *log;
    bool json;
    uint64_t seed;
};

/* 0, or the exit code of the program after a message on stderr; -1: --help. */
int options_parse(struct options *o, int argc, char **argv);

#endif
