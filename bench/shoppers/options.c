/*
 * Options of shoppers. Durations take a unit (500ms, 10s, 2m) or are seconds.
 * What is wrong is told with the option's name; nothing is guessed.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: shoppers --url http://HOST:PORT [--url ...] --sale ID --tokens "
    "FILE\n"
    "                [options]\n"
    "       shoppers --url http://HOST:PORT --get PATH [options]\n"
    "\n"
    "what is bought\n"
    "  --sale ID             POST /api/v1/sales/ID/orders\n"
    "  --variants A,B        in turn, or A=70,B=30 by weight (default: "
    "default)\n"
    "  --quantity N          units of each purchase (1)\n"
    "  --limit N             count it as broken when a user gets more units\n"
    "by whom\n"
    "  --tokens FILE         a token a line; line n belongs to shopper n\n"
    "  --users FIRST-LAST    the shoppers' ids (else the tokens' sub)\n"
    "  --shoppers N          (default: number of tokens or of users)\n"
    "  --key-prefix TEXT     of the idempotency keys (default: random)\n"
    "how\n"
    "  --arrival instant     every shopper at the start, once (default)\n"
    "            steady:RATE open loop, RATE purchases a second\n"
    "            closed      each connection begins again when it is done\n"
    "  --connections N       at the most (default: as needed, bounded by the\n"
    "                        limit of open files; shoppers wait their turn)\n"
    "  --duration T          begin no purchase after T\n"
    "  --requests N          purchases to begin\n"
    "  --timeout T           of one answer (10s)\n"
    "  --max-rps R           requests a second, retries included\n"
    "  --max-active N        unfinished purchases at the most (200000)\n"
    "  --start-at MS         Unix time in milliseconds\n"
    "  --seed N              of every random choice\n"
    "after an answer\n"
    "  --no-retry            every answer is final (default: 429, 502, 503, "
    "504,\n"
    "                        reset and timeout are tried again, same key)\n"
    "  --retry-code CODE     try again after this code too (sale_not_open)\n"
    "  --retry-every T       try again each T after the shopper's own start,\n"
    "                        whatever Retry-After says\n"
    "  --give-up T           final after T without a final answer (60s)\n"
    "  --repeat-same PCT     send the same key again after the final answer\n"
    "  --repeat-new PCT      buy again with a new key\n"
    "plain requests, for comparison\n"
    "  --get PATH | --post PATH | --head PATH     no key, no retry, closed "
    "loop\n"
    "  --body TEXT           at most 4 KiB; {n} in it is the request's number\n"
    "  --header 'Name: value'  more headers, of any request\n"
    "output\n"
    "  --log FILE            client log: a JSON object for every answer\n"
    "  --json                the summary as JSON\n"
    "\n"
    "exit: 0 done, 1 an answer contradicted an earlier one, 2 wrong usage\n";

enum {
    OPT_URL = 256,
    OPT_SALE,
    OPT_VARIANTS,
    OPT_QUANTITY,
    OPT_LIMIT,
    OPT_TOKENS,
    OPT_USERS,
    OPT_SHOPPERS,
    OPT_KEY_PREFIX,
    OPT_ARRIVAL,
    OPT_CONNECTIONS,
    OPT_DURATION,
    OPT_REQUESTS,
    OPT_TIMEOUT,
    OPT_MAX_RPS,
    OPT_MAX_ACTIVE,
    OPT_START_AT,
    OPT_SEED,
    OPT_RETRY,
    OPT_NO_RETRY,
    OPT_RETRY_CODE,
    OPT_RETRY_EVERY,
    OPT_GIVE_UP,
    OPT_REPEAT_SAME,
    OPT_REPEAT_NEW,
    OPT_GET,
    OPT_POST,
    OPT_HEAD,
    OPT_BODY,
    OPT_HEADER,
    OPT_LOG,
    OPT_JSON,
    OPT_HELP
};

static const struct option table[] = {
    {"url", 1, NULL, OPT_URL},
    {"sale", 1, NULL, OPT_SALE},
    {"variants", 1, NULL, OPT_VARIANTS},
    {"quantity", 1, NULL, OPT_QUANTITY},
    {"limit", 1, NULL, OPT_LIMIT},
    {"tokens", 1, NULL, OPT_TOKENS},
    {"users", 1, NULL, OPT_USERS},
    {"shoppers", 1, NULL, OPT_SHOPPERS},
    {"key-prefix", 1, NULL, OPT_KEY_PREFIX},
    {"arrival", 1, NULL, OPT_ARRIVAL},
    {"connections", 1, NULL, OPT_CONNECTIONS},
    {"duration", 1, NULL, OPT_DURATION},
    {"requests", 1, NULL, OPT_REQUESTS},
    {"timeout", 1, NULL, OPT_TIMEOUT},
    {"max-rps", 1, NULL, OPT_MAX_RPS},
    {"max-active", 1, NULL, OPT_MAX_ACTIVE},
    {"start-at", 1, NULL, OPT_START_AT},
    {"seed", 1, NULL, OPT_SEED},
    {"retry", 0, NULL, OPT_RETRY},
    {"no-retry", 0, NULL, OPT_NO_RETRY},
    {"retry-code", 1, NULL, OPT_RETRY_CODE},
    {"retry-every", 1, NULL, OPT_RETRY_EVERY},
    {"give-up", 1, NULL, OPT_GIVE_UP},
    {"repeat-same", 1, NULL, OPT_REPEAT_SAME},
    {"repeat-new", 1, NULL, OPT_REPEAT_NEW},
    {"get", 1, NULL, OPT_GET},
    {"post", 1, NULL, OPT_POST},
    {"head", 1, NULL, OPT_HEAD},
    {"body", 1, NULL, OPT_BODY},
    {"header", 1, NULL, OPT_HEADER},
    {"log", 1, NULL, OPT_LOG},
    {"json", 0, NULL, OPT_JSON},
    {"help", 0, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int bad(const char *option, const char *value, const char *why)
{
    fprintf(stderr, "shoppers: --%s %s: %s\n", option, value, why);
    return 2;
}

static bool parse_u64(const char *s, uint64_t max, uint64_t *n)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno != 0 || end == s || *end != '\0' || s[0] == '-' || v > max) {
        return false;
    }
    *n = v;
    return true;
}

static bool parse_double(const char *s, double min, double max, double *d)
{
    char *end;

    double v = strtod(s, &end);
    if (end == s || *end != '\0' || !(v >= min && v <= max)) {
        return false;
    }
    *d = v;
    return true;
}

static bool parse_duration(const char *s, uint64_t *ns)
{
    char *end;
    double unit;

    double v = strtod(s, &end);
    if (end == s || !(v >= 0 && v <= 1e6)) {
        return false;
    }
    if (*end == '\0' || strcmp(end, "s") == 0) {
        unit = 1e9;
    } else if (strcmp(end, "ms") == 0) {
        unit = 1e6;
    } else if (strcmp(end, "m") == 0) {
        unit = 60e9;
    } else {
        return false;
    }
    *ns = (uint64_t)(v * unit);
    return true;
}

static bool parse_url(struct target *t, const char *url)
{
    static const char scheme[] = "http://";
    char host[256];
    char port[8] = "80";

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0) {
        return false;
    }
    const char *p = url + sizeof(scheme) - 1;
    size_t len = strcspn(p, "/");
    if (len == 0 || len >= sizeof(t->host) ||
        (p[len] == '/' && p[len + 1] != '\0')) {
        return false;
    }
    memcpy(t->host, p, len);
    t->host[len] = '\0';

    const char *colon = strrchr(t->host, ':');
    size_t host_len = len;
    if (colon != NULL && strchr(colon, ']') == NULL) {
        host_len = (size_t)(colon - t->host);
        snprintf(port, sizeof(port), "%.7s", colon + 1);
    }
    bool literal6 = t->host[0] == '[';
    if (literal6 && host_len < 3) {
        return false;
    }
    snprintf(host, sizeof(host), "%.*s", (int)host_len - (literal6 ? 2 : 0),
             t->host + (literal6 ? 1 : 0));

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return false;
    }
    memcpy(&t->addr, found->ai_addr, found->ai_addrlen);
    t->addrlen = found->ai_addrlen;
    freeaddrinfo(found);
    t->url = url;
    return true;
}

static bool parse_variants(struct options *o, const char *list)
{
    o->nvariants = 0;

    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        size_t id = strcspn(list, ",=");
        if (id == 0 || id > 40 || o->nvariants == OPTIONS_VARIANTS_MAX) {
            return false;
        }
        struct variant *v = &o->variants[o->nvariants++];
        memcpy(v->id, list, id);
        v->id[id] = '\0';
        v->weight = 1;
        if (id < len) {
            char number[16];
            uint64_t n;
            snprintf(number, sizeof(number), "%.*s", (int)(len - id - 1),
                     list + id + 1);
            if (!parse_u64(number, 1000000, &n)) {
                return false;
            }
            v->weight = (unsigned)n;
            o->weighted = true;
        }
        list += len;
        if (*list == ',') {
            list++;
        }
    }

    return o->nvariants > 0;
}

static bool parse_users(struct options *o, const char *s)
{
    char first[24];
    const char *dash = strchr(s, '-');

    if (dash == NULL) {
        return false;
    }
    snprintf(first, sizeof(first), "%.*s", (int)(dash - s), s);
    o->users_given = true;
    return parse_u64(first, UINT64_MAX / 2, &o->users_first) &&
           parse_u64(dash + 1, UINT64_MAX / 2, &o->users_last) &&
           o->users_first <= o->users_last;
}

static bool parse_arrival(struct options *o, const char *s)
{
    if (strcmp(s, "instant") == 0) {
        o->arrival = ARRIVAL_INSTANT;
        return true;
    }
    if (strcmp(s, "closed") == 0) {
        o->arrival = ARRIVAL_CLOSED;
        return true;
    }
    if (strncmp(s, "steady:", 7) == 0) {
        o->arrival = ARRIVAL_STEADY;
        return parse_double(s + 7, 0.001, 1e7, &o->rate);
    }
    return false;
}

/* The options whose value is one number or one duration. */
static int set_number(struct options *o, int c, const char *name, const char *v)
{
    uint64_t n = 0;
    bool ok;

    switch (c) {
    case OPT_QUANTITY:
        ok = parse_u64(v, UINT32_MAX, &n);
        o->quantity = (unsigned)n;
        break;
    case OPT_LIMIT:
        ok = parse_u64(v, 65535, &n);
        o->limit = (unsigned)n;
        break;
    case OPT_SHOPPERS:
        ok = parse_u64(v, 100000000, &o->shoppers) && o->shoppers > 0;
        break;
    case OPT_CONNECTIONS:
        ok = parse_u64(v, 1000000, &o->connections) && o->connections > 0;
        break;
    case OPT_REQUESTS:
        ok = parse_u64(v, UINT64_MAX / 2, &o->requests) && o->requests > 0;
        break;
    case OPT_MAX_ACTIVE:
        ok = parse_u64(v, 10000000, &o->max_active) && o->max_active > 0;
        break;
    case OPT_SEED:
        ok = parse_u64(v, UINT64_MAX, &o->seed);
        break;
    case OPT_START_AT:
        ok = parse_u64(v, INT64_MAX, &n);
        o->start_at_ms = (int64_t)n;
        break;
    case OPT_DURATION:
        ok = parse_duration(v, &o->duration_ns) && o->duration_ns > 0;
        break;
    case OPT_TIMEOUT:
        ok = parse_duration(v, &o->timeout_ns) && o->timeout_ns > 0;
        break;
    case OPT_RETRY_EVERY:
        ok = parse_duration(v, &o->retry_every_ns) && o->retry_every_ns > 0;
        break;
    case OPT_GIVE_UP:
        ok = parse_duration(v, &o->give_up_ns);
        break;
    case OPT_MAX_RPS:
        ok = parse_double(v, 0.001, 1e7, &o->max_rps);
        break;
    case OPT_REPEAT_SAME:
        ok = parse_double(v, 0, 100, &o->repeat_same);
        o->repeat_same /= 100;
        break;
    case OPT_REPEAT_NEW:
        ok = parse_double(v, 0, 100, &o->repeat_new);
        o->repeat_new /= 100;
        break;
    default:
        return 2;
    }

    return ok ? 0 : bad(name, v, "not a number in range");
}

