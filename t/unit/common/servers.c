/*
 * Private servers for unit tests. A server is a child that the kernel kills
 * with the thread that started it (PR_SET_PDEATHSIG); it runs as user mysql
 * where the test is root, because mariadbd refuses to be root.
 */
#include "servers.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <mysql.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/redis.h"

#define START_MS 30000
#define PATH_BYTES 512

static char dir[PATH_BYTES];
static pid_t owner, redis_pid, mysql_pid;
static char redis_socket[PATH_BYTES + 32], mysql_socket[PATH_BYTES + 32];
static char data_option[PATH_BYTES + 32], secrets[PATH_BYTES];
/* a server that starts deletes the temporary tables that it finds: not those
 * of others, which a common directory holds */
static char tmp_option[PATH_BYTES + 32];
static char database[] = "speedy", redis_user[] = "speedy";
static char password_file[PATH_BYTES + 32];
static rd_kafka_t *kafka;
static rd_kafka_mock_cluster_t *cluster;
static char brokers[256];

static void give_to_mysql(const char *path)
{
    struct passwd *user = geteuid() == 0 ? getpwnam("mysql") : NULL;

    if (user != NULL && chown(path, user->pw_uid, user->pw_gid) != 0)
        perror(path);
}

const char *servers_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (dir[0] != '\0')
        return dir;
    snprintf(dir, sizeof(dir), "%s/speedy-unit-XXXXXX",
             base != NULL && base[0] != '\0' ? base : "/tmp");
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        abort();
    }
    give_to_mysql(dir);
    owner = getpid();
    atexit(servers_stop);
    return dir;
}

const char *servers_file(const char *name, const char *text, mode_t mode)
{
    static char path[PATH_BYTES + 256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", servers_dir(), name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        fchmod(fd, mode) != 0) {
        perror(path);
        abort();
    }
    close(fd);
    return path;
}

void servers_keys(void)
{
    static const char *const names[] = {"master-m1",   "blind-index",
                                        "pepper",      "code-key",
                                        "refresh-key", "jwt-current"};
    static char master[] = "m1";
    unsigned char key[32];
    char hex[65];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        speedy_random(key, sizeof(key));
        speedy_hex(key, sizeof(key), hex);
        servers_file(names[i], hex, 0400);
    }
    snprintf(secrets, sizeof(secrets), "%s", servers_dir());
    speedy_conf.secrets_directory = secrets;
    speedy_conf.keys_master = master;
}

bool servers_wait(bool (*check)(void *data), void *data, long ms)
{
    int64_t end = speedy_now_boot() + ms;
    struct timespec tick = {.tv_nsec = 10000000};

    while (!check(data)) {
        if (speedy_now_boot() > end)
            return false;
        nanosleep(&tick, NULL);
    }
    return true;
}

