/*
 * `mail`: what was queued for whom (ids only), what came of it, and sending
 * again what has failed. Addresses and texts stand nowhere in it.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/mail_again.h"

#define RETRY_PAGE 200

struct mails {
    struct ctl *c;
    struct speedy_buf out;
    int n;
};

#define MAIL_COLUMNS                                                                   \
    "SELECT id, kind, COALESCE(user_id, ''), state, attempts, "                        \
    "COALESCE(reply_code, 0), COALESCE(reply, ''), " CTL_MS("created_at") ", " CTL_MS( \
        "next_at") ", " CTL_MS("expires_at") ", " CTL_MS("ended_at") ", "              \
                                                                     "COALESCE(claimed_by, ''), request_id, params FROM mails"

static const char *text(const struct speedy_db_value *v)
{
    return v->kind == SPEEDY_DB_BYTES ? v->bytes : "";
}

static void id_text(const struct speedy_db_value *v, char out[37])
{
    unsigned char id[16] = {0};

    if (v->kind == SPEEDY_DB_BYTES && v->len == sizeof(id))
        memcpy(id, v->bytes, sizeof(id));
    speedy_uuid_text(id, out);
}

static void mail_json(struct speedy_buf *b, const struct speedy_db_value *col)
{
    static const char *const times[] = {"created_at", "next_at", "expires_at",
                                        "ended_at"};
    char id[37];

    id_text(&col[0], id);
    speedy_buf_printf(b, "{\"id\":\"%s\",\"kind\":\"%s\",\"user_id\":", id,
                      text(&col[1]));
    speedy_buf_json(b, *text(&col[2]) ? text(&col[2]) : NULL);
    speedy_buf_printf(b,
                      ",\"state\":\"%s\",\"attempts\":%lld,\"reply_code\":%lld,"
                      "\"reply\":",
                      text(&col[3]), (long long)col[4].number,
                      (long long)col[5].number);
    speedy_buf_json(b, text(&col[6]));
    for (int i = 0; i < 4; i++) {
        speedy_buf_printf(b, ",\"%s\":", times[i]);
        ctl_json_time(b, col[7 + i].number);
    }
    speedy_buf_printf(b, ",\"claimed_by\":");
    speedy_buf_json(b, *text(&col[11]) ? text(&col[11]) : NULL);
    speedy_buf_printf(b, ",\"request_id\":");
    speedy_buf_json(b, text(&col[12]));
    speedy_buf_printf(b, ",\"params\":%s}",
                      *text(&col[13]) ? text(&col[13]) : "{}");
}

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct mails *m = data;
    char id[37];

    (void)cols;
    id_text(&col[0], id);
    if (m->c->json) {
        if (m->n > 0)
            speedy_buf_printf(&m->out, ",");
        mail_json(&m->out, col);
    } else {
        speedy_buf_printf(&m->out, "%s  %-16s %-8s %2lld  %3lld %-24s %s  %s\n",
                          id, text(&col[1]), text(&col[3]),
                          (long long)col[4].number, (long long)col[5].number,
                          text(&col[6]), ctl_time_text(col[7].number),
                          text(&col[2]));
    }
    m->n++;
    return 0;
}

int ctl_mail_list(struct ctl *c)
{
    struct mails m = {.c = c};
    const char *state = ctl_option(c, "state"), *user = ctl_option(c, "user");
    int64_t limit;
    int n = ctl_option_number(c, "limit", 50, 1, 100000, &limit);

    if (n != 0)
        return n;
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&m.out, "{\"data\":[");
    n = speedy_db_query(c->db,
                        MAIL_COLUMNS " WHERE (? = '' OR state = ?)"
                                     " AND (? = '' OR user_id = ?)"
                                     " ORDER BY created_at DESC, id LIMIT ?",
                        DB_ARGS(DB_TEXT(state ? state : ""),
                                DB_TEXT(state ? state : ""),
                                DB_TEXT(user ? user : ""),
                                DB_TEXT(user ? user : ""), DB_INT(limit)),
                        list_row, &m);
    if (n != 0) {
        speedy_buf_free(&m.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&m.out, "]}");
    else if (m.n == 0)
        speedy_buf_printf(&m.out, "no mail");
    ctl_print(&m.out);
    return CTL_DONE;
}

static int show_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct mails *m = data;
    struct speedy_buf *b = &m->out;
    char id[37];

    (void)cols;
    m->n++;
    if (m->c->json) {
        mail_json(b, col);
        return 0;
    }
    id_text(&col[0], id);
    speedy_buf_printf(b,
                      "mail       %s\nkind       %s\nuser       %s\n"
                      "state      %s\nattempts   %lld\n"
                      "reply      %lld %s\n",
                      id, text(&col[1]), *text(&col[2]) ? text(&col[2]) : "-",
                      text(&col[3]), (long long)col[4].number,
                      (long long)col[5].number, text(&col[6]));
    speedy_buf_printf(b, "created    %s\n", ctl_time_text(col[7].number));
    speedy_buf_printf(b, "next try   %s\n", ctl_time_text(col[8].number));
    speedy_buf_printf(b, "useful to  %s\n", ctl_time_text(col[9].number));
    speedy_buf_printf(b, "ended      %s\n", ctl_time_text(col[10].number));
    speedy_buf_printf(b, "claimed by %s\nrequest    %s\nparams     %s\n",
                      *text(&col[11]) ? text(&col[11]) : "-",
                      *text(&col[12]) ? text(&col[12]) : "-", text(&col[13]));
    return 0;
}

static int mail_id(struct ctl *c, unsigned char id[16])
{
    if (speedy_uuid_parse(c->args[0], strlen(c->args[0]), id) != 0)
        return ctl_usage(c, "%s: give the id that mail list shows", c->args[0]);
    return ctl_db(c) == NULL ? CTL_REFUSED : 0;
}

int ctl_mail_show(struct ctl *c)
{
    struct mails m = {.c = c};
    unsigned char id[16];
    int n = mail_id(c, id);

    if (n != 0)
        return n;
    n = speedy_db_query(c->db, MAIL_COLUMNS " WHERE id = ?",
                        DB_ARGS(DB_BYTES(id, 16)), show_row, &m);
    if (n == 0 && m.n == 0)
        n = ctl_refuse(c, "there is no mail %s", c->args[0]);
    else if (n != 0)
        n = ctl_db_failed(c, n);
    ctl_print(&m.out);
    return n;
}

/* Ids of one page of failed mails. */
struct retry {
    unsigned char id[RETRY_PAGE][16];
    int count;
    long done;
};