static int set_option(struct options *o, int c, const char *name, const char *v)
{
    switch (c) {
    case OPT_URL:
        if (o->nurls == OPTIONS_URLS_MAX) {
            return bad(name, v, "too many");
        }
        return parse_url(&o->urls[o->nurls++], v)
                   ? 0
                   : bad(name, v, "not http://HOST[:PORT] that resolves");
    case OPT_VARIANTS:
        return parse_variants(o, v) ? 0 : bad(name, v, "not A,B or A=1,B=2");
    case OPT_USERS:
        return parse_users(o, v) ? 0 : bad(name, v, "not FIRST-LAST");
    case OPT_ARRIVAL:
        return parse_arrival(o, v)
                   ? 0
                   : bad(name, v, "not instant, steady:RATE or closed");
    case OPT_RETRY_CODE:
        if (o->nretry_codes == OPTIONS_RETRY_CODES_MAX) {
            return bad(name, v, "too many");
        }
        o->retry_codes[o->nretry_codes++] = v;
        return 0;
    case OPT_HEADER:
        if (o->nheaders == OPTIONS_HEADERS_MAX || strpbrk(v, "\r\n") ||
            strlen(v) > 1024) {
            return bad(name, v, "too many, too long or with a line feed");
        }
        o->headers[o->nheaders++] = v;
        return 0;
    case OPT_GET:
    case OPT_POST:
    case OPT_HEAD:
        o->raw_method = c == OPT_GET ? "GET" : c == OPT_POST ? "POST" : "HEAD";
        o->raw_path = v;
        return v[0] == '/' && strlen(v) <= 4096 && strpbrk(v, " \r\n") == NULL
                   ? 0
                   : bad(name, v, "not a path");
    case OPT_SALE:
        o->sale = v;
        return strlen(v) <= 200 && strpbrk(v, " \r\n") == NULL
                   ? 0
                   : bad(name, v, "not an id");
    case OPT_TOKENS:
        o->tokens = v;
        return 0;
    case OPT_KEY_PREFIX:
        o->key_prefix = v;
        return strlen(v) <= 24 ? 0 : bad(name, v, "more than 24 characters");
    case OPT_BODY:
        o->raw_body = v;
        return strlen(v) <= 4096 ? 0 : bad(name, v, "more than 4096 bytes");
    case OPT_LOG:
        o->log = v;
        return 0;
    case OPT_RETRY:
        o->retry = true;
        return 0;
    case OPT_NO_RETRY:
        o->retry = false;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    default:
        return set_number(o, c, name, v);
    }
}

