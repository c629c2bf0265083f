/*
 * `dead-letter`: records of the topic that orderd could not read. They wait
 * in MySQL until somebody produces them again (after a fix) or says why they
 * do not count.
 */
#include "ctl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/kafka.h"

#define RETRY_TIMEOUT_MS 10000

struct letters {
    struct ctl *c;
    struct speedy_buf out;
    int n;
};

static void text_or_hex(struct speedy_buf *b, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++) {
        if (isprint(p[i]))
            speedy_buf_add(b, p + i, 1);
        else
            speedy_buf_printf(b, "\\x%02x", p[i]);
    }
}

static void json_text_or_hex(struct speedy_buf *b, const void *data, size_t len)
{
    struct speedy_buf text = {0};

    text_or_hex(&text, data, len);
    speedy_buf_json(b, text.len ? text.data : "");
    speedy_buf_free(&text);
}

/* id, topic, part, offset, error, created, resolved, resolution[, key, value]
 */
static void letter_json(struct speedy_buf *b, const struct speedy_db_value *col,
                        size_t cols)
{
    speedy_buf_printf(b,
                      "{\"id\":%lld,\"topic\":\"%s\",\"partition\":%lld,"
                      "\"offset\":%lld,\"error\":",
                      (long long)col[0].number, (const char *)col[1].bytes,
                      (long long)col[2].number, (long long)col[3].number);
    speedy_buf_json(b, col[4].bytes);
    speedy_buf_printf(b, ",\"created_at\":");
    ctl_json_time(b, col[5].number);
    speedy_buf_printf(b, ",\"resolved_at\":");
    ctl_json_time(b, col[6].number);
    speedy_buf_printf(b, ",\"resolution\":");
    speedy_buf_json(b, col[7].kind == SPEEDY_DB_NULL ? NULL : col[7].bytes);
    if (cols > 8) {
        speedy_buf_printf(b, ",\"key\":");
        json_text_or_hex(b, col[8].bytes, col[8].len);
        speedy_buf_printf(b, ",\"value\":");
        json_text_or_hex(b, col[9].bytes, col[9].len);
    }
    speedy_buf_printf(b, "}");
}

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct letters *l = data;

    if (l->c->json) {
        if (l->n > 0)
            speedy_buf_printf(&l->out, ",");
        letter_json(&l->out, col, cols);
    } else {
        speedy_buf_printf(&l->out, "%6lld  %s/%lld@%lld  %s  %s%s%s\n",
                          (long long)col[0].number, (const char *)col[1].bytes,
                          (long long)col[2].number, (long long)col[3].number,
                          ctl_time_text(col[5].number),
                          (const char *)col[4].bytes,
                          col[6].number ? "  resolved: " : "",
                          col[6].number ? (const char *)col[7].bytes : "");
    }
    l->n++;
    return 0;
}

#define LETTER_COLUMNS                                                         \
    "SELECT id, topic, part, offset_at, error, " CTL_MS(                       \
        "created_at") ", " CTL_MS("resolved_at") ", resolution"

int ctl_dead_letter_list(struct ctl *c)
{
    struct letters l = {.c = c};
    int64_t limit;
    int n = ctl_option_number(c, "limit", 50, 1, 100000, &limit);

    if (n != 0)
        return n;
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&l.out, "{\"data\":[");
    n = speedy_db_query(
        c->db,
        LETTER_COLUMNS " FROM dead_letters WHERE resolved_at "
                       "IS NULL OR ? = 1 ORDER BY id LIMIT ?",
        DB_ARGS(DB_INT(ctl_option(c, "all") != NULL), DB_INT(limit)), list_row,
        &l);
    if (n != 0) {
        speedy_buf_free(&l.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&l.out, "]}");
    else if (l.n == 0)
        speedy_buf_printf(&l.out, "no dead letters");
    ctl_print(&l.out);
    return CTL_DONE;
}

static int show_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct letters *l = data;

    l->n++;
    if (l->c->json) {
        letter_json(&l->out, col, cols);
        return 0;
    }
    list_row(data, col, cols);
    speedy_buf_printf(&l->out, "key    ");
    text_or_hex(&l->out, col[8].bytes, col[8].len);
    speedy_buf_printf(&l->out, "\nvalue  ");
    text_or_hex(&l->out, col[9].bytes, col[9].len);
    speedy_buf_printf(&l->out, "\n");
    return 0;
}

static int letter_id(struct ctl *c, int64_t *id)
{
    if (ctl_number(c->args[0], 1, INT64_MAX, id) != 0)
        return ctl_usage(c, "%s: give the number that dead-letter list shows",
                         c->args[0]);
    return ctl_db(c) == NULL ? CTL_REFUSED : 0;
}

