/*
 * speedy.conf and the command line. The file is read line by line against the
 * tables of settings; whatever is wrong is told with file, line and remedy, and
 * reading goes on, so that one run shows every error. What the file does not
 * set takes its default through the same conversion. All texts live until the
 * process ends: nobody owns them but this file.
 */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto.h"
#include "kafka.h"
#include "log.h"

#define CONF_DEFAULT "/etc/speedy/speedy.conf"
#define SEEN_MAX 256
#define PATH_BYTES 512

struct speedy_conf speedy_conf;

const struct speedy_setting speedy_conf_table[] = {
    {"log", "level", SPEEDY_CONF_TEXT, &speedy_conf.log_level, "info", 0, 0},
    {"log", "format", SPEEDY_CONF_TEXT, &speedy_conf.log_format, "text", 0, 0},
    {"redis", "socket", SPEEDY_CONF_TEXT, &speedy_conf.redis_socket, NULL, 0,
     0},
    {"redis", "host", SPEEDY_CONF_TEXT, &speedy_conf.redis_host, "127.0.0.1", 0,
     0},
    {"redis", "port", SPEEDY_CONF_INT, &speedy_conf.redis_port, "6379", 1,
     65535},
    {"redis", "user", SPEEDY_CONF_TEXT, &speedy_conf.redis_user, NULL, 0, 0},
    {"redis", "password_file", SPEEDY_CONF_TEXT,
     &speedy_conf.redis_password_file, NULL, 0, 0},
    {"redis", "timeout", SPEEDY_CONF_MSEC, &speedy_conf.redis_timeout, "1s", 10,
     60000},
    {"kafka", "brokers", SPEEDY_CONF_TEXT, &speedy_conf.kafka_brokers,
     "127.0.0.1:9092", 0, 0},
    {"kafka", "orders_topic", SPEEDY_CONF_TEXT, &speedy_conf.kafka_orders_topic,
     "speedy.orders", 0, 0},
    {"kafka", "kafka", SPEEDY_CONF_PAIRS, &speedy_conf.kafka, NULL, 0, 0},
    {"mysql", "socket", SPEEDY_CONF_TEXT, &speedy_conf.mysql_socket, NULL, 0,
     0},
    {"mysql", "host", SPEEDY_CONF_TEXT, &speedy_conf.mysql_host, "127.0.0.1", 0,
     0},
    {"mysql", "port", SPEEDY_CONF_INT, &speedy_conf.mysql_port, "3306", 1,
     65535},
    {"mysql", "database", SPEEDY_CONF_TEXT, &speedy_conf.mysql_database,
     "speedy", 0, 0},
    {"mysql", "timeout", SPEEDY_CONF_MSEC, &speedy_conf.mysql_timeout, "5s",
     1000, 600000},
    {"secrets", "directory", SPEEDY_CONF_TEXT, &speedy_conf.secrets_directory,
     "/etc/speedy/secrets", 0, 0},
    {"http", "directory", SPEEDY_CONF_TEXT, &speedy_conf.http_directory,
     "/run/speedy", 0, 0},
    {"keys", "master", SPEEDY_CONF_TEXT, &speedy_conf.keys_master, "m1", 0, 0},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0}};

/* Sections that a daemon passes over when it is not theirs. */
static const char *const known_sections[] = {
    "log",    "redis",  "kafka",  "mysql",     "secrets", "http",
    "stockd", "orderd", "schedd", "speedyctl", "userd",   "productd",
    "payd",   "maild",  "keys",   "mail",      "shop",    NULL};

/* One reading of a file. */
struct reader {
    const char *path;
    const struct speedy_setting *const *tables;
    int line, errors;
    char section[64];
    int ours; /* the section is one of the tables' */
    struct {
        const struct speedy_setting *setting;
        int line;
    } seen[SEEN_MAX];
    size_t seen_count;
};