/* Starts a program with its output in <dir>/<log>; its pid or -1. */
static pid_t start(char *const argv[], const char *log)
{
    struct passwd *user = geteuid() == 0 ? getpwnam("mysql") : NULL;
    pid_t parent = getpid(), pid = fork();
    sigset_t none;
    int fd;

    if (pid != 0)
        return pid;
    fd = open(servers_file(log, "", 0644), O_WRONLY | O_APPEND);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (user != NULL && (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
                         setuid(user->pw_uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void finish(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

/* Returns when every thread of it stands still, or when it may go on. */
static void freeze(pid_t pid, bool frozen)
{
    if (pid > 0 && kill(pid, frozen ? SIGSTOP : SIGCONT) == 0 && frozen)
        waitpid(pid, NULL, WUNTRACED);
}

static int said_no(const char *what, const char *log)
{
    fprintf(stderr, "%s did not start; see its last words:\n", what);
    char path[PATH_BYTES + 64], line[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", servers_dir(), log);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        fputs(line, stderr);
    if (f != NULL)
        fclose(f);
    return -1;
}

/* True once *pid answers, or is dead: then it becomes 0. */
static bool gone(pid_t *pid)
{
    if (waitpid(*pid, NULL, WNOHANG) != *pid)
        return false;
    *pid = 0;
    return true;
}

static bool redis_answers(void *data)
{
    struct timeval wait = {.tv_usec = 500000};
    redisContext *c = redisConnectUnixWithTimeout(redis_socket, wait);
    bool up = c != NULL && c->err == 0;

    (void)data;
    if (c != NULL)
        redisFree(c);
    return up || gone(&redis_pid);
}

int servers_redis_start(void)
{
    char *argv[] = {"redis-server", "--port",  "0",      "--unixsocket",
                    redis_socket,   "--save",  "",       "--appendonly",
                    "no",           "--user",  "speedy", "on",
                    ">secret",      "~*",      "&*",     "+@all",
                    "--user",       "default", "off",    NULL};

    if (redis_pid > 0)
        return 0;
    snprintf(redis_socket, sizeof(redis_socket), "%s/redis.sock",
             servers_dir());
    unlink(redis_socket);
    redis_pid = start(argv, "redis.log");
    if (!servers_wait(redis_answers, NULL, START_MS) || redis_pid <= 0)
        return said_no("redis-server", "redis.log");
    snprintf(password_file, sizeof(password_file), "%s",
             servers_file("redis-password", "secret\n", 0400));
    speedy_conf.redis_socket = redis_socket;
    speedy_conf.redis_user = redis_user;
    speedy_conf.redis_password_file = password_file;
    if (speedy_conf.redis_timeout == 0)
        speedy_conf.redis_timeout = 1000;
    return 0;
}

void servers_redis_kill(void)
{
    finish(&redis_pid);
}

void servers_redis_freeze(bool frozen)
{
    freeze(redis_pid, frozen);
}

static MYSQL *root(void)
{
    MYSQL *my = mysql_init(NULL);
    unsigned timeout = 5;

    mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    if (mysql_real_connect(my, "localhost", "root", "", NULL, 0, mysql_socket,
                           0) != NULL)
        return my;
    mysql_close(my);
    return NULL;
}

static bool mysql_answers(void *data)
{
    MYSQL *my = root();

    (void)data;
    if (my != NULL)
        mysql_close(my);
    return my != NULL || gone(&mysql_pid);
}

static int mysql_install(void)
{
    char *argv[] = {"mariadb-install-db",
                    "--no-defaults",
                    data_option,
                    tmp_option,
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    NULL};
    int status = -1;
    pid_t pid = start(argv, "install.log");

    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return said_no("mariadb-install-db", "install.log");
    return 0;
}

static int mysql_run(void)
{
    char socket_option[PATH_BYTES + 64], pid_option[PATH_BYTES + 64];
    char *argv[] = {"mariadbd",
                    "--no-defaults",
                    data_option,
                    tmp_option,
                    socket_option,
                    pid_option,
                    "--skip-networking",
                    "--innodb-buffer-pool-size=16M",
                    "--innodb-flush-log-at-trx-commit=1",
                    NULL};

    snprintf(socket_option, sizeof(socket_option), "--socket=%s", mysql_socket);
    snprintf(pid_option, sizeof(pid_option), "--pid-file=%s/mysql.pid", dir);
    unlink(mysql_socket);
    mysql_pid = start(argv, "mysql.log");
    if (!servers_wait(mysql_answers, NULL, START_MS) || mysql_pid <= 0)
        return said_no("mariadbd", "mysql.log");
    return 0;
}

int servers_mysql_start(void)
{
    if (mysql_pid > 0)
        return 0;
    /* mariadbd lies in sbin, which an ordinary user's PATH may lack */
    if (strstr(getenv("PATH"), "/usr/sbin") == NULL) {
        char path[4096];

        snprintf(path, sizeof(path), "%s:/usr/sbin", getenv("PATH"));
        setenv("PATH", path, 1);
    }
    if (mysql_socket[0] != '\0')
        return mysql_run();
    snprintf(mysql_socket, sizeof(mysql_socket), "%s/mysql.sock",
             servers_dir());
    snprintf(data_option, sizeof(data_option), "--datadir=%s/mysql", dir);
    snprintf(tmp_option, sizeof(tmp_option), "--tmpdir=%s", dir);
    if (mysql_install() != 0 || mysql_run() != 0 ||
        servers_mysql_root("CREATE DATABASE speedy CHARACTER SET utf8mb4") !=
            0 ||
        servers_mysql_root("CREATE USER tester@localhost "
                           "IDENTIFIED BY 'secret'") != 0 ||
        servers_mysql_root("GRANT ALL ON speedy.* TO tester@localhost") != 0)
        return -1;
    servers_file("mysql-tester", "secret\n", 0400);
    snprintf(secrets, sizeof(secrets), "%s", dir);
    speedy_conf.secrets_directory = secrets;
    speedy_conf.mysql_socket = mysql_socket;
    speedy_conf.mysql_database = database;
    if (speedy_conf.mysql_timeout == 0)
        speedy_conf.mysql_timeout = 2000;
    return 0;
}

void servers_mysql_kill(void)
{
    finish(&mysql_pid);
}

void servers_mysql_freeze(bool frozen)
{
    freeze(mysql_pid, frozen);
}

/* Runs one statement; its first value as a number in *out, -1 without one. */
static int root_run(const char *sql, long *out)
{
    MYSQL *my = root();
    MYSQL_RES *result = NULL;
    MYSQL_ROW row;
    int status = -1;

    if (my == NULL)
        return -1;
    if (mysql_select_db(my, database) != 0)
        fprintf(stderr, "database: %s\n", mysql_error(my));
    status = mysql_query(my, sql) != 0 ? -1 : 0;
    if (status != 0)
        fprintf(stderr, "%s: %s\n", sql, mysql_error(my));
    else
        result = mysql_store_result(my);
    if (result != NULL && out != NULL) {
        row = mysql_fetch_row(result);
        if (row != NULL && row[0] != NULL)
            *out = strtol(row[0], NULL, 10);
    }
    if (result != NULL)
        mysql_free_result(result);
    mysql_close(my);
    return status;
}

int servers_mysql_root(const char *sql)
{
    MYSQL *my;
    int status;

    if (strncmp(sql, "CREATE DATABASE", 15) != 0)
        return root_run(sql, NULL);
    my = root();
    status = my != NULL && mysql_query(my, sql) == 0 ? 0 : -1;
    if (my != NULL)
        mysql_close(my);
    return status;
}

long servers_mysql_number(const char *sql)
{
    long n = -1;

    return root_run(sql, &n) == 0 ? n : -1;
}

rd_kafka_mock_cluster_t *servers_kafka_start(void)
{
    char why[256];

    if (cluster != NULL)
        return cluster;
    kafka =
        rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
    if (kafka != NULL)
        cluster = rd_kafka_mock_cluster_new(kafka, 1);
    if (cluster == NULL) {
        fprintf(stderr, "no mock cluster: %s\n", why);
        return NULL;
    }
    snprintf(brokers, sizeof(brokers), "%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    speedy_conf.kafka_brokers = brokers;
    return cluster;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void servers_stop(void)
{
    /* a child that a test forked is not the owner */
    if (owner != 0 && owner != getpid())
        return;
    finish(&redis_pid);
    finish(&mysql_pid);
    if (cluster != NULL)
        rd_kafka_mock_cluster_destroy(cluster);
    if (kafka != NULL)
        rd_kafka_destroy(kafka);
    cluster = NULL;
    kafka = NULL;
    if (dir[0] != '\0')
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir[0] = '\0';
    redis_socket[0] = mysql_socket[0] = '\0';
}
