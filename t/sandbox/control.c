/*
 * The tests' interface, JSON over plain HTTP on a port of its own:
 *
 *   POST   /payer       {tid | order, act, method, point, discount, refuse:
 *                       {code, extra_code, extra_message}, no_partial}
 *                       -> {redirect, tid}; act: open, pay, quit, fail
 *   GET    /payments/T  one payment          GET /ledger[?order=] all of them
 *   GET    /totals      sums, counts by status, calls, most in flight
 *   GET    /settlement?day=YYYY-MM-DD        what was paid and cancelled in it
 *   GET    /calls[?tid=]                     the last calls of the API
 *   GET    /settings    PUT /settings {response_ms, life_ms, limit, quota,
 *                       maintenance, enabled, failed_status}
 *   GET    /clock       POST /clock {advance | set | offset: ms} -> {now,
 *                       offset}
 *   POST   /faults      (struct fault of sandbox.h) -> {id}; GET, DELETE
 *                       /faults, DELETE /faults/N
 *   POST   /reset       forgets payments, faults, settings and clock
 *
 * Errors are 400, 404 or 409 with {"error": why}.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 2000000

static void failed(struct exchange *x, int status, const char *why)
{
    x->status = status;
    x->out.len = 0;
    speedy_buf_printf(&x->out, "{\"error\":");
    speedy_buf_json(&x->out, why);
    speedy_buf_printf(&x->out, "}\n");
}

/* The body's object, or NULL after answering; the caller frees it. */
static struct speedy_json *object(struct exchange *x, const char *const *names,
                                  int n)
{
    enum speedy_json_error error;
    struct speedy_json *o =
        speedy_json_parse(x->body, x->body_len, BODY_MAX, 8, &error);

    if (o == NULL || speedy_json_type(o) != SPEEDY_JSON_OBJECT) {
        failed(x, 400, "the body is not a JSON object");
        speedy_json_free(o);
        return NULL;
    }
    for (size_t i = 0; i < speedy_json_count(o); i++) {
        if (name_find(names, n, speedy_json_key(o, i)) < 0) {
            failed(x, 400, speedy_json_key(o, i));
            speedy_json_free(o);
            return NULL;
        }
    }
    return o;
}

static int64_t integer(const struct speedy_json *o, const char *name,
                       int64_t fallback)
{
    int64_t n;

    return speedy_json_int(speedy_json_get(o, name), INT64_MIN, INT64_MAX,
                           &n) == 0
               ? n
               : fallback;
}

static void text_take(const struct speedy_json *o, const char *name, char *out,
                      size_t size)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));

    snprintf(out, size, "%s", text != NULL ? text : "");
}

static char *text_copy(const struct speedy_json *o, const char *name)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));

    return text != NULL ? strdup(text) : NULL;
}

static void refusal_take(const struct speedy_json *o, struct refusal *r)
{
    r->code = (int)integer(o, "code", o != NULL ? -780 : 0);
    text_take(o, "extra_code", r->extra_code, sizeof(r->extra_code));
    text_take(o, "extra_message", r->extra_message, sizeof(r->extra_message));
}

static void payer_run(struct exchange *x, const struct speedy_json *o)
{
    const char *tid = speedy_json_text(speedy_json_get(o, "tid"));
    const char *order = speedy_json_text(speedy_json_get(o, "order"));
    const char *act = speedy_json_text(speedy_json_get(o, "act"));
    const char *method = speedy_json_text(speedy_json_get(o, "method"));
    int m = method != NULL ? name_find(method_names, 3, method) : 0;
    struct payer_act a = {.act = act != NULL ? act : "",
                          .method = (enum method)(m < 0 ? 0 : m),
                          .point = integer(o, "point", 0),
                          .discount = integer(o, "discount", 0),
                          .no_partial = speedy_json_bool(
                              speedy_json_get(o, "no_partial"), false)};
    const char *why = NULL;
    uint64_t record = 0;
    struct payment *p;
    char *url;

    refusal_take(speedy_json_get(o, "refuse"), &a.refusal);
    ledger_lock();
    p = tid != NULL     ? ledger_by_tid(tid)
        : order != NULL ? ledger_by_order(order)
                        : NULL;
    if (p == NULL || m < 0) {
        ledger_unlock();
        failed(x, p == NULL ? 404 : 400,
               p == NULL ? "no such payment" : "a method is CARD or MONEY");
        return;
    }
    url = payer_do(p, &a, &why);
    record = p->record;
    if (url != NULL) {
        speedy_buf_printf(&x->out, "{\"tid\":\"%s\",\"redirect\":", p->tid);
        speedy_buf_json(&x->out, url);
        speedy_buf_printf(&x->out, "}\n");
    } else {
        failed(x, 409, why);
    }
    ledger_unlock();
    free(url);
    journal_sync(record);
}