static int check_options(struct options *o, bool arrival_given)
{
    if (o->nurls == 0 || (o->sale == NULL && o->raw_path == NULL)) {
        fputs(usage, stderr);
        return 2;
    }
    if (o->sale != NULL && o->raw_path != NULL) {
        return bad("sale", o->sale, "not together with --get, --post, --head");
    }

    if (o->raw_path != NULL) {
        o->retry = false;
        if (!arrival_given) {
            o->arrival = ARRIVAL_CLOSED;
        }
        if (o->duration_ns == 0 && o->requests == 0) {
            return bad("get", o->raw_path, "needs --duration or --requests");
        }
    }
    if (o->arrival == ARRIVAL_CLOSED && o->connections == 0) {
        o->connections = 64;
    }
    return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
    bool arrival_given = false;
    int index = 0;
    int c;

    memset(o, 0, sizeof(*o));
    o->quantity = 1;
    o->timeout_ns = 10000000000ULL;
    o->give_up_ns = 60000000000ULL;
    o->max_active = 200000;
    o->retry = true;
    memcpy(o->variants[0].id, "default", 8);
    o->variants[0].weight = 1;
    o->nvariants = 1;

    while ((c = getopt_long(argc, argv, "", table, &index)) != -1) {
        if (c == OPT_HELP) {
            fputs(usage, stdout);
            return -1;
        }
        if (c == '?') {
            fputs("shoppers: see --help\n", stderr);
            return 2;
        }
        arrival_given |= c == OPT_ARRIVAL;
        int rc = set_option(o, c, table[index].name, optarg);
        if (rc != 0) {
            return rc;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "shoppers: unknown argument %s\n", argv[optind]);
        return 2;
    }

    return check_options(o, arrival_given);
}
