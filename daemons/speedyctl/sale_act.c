/*
 * Acts on a sale's row: pause, resume, close, postpone, extend, stop-all.
 * Each is one conditional UPDATE (state and version) and one audit_log row;
 * stockd brings it to the gate within a second.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

struct act {
    const char *id;
    const char *verb;
    int64_t time; /* postpone, extend */
    struct sale *sale;
    const struct sale_move *move;
};

static int told(struct ctl *c, const char *id, const char *what)
{
    if (c->json)
        printf("{\"id\":\"%s\",\"done\":\"%s\"}\n", id, what);
    else
        printf("sale %s: %s\n", id, what);
    return CTL_DONE;
}

/* The row was read before; another operator may have been faster. */
static int changed_once(int n, long affected)
{
    if (n == 0 && affected == 0)
        return SPEEDY_DB_RETRY;
    return n;
}

static int move_work(struct ctl *c, void *data)
{
    struct act *a = data;
    long affected = 0;
    int n = sale_read(c, a->id, a->sale);

    if (n != 0)
        return 1;
    a->move = sale_move_find(a->verb, a->sale->state);
    if (a->move == NULL || strcmp(a->move->who, "operator") != 0) {
        ctl_refuse(c, "sale %s is %s: %s does not start from there", a->id,
                   sale_word(a->sale), a->verb);
        return 1;
    }
    speedy_buf_printf(&c->detail, "\"from\":\"%s\",\"to\":\"%s\"",
                      a->move->from, a->move->to);
    n = speedy_db_exec(c->db,
                       "UPDATE sales SET state = ?, version = version + 1 "
                       "WHERE id = ? AND state = ? AND version = ?",
                       DB_ARGS(DB_TEXT(a->move->to), DB_TEXT(a->id),
                               DB_TEXT(a->move->from),
                               DB_INT(a->sale->version)),
                       &affected);
    return changed_once(n, affected);
}

int ctl_sale_move(struct ctl *c)
{
    static struct sale s;
    const char *verb = strchr(c->command->name, ' ') + 1;
    struct act a = {.id = c->args[0], .verb = verb, .sale = &s};
    char act[24];
    int code;

    snprintf(act, sizeof(act), "sale.%s", verb);
    code = ctl_act(c, act, a.id, move_work, &a);
    return code == 0 ? told(c, a.id, a.move->to) : code;
}

static int postpone_work(struct ctl *c, void *data)
{
    struct act *a = data;
    struct sale *s = a->sale;
    long affected = 0;
    int n = sale_read(c, a->id, s);

    if (n != 0)
        return 1;
    if (strcmp(s->state, "ACTIVE") != 0 && strcmp(s->state, "PAUSED") != 0) {
        ctl_refuse(c, "sale %s is %s: nothing is left to postpone", a->id,
                   sale_word(s));
        return 1;
    }
    if (s->opens_at <= s->now) {
        ctl_refuse(c, "sale %s opened at %s: pause it instead", a->id,
                   ctl_time_text(s->opens_at));
        return 1;
    }
    if (a->time <= s->now || (s->closes_at != 0 && a->time >= s->closes_at)) {
        ctl_refuse(c,
                   "the opening must lie between now and the closing (%s): "
                   "sale extend moves the closing",
                   ctl_time_text(s->closes_at));
        return 1;
    }
    speedy_buf_printf(&c->detail, "\"from\":%lld,\"to\":%lld",
                      (long long)s->opens_at, (long long)a->time);
    n = speedy_db_exec(
        c->db,
        "UPDATE sales SET opens_at = " CTL_DATETIME
        ", version = version + 1 WHERE id = ? AND version = ?",
        DB_ARGS(DB_INT(a->time), DB_TEXT(a->id), DB_INT(s->version)),
        &affected);
    return changed_once(n, affected);
}

static int extend_work(struct ctl *c, void *data)
{
    struct act *a = data;
    struct sale *s = a->sale;
    long affected = 0;
    int n = sale_read(c, a->id, s);

    if (n != 0)
        return 1;
    if (strcmp(s->state, "ACTIVE") != 0 && strcmp(s->state, "PAUSED") != 0) {
        ctl_refuse(c, "sale %s is %s: make a new sale", a->id, sale_word(s));
        return 1;
    }
    if (s->closes_at == 0 || a->time <= s->closes_at || a->time <= s->now) {
        ctl_refuse(c, "sale %s closes at %s%s: give a later time", a->id,
                   ctl_time_text(s->closes_at),
                   s->closes_at ? "" : " (open end)");
        return 1;
    }
    speedy_buf_printf(&c->detail, "\"from\":%lld,\"to\":%lld",
                      (long long)s->closes_at, (long long)a->time);
    n = speedy_db_exec(
        c->db,
        "UPDATE sales SET closes_at = " CTL_DATETIME
        ", version = version + 1 WHERE id = ? AND version = ?",
        DB_ARGS(DB_INT(a->time), DB_TEXT(a->id), DB_INT(s->version)),
        &affected);
    return changed_once(n, affected);
}

static int with_time(struct ctl *c, const char *act,
                     int (*work)(struct ctl *c, void *data), const char *what)
{
    static struct sale s;
    struct act a = {.id = c->args[0], .sale = &s};
    char text[96];
    int code;

    if (ctl_time(c->args[1], &a.time) != 0 || a.time <= 0)
        return ctl_usage(c,
                         "%s: give RFC 3339 with offset "
                         "(2026-12-01T10:00:00+09:00)",
                         c->args[1]);
    code = ctl_act(c, act, a.id, work, &a);
    if (code != 0)
        return code;
    snprintf(text, sizeof(text), "%s %s", what, ctl_time_text(a.time));
    return told(c, a.id, text);
}

int ctl_sale_postpone(struct ctl *c)
{
    return with_time(c, "sale.postpone", postpone_work, "opens at");
}

int ctl_sale_extend(struct ctl *c)
{
    return with_time(c, "sale.extend", extend_work, "closes at");
}

static int stop_all_work(struct ctl *c, void *data)
{
    long *stopped = data;
    int n = speedy_db_exec(c->db,
                           "UPDATE sales SET state = 'PAUSED', version = "
                           "version + 1 WHERE state = 'ACTIVE'",
                           DB_NONE, stopped);

    speedy_buf_printf(&c->detail, "\"paused\":%ld", *stopped);
    return n;
}

int ctl_sale_stop_all(struct ctl *c)
{
    long stopped = 0;
    int code = ctl_act(c, "sale.stop-all", "*", stop_all_work, &stopped);

    if (code != 0)
        return code;
    if (c->json)
        printf("{\"paused\":%ld}\n", stopped);
    else
        printf("%ld sale%s paused; sale resume ends a pause\n", stopped,
               stopped == 1 ? "" : "s");
    return CTL_DONE;
}
