/*
 * speedy.conf: `[section]`, `key = value`, `#` comments. A daemon declares a
 * table of the settings it knows; sections of other roles are skipped, an
 * unknown key or a value out of range in a known section is an error that
 * names file, line, value and remedy. Settings not in the file take their
 * default. Everything is read once, before threads start, and is read-only
 * after that.
 */
#ifndef SPEEDY_CONF_H
#define SPEEDY_CONF_H

#include <stddef.h>

enum speedy_conf_type {
    SPEEDY_CONF_TEXT, /* char *, owned by the table's target, or NULL */
    SPEEDY_CONF_INT,  /* long, min..max */
    SPEEDY_CONF_MSEC, /* long, milliseconds; `250ms`, `5s`, `10m`, `2h` */
    SPEEDY_CONF_SIZE, /* long, bytes; `4k`, `8m` */
    SPEEDY_CONF_BOOL, /* long 0/1; on|off|yes|no|true|false */
    /* struct speedy_pairs: every key that starts with `key` and a dot */
    SPEEDY_CONF_PAIRS
};

struct speedy_pairs {
    size_t count;
    struct {
        char *key, *value;
    } * at;
};

struct speedy_setting {
    const char *section, *key;
    enum speedy_conf_type type;
    void *target;
    const char *fallback; /* default, in the file's notation; NULL: none */
    long min, max;        /* both 0: unchecked */
};

/*
 * Reads the file into the targets of all tables (a NULL-section entry ends a
 * table; tables ends with NULL). 0, or -1 after printing every error found
 * to stderr as `speedy.conf:12: …`.
 */
int speedy_conf_load(const char *path,
                     const struct speedy_setting *const *tables);

/* The settings that every daemon shares ([log] … [http]); defaults within. */
struct speedy_conf {
    char *log_level, *log_format;
    char *redis_socket, *redis_host, *redis_user, *redis_password_file;
    long redis_port, redis_timeout;
    char *kafka_brokers, *kafka_orders_topic;
    struct speedy_pairs kafka;
    char *mysql_socket, *mysql_host, *mysql_database;
    long mysql_port, mysql_timeout;
    char *secrets_directory, *http_directory;
    char *keys_master; /* id of the key that wraps new data keys: seal.h */
};
extern struct speedy_conf speedy_conf;
extern const struct speedy_setting speedy_conf_table[];

/*
 * Reads a secret of at most `max` bytes, without its trailing newline, into
 * a new NUL-ended string (*len may be NULL). Refuses a file that others may
 * read. NULL after logging. The caller frees it by speedy_secret_free().
 */
char *speedy_secret_read(const char *path, size_t max, size_t *len);
void speedy_secret_free(char *secret);

#define SPEEDY_SECRET_KEY 32
/*
 * Reads <secrets>/<name>: a key of 256 bits, written as 64 hex digits. 0, or
 * -1 after logging the file and what is wrong with it.
 */
int speedy_secret_key(const char *name, unsigned char key[SPEEDY_SECRET_KEY]);

/* What every main() parses: -c FILE -t -i N, and `--help`. */
struct speedy_options {
    const char *conf;
    int test;     /* -t: check the configuration and exit */
    int instance; /* -i N, 1 by default */
};
/*
 * Parses argv, loads the configuration with the role's table (may be NULL),
 * starts the log. -1: go on; otherwise the exit status to leave with.
 */
int speedy_options_parse(int argc, char **argv, const char *role,
                         const struct speedy_setting *table,
                         struct speedy_options *options);

#endif
