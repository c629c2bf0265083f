/*
 * Synchronous Redis for the daemons: one connection a thread, every call
 * with a time-out, scripts by EVALSHA (once EVAL on NOSCRIPT). run_id is
 * read from the connection itself: a TCP or unix connection cannot outlive
 * the server process, so it names the incarnation that answers.
 *
 * A call that fails drops the connection: what was asked may have happened.
 * Scripts are therefore safe to send again.
 */
#ifndef SPEEDY_REDIS_H
#define SPEEDY_REDIS_H

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

struct speedy_redis;

/* A Lua script: its text and its SHA-1 in hex (set at first use). */
struct speedy_script {
    const char *name, *text;
    char sha[41];
};

/* Does not connect yet. NULL only when the password cannot be read. */
struct speedy_redis *speedy_redis_new(void);
void speedy_redis_free(struct speedy_redis *rc);
/* Connects, authenticates and reads run_id if needed. 0 or -1 (one line an
 * outage). */
int speedy_redis_ready(struct speedy_redis *rc);
/* Of the standing connection; "" when there is none. 40 hex digits. */
const char *speedy_redis_run_id(const struct speedy_redis *rc);
void speedy_redis_drop(struct speedy_redis *rc);

/* Arguments as (pointer, length) pairs, built up by the caller. */
struct speedy_args {
    size_t count, size;
    const char **at;
    size_t *len;
    char **owned; /* numbers printed by speedy_args_int */
    size_t owned_count, owned_size;
};
void speedy_args_reset(struct speedy_args *a); /* keeps the memory */
void speedy_args_free(struct speedy_args *a);
/* By reference: must live until the call. */
void speedy_args_add(struct speedy_args *a, const void *data, size_t len);
void speedy_args_text(struct speedy_args *a, const char *text);
void speedy_args_int(struct speedy_args *a, int64_t n);

/*
 * Sends one command and waits. NULL when the connection failed (dropped,
 * logged); an error reply is returned as it is (REDIS_REPLY_ERROR). The
 * caller frees it by freeReplyObject().
 */
redisReply *speedy_redis_command(struct speedy_redis *rc,
                                 const struct speedy_args *a);
/*
 * Runs a script: a holds the keys, then the arguments. NULL when the
 * connection failed *or* Redis answered with an error (logged with the
 * script's name): the caller treats both as "unknown".
 */
redisReply *speedy_redis_script(struct speedy_redis *rc,
                                struct speedy_script *script, size_t keys,
                                const struct speedy_args *a);
/* As above for n calls in one round trip; replies[i] NULL as above. 0, or -1
 * when the connection failed (all replies are then NULL). */
int speedy_redis_scripts(struct speedy_redis *rc, struct speedy_script *script,
                         size_t keys, const struct speedy_args *a, size_t n,
                         redisReply **replies);

#endif
