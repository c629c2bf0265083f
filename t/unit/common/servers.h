/*
 * Private servers for unit tests: Redis, MariaDB and librdkafka's mock
 * cluster, each at first use, in a directory of the test's own. They point
 * speedy_conf at themselves and die with the test, however that ends.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <sys/types.h>

/* The test's directory (below TMPDIR or /tmp), made at the first call. */
const char *servers_dir(void);
/* Writes a file into it; the path is valid until the next call. */
const char *servers_file(const char *name, const char *text, mode_t mode);
/*
 * A secrets directory of the test's own with master-m1, blind-index, pepper,
 * code-key, refresh-key and jwt-current; [keys] master is m1.
 */
void servers_keys(void);
/* Ends every server and removes the directory. Also run at exit. */
void servers_stop(void);

/*
 * redis-server on a unix socket, without persistence, with user `speedy`,
 * password `secret`. 0, or -1 after saying why on stderr. Again after
 * servers_redis_kill(): a new, empty incarnation at the same path.
 */
int servers_redis_start(void);
void servers_redis_kill(void);
/* SIGSTOP and SIGCONT. */
void servers_redis_freeze(bool frozen);

/*
 * mariadbd with an empty database `speedy`, and an account `tester` that may
 * do everything there. 0 or -1 as above. After a kill it comes back with its
 * data.
 */
int servers_mysql_start(void);
void servers_mysql_kill(void);
void servers_mysql_freeze(bool frozen);
/* As the administrator, over a connection of its own. 0 or -1. */
int servers_mysql_root(const char *sql);
/* The first column of the first row, as a number; -1 when there is none. */
long servers_mysql_number(const char *sql);

/* A mock cluster with one broker; NULL after saying why. */
rd_kafka_mock_cluster_t *servers_kafka_start(void);

/* Repeats check() until it is true, at most ms. */
bool servers_wait(bool (*check)(void *data), void *data, long ms);

#endif