static void payer(struct exchange *x)
{
    static const char *const names[] = {"tid",    "order",     "act",
                                        "method", "point",     "discount",
                                        "refuse", "no_partial"};
    struct speedy_json *o = object(x, names, 8);

    if (o != NULL)
        payer_run(x, o);
    speedy_json_free(o);
}

void settings_write(struct speedy_buf *b)
{
    speedy_buf_printf(b,
                      "{\"response_ms\":%ld,\"life_ms\":%ld,\"limit\":%" PRId64
                      ",\"quota\":%ld,\"maintenance\":%s,\"enabled\":%s,"
                      "\"failed_status\":%d}",
                      settings.response_ms, settings.life_ms, settings.limit,
                      settings.quota, settings.maintenance ? "true" : "false",
                      settings.enabled ? "true" : "false",
                      settings.failed_status);
}

int settings_read(const struct speedy_json *o, const char **why)
{
    static const char *const names[] = {
        "response_ms", "life_ms", "limit",        "quota",
        "maintenance", "enabled", "failed_status"};
    struct settings s = settings;

    for (size_t i = 0; i < speedy_json_count(o); i++) {
        int which = name_find(names, 7, speedy_json_key(o, i));
        enum speedy_json_type type = speedy_json_type(speedy_json_at(o, i));
        bool truth = which == 4 || which == 5;

        *why = speedy_json_key(o, i);
        if (which < 0 || type != (truth ? SPEEDY_JSON_BOOL : SPEEDY_JSON_INT) ||
            (!truth && integer(o, *why, -1) < 0))
            return -1;
    }
    s.response_ms = integer(o, names[0], s.response_ms);
    s.life_ms = integer(o, names[1], s.life_ms);
    s.limit = integer(o, names[2], s.limit);
    s.quota = integer(o, names[3], s.quota);
    s.maintenance =
        speedy_json_bool(speedy_json_get(o, names[4]), s.maintenance);
    s.enabled = speedy_json_bool(speedy_json_get(o, names[5]), s.enabled);
    s.failed_status = (int)integer(o, names[6], s.failed_status);
    settings = s;
    return 0;
}

static void settings_put(struct exchange *x)
{
    enum speedy_json_error error;
    struct speedy_json *o =
        speedy_json_parse(x->body, x->body_len, BODY_MAX, 2, &error);
    const char *why = "the body is not a JSON object";
    uint64_t record;
    int rc;

    ledger_lock();
    rc =
        speedy_json_type(o) == SPEEDY_JSON_OBJECT ? settings_read(o, &why) : -1;
    if (rc == 0)
        settings_write(&x->out);
    else
        failed(x, 400, why);
    record = rc == 0 ? journal_settings() : 0;
    ledger_unlock();
    speedy_json_free(o);
    journal_sync(record);
}

static void clock_tell(struct exchange *x)
{
    speedy_buf_printf(&x->out, "{\"now\":%" PRId64 ",\"offset\":%" PRId64 "}\n",
                      clock_now(), clock_offset());
}

static void clock_post(struct exchange *x)
{
    static const char *const names[] = {"advance", "set", "offset"};
    struct speedy_json *o = object(x, names, 3);
    int64_t now = clock_now();
    uint64_t record;

    if (o == NULL)
        return;
    ledger_lock();
    if (speedy_json_get(o, "set") != NULL)
        clock_offset_set(clock_offset() + integer(o, "set", now) - now);
    if (speedy_json_get(o, "offset") != NULL)
        clock_offset_set(integer(o, "offset", 0));
    clock_offset_set(clock_offset() + integer(o, "advance", 0));
    record = journal_settings();
    ledger_unlock();
    clock_tell(x);
    speedy_json_free(o);
    journal_sync(record);
}

/* NULL, or what is wrong with it. */
static const char *fault_take_in(const struct speedy_json *o, struct fault *f)
{
    const char *op = speedy_json_text(speedy_json_get(o, "operation"));
    const char *answer = speedy_json_text(speedy_json_get(o, "answer"));
    int a = answer != NULL ? name_find(answer_names, ANSWER_COUNT, answer) : 0;

    f->operation = op == NULL || strcmp(op, "any") == 0
                       ? OP_COUNT
                       : name_find(operation_names, OP_COUNT, op);
    if (f->operation < 0)
        return "operation is ready, approve, cancel, order or any";
    if (a < 0)
        return "answer is true, silence, close, reset, status, refuse or slow";
    f->answer = (enum answer)a;
    f->count = integer(o, "count", 1);
    f->skip = integer(o, "skip", 0);
    f->before_ms = integer(o, "before_ms", 0);
    f->after_ms = integer(o, "after_ms", 0);
    f->late_ms = integer(o, "late_ms", 0);
    f->slow_ms = integer(o, "slow_ms", 20);
    f->effect = speedy_json_bool(speedy_json_get(o, "effect"),
                                 a != ANSWER_STATUS && a != ANSWER_REFUSE);
    f->status = (int)integer(o, "status", a == ANSWER_STATUS ? 500 : 0);
    f->code = (int)integer(o, "code", -500);
    text_take(o, "tid", f->tid, sizeof(f->tid));
    text_take(o, "order", f->order_id, sizeof(f->order_id));
    text_take(o, "extra_code", f->extra_code, sizeof(f->extra_code));
    text_take(o, "extra_message", f->extra_message, sizeof(f->extra_message));
    text_take(o, "wrong", f->wrong, sizeof(f->wrong));
    text_take(o, "missing", f->missing, sizeof(f->missing));
    f->body = text_copy(o, "body");
    f->value = text_copy(o, "value");
    return NULL;
}