int ctl_dead_letter_show(struct ctl *c)
{
    struct letters l = {.c = c};
    int64_t id;
    int n = letter_id(c, &id);

    if (n != 0)
        return n;
    n = speedy_db_query(c->db,
                        LETTER_COLUMNS ", record_key, record_value FROM "
                                       "dead_letters WHERE id = ?",
                        DB_ARGS(DB_INT(id)), show_row, &l);
    if (n == 0 && l.n == 0)
        n = ctl_refuse(c, "there is no dead letter %lld", (long long)id);
    else if (n != 0)
        n = ctl_db_failed(c, n);
    ctl_print(&l.out);
    return n;
}

struct letter {
    int64_t id, resolved_at;
    int found;
    char topic[128];
    struct speedy_buf key, value;
    const char *resolution;
};

static int letter_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct letter *l = data;

    (void)cols;
    l->found = 1;
    snprintf(l->topic, sizeof(l->topic), "%s", (const char *)col[0].bytes);
    l->resolved_at = col[1].number;
    speedy_buf_add(&l->key, col[2].bytes, col[2].len);
    speedy_buf_add(&l->value, col[3].bytes, col[3].len);
    return 0;
}

static int letter_read(struct ctl *c, struct letter *l)
{
    int n = letter_id(c, &l->id);

    if (n != 0)
        return n;
    n = speedy_db_query(
        c->db,
        "SELECT topic, " CTL_MS(
            "resolved_at") ", record_key, "
                           "record_value FROM dead_letters WHERE id = ?",
        DB_ARGS(DB_INT(l->id)), letter_row, l);
    if (n != 0)
        return ctl_db_failed(c, n);
    if (!l->found)
        return ctl_refuse(c, "there is no dead letter %lld", (long long)l->id);
    if (l->resolved_at != 0)
        return ctl_refuse(c, "dead letter %lld was resolved at %s",
                          (long long)l->id, ctl_time_text(l->resolved_at));
    return 0;
}

static int resolve_work(struct ctl *c, void *data)
{
    const struct letter *l = data;
    long affected = 0;
    int n = speedy_db_exec(c->db,
                           "UPDATE dead_letters SET resolved_at = "
                           "UTC_TIMESTAMP(3), resolution = ? WHERE id = ? AND "
                           "resolved_at IS NULL",
                           DB_ARGS(DB_TEXT(l->resolution), DB_INT(l->id)),
                           &affected);

    if (n != 0 || affected == 1)
        return n;
    ctl_refuse(c, "dead letter %lld was resolved by somebody else",
               (long long)l->id);
    return 1;
}

static int resolve(struct ctl *c, struct letter *l, const char *act,
                   const char *resolution)
{
    char object[32];
    int code;

    l->resolution = resolution;
    snprintf(object, sizeof(object), "%lld", (long long)l->id);
    code = ctl_act(c, act, object, resolve_work, l);
    if (code == 0 && c->json)
        printf("{\"id\":%lld,\"resolution\":\"%s\"}\n", (long long)l->id,
               act + strlen("dead-letter."));
    else if (code == 0)
        printf("dead letter %lld: %s\n", (long long)l->id, resolution);
    return code;
}

/* Produced first, marked after: twice is harmless, orders are deduplicated. */
static int produce(struct ctl *c, const struct letter *l)
{
    struct speedy_producer *p = speedy_producer_new("speedyctl", 5000);
    struct speedy_message m = {.topic = l->topic,
                               .partition = RD_KAFKA_PARTITION_UA,
                               .key = l->key.data,
                               .key_len = l->key.len,
                               .value = l->value.data,
                               .value_len = l->value.len};
    size_t sent;

    if (p == NULL)
        return ctl_refuse(c, "no producer: see the line above ([kafka] in "
                             "speedy.conf)");
    sent = speedy_producer_send(p, &m, 1, RETRY_TIMEOUT_MS);
    speedy_producer_free(p);
    if (sent == 1)
        return 0;
    return ctl_refuse(c, "Kafka did not acknowledge the record; the dead "
                         "letter stays open: try again");
}

int ctl_dead_letter_retry(struct ctl *c)
{
    struct letter l = {0};
    int code = letter_read(c, &l);

    if (code == 0)
        code = produce(c, &l);
    if (code == 0)
        code = resolve(c, &l, "dead-letter.retry", "produced again");
    speedy_buf_free(&l.key);
    speedy_buf_free(&l.value);
    return code;
}

int ctl_dead_letter_dismiss(struct ctl *c)
{
    struct letter l = {0};
    const char *reason = ctl_option(c, "reason");
    int code;

    if (reason == NULL || *reason == '\0')
        return ctl_usage(c, "--reason TEXT: say why the record does not count");
    code = letter_read(c, &l);
    if (code == 0)
        code = resolve(c, &l, "dead-letter.dismiss", reason);
    speedy_buf_free(&l.key);
    speedy_buf_free(&l.value);
    return code;
}
