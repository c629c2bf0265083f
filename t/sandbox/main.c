/*
 * paysandbox: KakaoPay's online payment for development and tests, strict to
 * what is documented of it. Both generations of the API (open-api: JSON and
 * SECRET_KEY; legacy: form and KakaoAK) on one port, the payer's pages, and a
 * control port by which tests act as payer, set the clock, order faults and
 * read the ledger (control.c). No webhook, no look-up by order: there is none.
 *
 *   paysandbox --api [HOST:]PORT --control [HOST:]PORT --keys FILE
 *              [--pages [HOST:]PORT] [--tls CERTIFICATE,KEY] [--name HOST]
 *              [--state FILE] [--cid CID[,SECRET] ...] [--domain ORIGIN ...]
 *              [--response MS]
 *
 *   --keys    lines `secret K`, `dev K`, `admin K`: which keys are known
 *   --tls     the API's certificate and key (PEM); without it plain HTTP
 *   --pages   the payer's pages on a plain port of their own (a browser does
 *             not know the development CA); else they are on the API's
 *   --name    the host in the addresses of pages (127.0.0.1)
 *   --state   survives a kill; without it all is in memory only
 *   --cid     known CIDs (TC0ONETIME)
 *   --domain  registered origins, with * as a wildcard; without any, all are
 *
 * "ready" is written to stdout when all ports listen. Exit codes: 0 orderly
 * stop, 1 failed, 2 wrong usage.
 */
#include "sandbox.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../daemons/common/log.h"
#include "../../daemons/common/loop.h"

#define GRACE_MS 5000

const struct settings settings_usual = {
    .life_ms = 900000, .enabled = true, .failed_status = 400};
struct settings settings;
struct merchant merchant;

struct options {
    struct server_address api, pages, control;
    const char *name, *state, *keys;
};

/* [HOST:]PORT, in place. 0 or -1. */
static int address(char *text, struct server_address *a)
{
    char *colon = strrchr(text, ':'), *end;

    a->host = "127.0.0.1";
    if (colon != NULL) {
        *colon = '\0';
        a->host = text;
        text = colon + 1;
    }
    a->port = (int)strtol(text, &end, 10);
    return *end == '\0' && a->port > 0 && a->port < 65536 ? 0 : -1;
}

static int tls(char *text, struct server_address *a)
{
    char *comma = strchr(text, ',');

    if (comma == NULL)
        return -1;
    *comma = '\0';
    a->certificate = text;
    a->key = comma + 1;
    return 0;
}

static int cid_add(const char *text)
{
    size_t i = merchant.cids;

    if (i == CIDS_MAX || strcspn(text, ",") != 10 ||
        (text[10] == ',' && strlen(text + 11) != 24))
        return -1;
    snprintf(merchant.cid[i], sizeof(merchant.cid[i]), "%.10s", text);
    if (text[10] == ',')
        snprintf(merchant.cid_secret[i], sizeof(merchant.cid_secret[i]), "%s",
                 text + 11);
    merchant.cids++;
    return 0;
}

static int domain_add(const char *text)
{
    if (merchant.domains == DOMAINS_MAX)
        return -1;
    merchant.domain[merchant.domains++] = text;
    return 0;
}

static int keys_read(const char *path)
{
    char line[2 * FIXED_TEXT], what[16], key[FIXED_TEXT];
    FILE *in = fopen(path, "r");

    if (in == NULL) {
        fprintf(stderr, "paysandbox: %s can not be read\n", path);
        return -1;
    }
    while (fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "%15s %127s", what, key) != 2)
            continue;
        if (strcmp(what, "secret") == 0)
            memcpy(merchant.secret_key, key, sizeof(key));
        else if (strcmp(what, "dev") == 0)
            memcpy(merchant.dev_key, key, sizeof(key));
        else if (strcmp(what, "admin") == 0)
            memcpy(merchant.admin_key, key, sizeof(key));
    }
    fclose(in);
    return 0;
}

static int option(struct options *o, int c, char *value)
{
    switch (c) {
    case 'a':
        return address(value, &o->api);
    case 'p':
        return address(value, &o->pages);
    case 'c':
        return address(value, &o->control);
    case 't':
        return tls(value, &o->api);
    case 'n':
        o->name = value;
        return 0;
    case 's':
        o->state = value;
        return 0;
    case 'k':
        o->keys = value;
        return 0;
    case 'i':
        return cid_add(value);
    case 'd':
        return domain_add(value);
    case 'r':
        settings.response_ms = atol(value);
        return 0;
    default:
        return -1;
    }
}

static int options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"api", 1, NULL, 'a'},     {"pages", 1, NULL, 'p'},
        {"control", 1, NULL, 'c'}, {"tls", 1, NULL, 't'},
        {"name", 1, NULL, 'n'},    {"state", 1, NULL, 's'},
        {"keys", 1, NULL, 'k'},    {"cid", 1, NULL, 'i'},
        {"domain", 1, NULL, 'd'},  {"response", 1, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option(o, c, optarg) != 0)
            return -1;
    }
    if (merchant.cids == 0)
        cid_add("TC0ONETIME");
    return optind == argc && o->api.port != 0 && o->control.port != 0 &&
                   o->keys != NULL
               ? 0
               : -1;
}

static void pages_url(const struct options *o)
{
    bool own = o->pages.port != 0;

    snprintf(merchant.pages_url, sizeof(merchant.pages_url), "%s://%s:%d",
             !own && o->api.certificate != NULL ? "https" : "http",
             o->name != NULL ? o->name : "127.0.0.1",
             own ? o->pages.port : o->api.port);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct rlimit files;

    speedy_log_init("paysandbox", 1);
    speedy_loop_init();
    settings = settings_usual;
    if (options(&o, argc, argv) != 0) {
        fputs("usage: paysandbox --api [HOST:]PORT --control [HOST:]PORT "
              "--keys FILE [--pages [HOST:]PORT] [--tls CERTIFICATE,KEY] "
              "[--name HOST] [--state FILE] [--cid CID[,SECRET]] "
              "[--domain ORIGIN] [--response MS]\n",
              stderr);
        return 2;
    }
    if (keys_read(o.keys) != 0)
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    pages_url(&o);
    if ((o.state != NULL && journal_open(o.state) != 0) ||
        server_start(LISTEN_API, &o.api) != 0 ||
        (o.pages.port != 0 && server_start(LISTEN_PAGES, &o.pages) != 0) ||
        server_start(LISTEN_CONTROL, &o.control) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    speedy_loop_run(GRACE_MS);
    server_stop();
    ledger_clear();
    return 0;
}