static void fault_post(struct exchange *x)
{
    static const char *const names[] = {
        "operation", "count",  "skip",     "tid",        "order",
        "before_ms", "effect", "after_ms", "late_ms",    "slow_ms",
        "answer",    "status", "code",     "extra_code", "extra_message",
        "body",      "wrong",  "value",    "missing"};
    struct speedy_json *o = object(x, names, 19);
    struct fault f = {0};
    const char *why;
    int id;

    if (o == NULL)
        return;
    why = fault_take_in(o, &f);
    speedy_json_free(o);
    id = why == NULL ? fault_add(&f) : -1;
    if (id < 0) {
        fault_free(&f);
        failed(x, 400, why != NULL ? why : "too many faults");
        return;
    }
    speedy_buf_printf(&x->out, "{\"id\":%d}\n", id);
}

static void fault_delete(struct exchange *x)
{
    const char *id = x->path + strlen("/faults");

    if (!fault_remove(*id == '/' ? atoi(id + 1) : 0) && *id == '/')
        failed(x, 404, "no such fault");
    else
        speedy_buf_printf(&x->out, "{}\n");
}

static void forget(struct exchange *x)
{
    uint64_t record;

    fault_remove(0);
    ledger_lock();
    ledger_clear();
    journal_clear();
    settings = settings_usual;
    clock_offset_set(0);
    record = journal_settings();
    ledger_unlock();
    journal_sync(record);
    speedy_buf_printf(&x->out, "{}\n");
}

static void payment_get(struct exchange *x)
{
    struct payment *p;

    ledger_lock();
    p = ledger_by_tid(x->path + strlen("/payments/"));
    if (p != NULL)
        report_payment(&x->out, p);
    ledger_unlock();
    if (p == NULL)
        failed(x, 404, "no such payment");
}

static void ledger_get(struct exchange *x)
{
    ledger_lock();
    report_ledger(&x->out, exchange_query(x, "order"));
    ledger_unlock();
}

static void totals_get(struct exchange *x)
{
    ledger_lock();
    report_totals(&x->out);
    ledger_unlock();
}

static void settlement_get(struct exchange *x)
{
    const char *day = exchange_query(x, "day");
    int rc;

    ledger_lock();
    rc = report_settlement(&x->out, day != NULL ? day : "");
    ledger_unlock();
    if (rc != 0)
        failed(x, 400, "day is YYYY-MM-DD");
}

static void settings_get(struct exchange *x)
{
    settings_write(&x->out);
}

static void calls_get(struct exchange *x)
{
    api_calls_write(&x->out, exchange_query(x, "tid"));
}

static void faults_get(struct exchange *x)
{
    faults_write(&x->out);
}

/* A path that ends in a slash stands for all that begin with it. */
static const struct {
    const char *method, *path;
    void (*handle)(struct exchange *x);
} routes[] = {
    {"POST", "/payer", payer},
    {"GET", "/payments/", payment_get},
    {"GET", "/ledger", ledger_get},
    {"GET", "/totals", totals_get},
    {"GET", "/settlement", settlement_get},
    {"GET", "/calls", calls_get},
    {"GET", "/settings", settings_get},
    {"PUT", "/settings", settings_put},
    {"GET", "/clock", clock_tell},
    {"POST", "/clock", clock_post},
    {"GET", "/faults", faults_get},
    {"POST", "/faults", fault_post},
    {"DELETE", "/faults", fault_delete},
    {"DELETE", "/faults/", fault_delete},
    {"POST", "/reset", forget},
};

void control_handle(struct exchange *x)
{
    x->status = 200;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const char *path = routes[i].path;
        size_t len = strlen(path);

        if (strcmp(routes[i].method, x->method) == 0 &&
            (path[len - 1] == '/' ? strncmp(path, x->path, len)
                                  : strcmp(path, x->path)) == 0) {
            routes[i].handle(x);
            return;
        }
    }
    failed(x, 404, "no such path");
}