static int retry_work(struct ctl *c, void *data)
{
    struct retry *r = data;

    r->done = 0;
    for (int i = 0; i < r->count; i++) {
        int n = speedy_mail_again(c->db, r->id[i]);

        if (n < 0)
            return n;
        r->done += n;
    }
    if (r->done > 0)
        return 0;
    ctl_refuse(c, "there is no such mail, or it was sent, is being sent, or "
                  "has nobody to tell");
    return 1;
}

static int failed_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct retry *r = data;

    (void)cols;
    memcpy(r->id[r->count++], col[0].bytes, 16);
    return r->count == RETRY_PAGE;
}

/* Page by page, an act each. */
static int retry_failed(struct ctl *c, long *total)
{
    static struct retry r;
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    for (;;) {
        r.count = 0;
        n = speedy_db_query(c->db,
                            "SELECT id FROM mails WHERE state = 'FAILED'"
                            " ORDER BY next_at LIMIT 200",
                            DB_NONE, failed_row, &r);
        if (n != 0)
            return ctl_db_failed(c, n);
        if (r.count == 0)
            return CTL_DONE;
        n = ctl_act(c, "mail.retry", "failed", retry_work, &r);
        if (n != CTL_DONE)
            return n;
        *total += r.done;
    }
}

int ctl_mail_retry(struct ctl *c)
{
    static struct retry r;
    bool failed = ctl_option(c, "failed") != NULL;
    long total = 0;
    int n;

    if (failed == (c->arg_count == 1))
        return ctl_usage(c, "give an id, or --failed");
    if (failed) {
        n = retry_failed(c, &total);
    } else {
        n = mail_id(c, r.id[0]);
        r.count = 1;
        if (n == 0)
            n = ctl_act(c, "mail.retry", c->args[0], retry_work, &r);
        total = r.done;
    }
    if (n != CTL_DONE)
        return n;
    if (c->json)
        printf("{\"queued\":%ld}\n", total);
    else
        printf("%ld %s queued again\n", total, total == 1 ? "mail" : "mails");
    return CTL_DONE;
}