static void read_line(struct reader *rd, char *text);
static void read_section(struct reader *rd, char *text);
static void read_pair(struct reader *rd, char *key, char *value);
static void set(struct reader *rd, const struct speedy_setting *s,
                const char *value);
static void add_pair(struct reader *rd, const struct speedy_setting *s,
                     const char *key, const char *value);
static void take_defaults(struct reader *rd);
static void check_words(struct reader *rd);

static void complain(struct reader *rd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct reader *rd, const char *format, ...)
{
    va_list args;

    rd->errors++;
    if (rd->line > 0)
        fprintf(stderr, "%s:%d: ", rd->path, rd->line);
    else
        fprintf(stderr, "%s: ", rd->path);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* Texts are reachable from here until the end. */
static char *keep(const char *text)
{
    static struct kept {
        struct kept *next;
        char text[];
    } * all;
    size_t size = strlen(text) + 1;
    struct kept *k = malloc(sizeof(*k) + size);

    if (k == NULL)
        abort();
    memcpy(k->text, text, size);
    k->next = all;
    all = k;
    return k->text;
}

int speedy_conf_load(const char *path,
                     const struct speedy_setting *const *tables)
{
    struct reader rd = {.path = path, .tables = tables};
    size_t size = 0;
    char *line = NULL;
    FILE *f = fopen(path, "re");

    if (f == NULL) {
        fprintf(stderr, "%s: cannot be read: %s; name the file by -c FILE\n",
                path, strerror(errno));
        return -1;
    }
    for (size_t t = 0; tables[t] != NULL; t++) {
        for (const struct speedy_setting *s = tables[t]; s->section; s++) {
            if (s->type == SPEEDY_CONF_PAIRS) {
                struct speedy_pairs *p = s->target;

                free(p->at);
                p->at = NULL;
                p->count = 0;
            }
        }
    }
    while (getline(&line, &size, f) >= 0) {
        rd.line++;
        read_line(&rd, line);
    }
    if (ferror(f))
        complain(&rd, "reading failed: %s", strerror(errno));
    free(line);
    fclose(f);
    rd.line = 0;
    take_defaults(&rd);
    check_words(&rd);
    return rd.errors > 0 ? -1 : 0;
}

/* Cuts blanks at both ends. */
static char *trim(char *text)
{
    size_t n;

    while (isspace((unsigned char)*text))
        text++;
    n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

/* A comment begins at a `#` that starts the line or follows a blank. */
static void cut_comment(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '#' && (c == text || isspace((unsigned char)c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static void read_line(struct reader *rd, char *text)
{
    char *equals;

    cut_comment(text);
    text = trim(text);
    if (*text == '\0')
        return;
    if (*text == '[') {
        read_section(rd, text);
        return;
    }
    equals = strchr(text, '=');
    if (equals == NULL) {
        complain(rd, "\"%s\" is neither [section] nor key = value", text);
        return;
    }
    *equals = '\0';
    if (rd->section[0] == '\0') {
        complain(rd, "\"%s\" stands before any [section]; move it into one",
                 trim(text));
        return;
    }
    if (rd->ours)
        read_pair(rd, trim(text), trim(equals + 1));
}

static int section_is_ours(struct reader *rd, const char *name)
{
    for (size_t t = 0; rd->tables[t] != NULL; t++) {
        for (const struct speedy_setting *s = rd->tables[t]; s->section; s++) {
            if (strcmp(s->section, name) == 0)
                return 1;
        }
    }
    return 0;
}

static void read_section(struct reader *rd, char *text)
{
    size_t n = strlen(text);
    const char *name;

    rd->ours = 0;
    snprintf(rd->section, sizeof(rd->section), "?");
    if (text[n - 1] != ']') {
        complain(rd, "\"%s\" lacks its closing bracket: [section]", text);
        return;
    }
    text[n - 1] = '\0';
    name = trim(text + 1);
    if (section_is_ours(rd, name)) {
        rd->ours = 1;
        snprintf(rd->section, sizeof(rd->section), "%s", name);
        return;
    }
    for (size_t i = 0; known_sections[i] != NULL; i++) {
        if (strcmp(name, known_sections[i]) == 0)
            return;
    }
    complain(rd,
             "unknown section [%s]; see docs/operations.md for the "
             "sections there are",
             name);
}

static void read_pair(struct reader *rd, char *key, char *value)
{
    for (size_t t = 0; rd->tables[t] != NULL; t++) {
        for (const struct speedy_setting *s = rd->tables[t]; s->section; s++) {
            size_t n = strlen(s->key);

            if (strcmp(s->section, rd->section) != 0)
                continue;
            if (s->type == SPEEDY_CONF_PAIRS) {
                if (strncmp(key, s->key, n) != 0 || key[n] != '.')
                    continue;
                add_pair(rd, s, key + n + 1, value);
                return;
            }
            if (strcmp(s->key, key) == 0) {
                set(rd, s, value);
                return;
            }
        }
    }
    complain(rd, "unknown key \"%s\" in [%s]; remove it or correct its name",
             key, rd->section);
}

/* Notes that a setting is in the file; complains when it was before. */
static void note_seen(struct reader *rd, const struct speedy_setting *s)
{
    for (size_t i = 0; i < rd->seen_count; i++) {
        if (rd->seen[i].setting == s) {
            complain(rd, "\"%s\" in [%s] was set in line %d already; keep one",
                     s->key, s->section, rd->seen[i].line);
            return;
        }
    }
    if (rd->seen_count < SEEN_MAX) {
        rd->seen[rd->seen_count].setting = s;
        rd->seen[rd->seen_count++].line = rd->line;
    }
}

struct unit {
    const char *name;
    long factor;
};
static const struct unit time_units[] = {{"ms", 1},       {"s", 1000},
                                         {"m", 60000},    {"h", 3600000},
                                         {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1},        {"k", 1024},       {"K", 1024},       {"m", 1048576},
    {"M", 1048576}, {"g", 1073741824}, {"G", 1073741824}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* 0, or -1 when text is no number with one of the units. */
static int number(const char *text, const struct unit *units, long *out)
{
    char *end;
    long n;

    if (!isdigit((unsigned char)text[text[0] == '-']))
        return -1;
    errno = 0;
    n = strtol(text, &end, 10);
    if (errno != 0)
        return -1;
    for (; units->name != NULL; units++) {
        if (strcmp(end, units->name) == 0)
            return __builtin_mul_overflow(n, units->factor, out) ? -1 : 0;
    }
    return -1;
}

static int truth(const char *text, long *out)
{
    static const char *const words[] = {"off", "on",    "no",
                                        "yes", "false", "true"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i & 1;
            return 0;
        }
    }
    return -1;
}

/* Converts; -1 with *want saying what would be right. */
static int convert(const struct speedy_setting *s, const char *value, long *out,
                   const char **want)
{
    switch (s->type) {
    case SPEEDY_CONF_INT:
        *want = "a whole number";
        return number(value, no_units, out);
    case SPEEDY_CONF_MSEC:
        *want = "a time with its unit: 250ms, 5s, 10m, 2h";
        return number(value, time_units, out);
    case SPEEDY_CONF_SIZE:
        *want = "a size: 512, 4k, 8m";
        return number(value, size_units, out);
    default:
        *want = "on or off";
        return truth(value, out);
    }
}

static const char *unit_of(enum speedy_conf_type type)
{
    return type == SPEEDY_CONF_MSEC   ? " ms"
           : type == SPEEDY_CONF_SIZE ? " bytes"
                                      : "";
}

static void store(struct reader *rd, const struct speedy_setting *s,
                  const char *value)
{
    const char *want = NULL;
    long n = 0;

    if (s->type == SPEEDY_CONF_TEXT) {
        *(char **)s->target = value[0] != '\0' ? keep(value) : NULL;
        return;
    }
    if (convert(s, value, &n, &want) != 0) {
        complain(rd, "\"%s\" of [%s] is \"%s\"; it must be %s", s->key,
                 s->section, value, want);
        return;
    }
    if ((s->min != 0 || s->max != 0) && (n < s->min || n > s->max)) {
        complain(rd,
                 "\"%s\" of [%s] is \"%s\"; it must lie between %ld%s and "
                 "%ld%s",
                 s->key, s->section, value, s->min, unit_of(s->type), s->max,
                 unit_of(s->type));
        return;
    }
    *(long *)s->target = n;
}

static void set(struct reader *rd, const struct speedy_setting *s,
                const char *value)
{
    note_seen(rd, s);
    store(rd, s, value);
}

static void add_pair(struct reader *rd, const struct speedy_setting *s,
                     const char *key, const char *value)
{
    struct speedy_pairs *p = s->target;
    char error[256];
    void *grown;

    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->at[i].key, key) == 0) {
            complain(rd, "\"%s.%s\" is set twice in [%s]; keep one", s->key,
                     key, s->section);
            return;
        }
    }
    if (p == &speedy_conf.kafka &&
        speedy_kafka_property_check(key, value, error, sizeof(error)) != 0) {
        complain(rd, "\"%s.%s\" is \"%s\": %s", s->key, key, value, error);
        return;
    }
    grown = realloc(p->at, (p->count + 1) * sizeof(p->at[0]));
    if (grown == NULL)
        abort();
    p->at = grown;
    p->at[p->count].key = keep(key);
    p->at[p->count++].value = keep(value);
}

static int was_seen(const struct reader *rd, const struct speedy_setting *s)
{
    for (size_t i = 0; i < rd->seen_count; i++) {
        if (rd->seen[i].setting == s)
            return 1;
    }
    return 0;
}

static void take_defaults(struct reader *rd)
{
    for (size_t t = 0; rd->tables[t] != NULL; t++) {
        for (const struct speedy_setting *s = rd->tables[t]; s->section; s++) {
            if (s->type == SPEEDY_CONF_PAIRS || was_seen(rd, s))
                continue;
            if (s->fallback != NULL)
                store(rd, s, s->fallback);
            else if (s->type == SPEEDY_CONF_TEXT)
                *(char **)s->target = NULL;
        }
    }
}

/* Settings of which only some words are right. */
static void check_words(struct reader *rd)
{
    static const char *const levels[] = {"debug", "info", "warn", "error",
                                         "alarm"};
    int known = 0;

    if (!section_is_ours(rd, "log"))
        return;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        known |= speedy_conf.log_level != NULL &&
                 strcmp(speedy_conf.log_level, levels[i]) == 0;
    if (!known)
        complain(rd,
                 "\"level\" of [log] is \"%s\"; it must be debug, info, "
                 "warn, error or alarm",
                 speedy_conf.log_level != NULL ? speedy_conf.log_level : "");
    if (speedy_conf.log_format == NULL ||
        (strcmp(speedy_conf.log_format, "text") != 0 &&
         strcmp(speedy_conf.log_format, "json") != 0))
        complain(rd, "\"format\" of [log] is \"%s\"; it must be text or json",
                 speedy_conf.log_format != NULL ? speedy_conf.log_format : "");
    if (speedy_conf.redis_socket == NULL && speedy_conf.redis_host == NULL)
        complain(rd, "[redis] names no server; set socket, or host and port");
    if (speedy_conf.mysql_socket == NULL && speedy_conf.mysql_host == NULL)
        complain(rd, "[mysql] names no server; set socket, or host and port");
}

char *speedy_secret_read(const char *path, size_t max, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *why = NULL;
    struct stat st;
    char *text = NULL;
    size_t n = 0;
    ssize_t got = 1;

    if (fd < 0 || fstat(fd, &st) != 0)
        why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        why = "not a regular file";
    else if ((st.st_mode & 077) != 0)
        why = "others may read it; chmod 0400";
    else if (st.st_size == 0)
        why = "empty";
    else if ((size_t)st.st_size > max + 1)
        why = "too long";
    if (why == NULL) {
        text = calloc(1, max + 2);
        if (text == NULL)
            why = "no memory";
    }
    while (why == NULL && got > 0 && n < max + 1) {
        got = read(fd, text + n, max + 1 - n);
        if (got < 0 && errno != EINTR)
            why = strerror(errno);
        n += got > 0 ? (size_t)got : 0;
    }
    if (why == NULL && n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    if (why == NULL && (n == 0 || n > max))
        why = n == 0 ? "empty" : "too long";
    if (why != NULL) {
        speedy_log(SPEEDY_ERROR, "cannot read a secret", "file=%s error=%s",
                   path, why);
        if (text != NULL)
            explicit_bzero(text, max + 2);
        free(text);
        text = NULL;
    } else if (len != NULL) {
        *len = n;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

void speedy_secret_free(char *secret)
{
    if (secret == NULL)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

int speedy_secret_key(const char *name, unsigned char key[SPEEDY_SECRET_KEY])
{
    char path[PATH_BYTES], *text;
    size_t len;
    int rc;

    if (snprintf(path, sizeof(path), "%s/%s", speedy_conf.secrets_directory,
                 name) >= (int)sizeof(path)) {
        speedy_log(SPEEDY_ERROR, "the path of a secret is too long",
                   "directory=%s", speedy_conf.secrets_directory);
        return -1;
    }
    text = speedy_secret_read(path, 2 * SPEEDY_SECRET_KEY, &len);
    if (text == NULL)
        return -1;
    rc = speedy_unhex(text, len, key, SPEEDY_SECRET_KEY);
    if (rc != 0)
        speedy_log(SPEEDY_ERROR, "cannot read a secret",
                   "file=%s error=\"not 64 hex digits\"", path);
    speedy_secret_free(text);
    return rc;
}

static void usage(FILE *out, const char *role)
{
    fprintf(out,
            "usage: %s [-c FILE] [-i N] [-t]\n"
            "  -c FILE  configuration (" CONF_DEFAULT ")\n"
            "  -i N     number of this instance, 1 to 99 (1)\n"
            "  -t       check the configuration and exit\n",
            role);
}

/* -1: go on; else the exit status. */
static int read_switches(int argc, char **argv, const char *role,
                         struct speedy_options *o)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    long n;
    int c;

    optind = 1;
    while ((c = getopt_long(argc, argv, "c:i:th", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->conf = optarg;
            break;
        case 'i':
            if (number(optarg, no_units, &n) != 0 || n < 1 || n > 99) {
                fprintf(stderr, "%s: -i takes a number from 1 to 99\n", role);
                return 2;
            }
            o->instance = (int)n;
            break;
        case 't':
            o->test = 1;
            break;
        case 'h':
            usage(stdout, role);
            return 0;
        default:
            usage(stderr, role);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\n", role, argv[optind]);
        usage(stderr, role);
        return 2;
    }
    return -1;
}

int speedy_options_parse(int argc, char **argv, const char *role,
                         const struct speedy_setting *table,
                         struct speedy_options *options)
{
    const struct speedy_setting *tables[] = {speedy_conf_table, table, NULL};
    int status;

    *options = (struct speedy_options){.conf = CONF_DEFAULT, .instance = 1};
    status = read_switches(argc, argv, role, options);
    if (status >= 0)
        return status;
    speedy_log_init(role, options->instance);
    if (speedy_conf_load(options->conf, tables) != 0)
        return 2;
    speedy_log_level_set(speedy_conf.log_level);
    speedy_log_json(strcmp(speedy_conf.log_format, "json") == 0);
    if (!options->test)
        return -1;
    if (speedy_conf.redis_password_file != NULL) {
        char *secret =
            speedy_secret_read(speedy_conf.redis_password_file, 512, NULL);

        if (secret == NULL)
            return 2;
        speedy_secret_free(secret);
    }
    printf("%s: the configuration is valid\n", options->conf);
    return 0;
}
