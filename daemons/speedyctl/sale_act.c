/*
 * `sale pause`, `resume`, `close`, `postpone`, `extend`, `notice`,
 * `stop-all`: the acts of daemons/shop in words.
 */
#include "../shop/text.h"
#include "sale.h"

#include <stdio.h>
#include <string.h>

static int told(struct ctl *c, const char *id, const char *what)
{
    if (c->json) {
        struct speedy_buf b = {0};

        speedy_buf_printf(&b, "{\"id\":\"%s\",\"done\":", id);
        speedy_buf_json(&b, what);
        speedy_buf_printf(&b, "}");
        ctl_print(&b);
    } else {
        printf("sale %s: %s\n", id, what);
    }
    return CTL_DONE;
}

int ctl_sale_move(struct ctl *c)
{
    static struct speedy_sale s;
    const char *verb = strchr(c->command->name, ' ') + 1, *to = NULL;
    struct speedy_act a;
    int code = ctl_act_begin(c, &a);

    if (code == 0)
        code = sale_act_told(c, speedy_sale_move(&a, c->args[0], verb, &s, &to),
                             c->args[0], &s);
    speedy_buf_free(&a.detail);
    return code == 0 ? told(c, c->args[0], to) : code;
}

static int with_time(struct ctl *c,
                     int (*act)(struct speedy_act *a, const char *id,
                                int64_t time, struct speedy_sale *s),
                     const char *what)
{
    static struct speedy_sale s;
    struct speedy_act a;
    char text[96];
    int64_t time;
    int code;

    if (ctl_time(c->args[1], &time) != 0 || time <= 0)
        return ctl_usage(c,
                         "%s: give RFC 3339 with offset "
                         "(2026-12-01T10:00:00+09:00)",
                         c->args[1]);
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = sale_act_told(c, act(&a, c->args[0], time, &s), c->args[0], &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    snprintf(text, sizeof(text), "%s %s", what, ctl_time_text(time));
    return told(c, c->args[0], text);
}

int ctl_sale_postpone(struct ctl *c)
{
    return with_time(c, speedy_sale_postpone, "opens at");
}

int ctl_sale_extend(struct ctl *c)
{
    return with_time(c, speedy_sale_extend, "closes at");
}

int ctl_sale_notice(struct ctl *c)
{
    static struct speedy_sale s;
    struct speedy_act a;
    long length = speedy_text_length(c->args[1]);
    int code;

    if (length < 0 || length > SPEEDY_NOTICE_MAX)
        return ctl_usage(c, "a notice has at most %d characters of UTF-8",
                         SPEEDY_NOTICE_MAX);
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code =
            sale_act_told(c, speedy_sale_notice(&a, c->args[0], c->args[1], &s),
                          c->args[0], &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    return told(c, c->args[0], *c->args[1] ? "notice shown" : "no notice");
}

int ctl_sale_stop_all(struct ctl *c)
{
    struct speedy_act a;
    long stopped = 0;
    int code = ctl_act_begin(c, &a), n = 0;

    if (code == 0)
        n = speedy_sale_stop_all(&a, &stopped);
    speedy_buf_free(&a.detail);
    if (code != 0 || n != 0)
        return code != 0 ? code : ctl_db_failed(c, n);
    if (c->json)
        printf("{\"paused\":%ld}\n", stopped);
    else
        printf("%ld sale%s paused; sale resume ends a pause\n", stopped,
               stopped == 1 ? "" : "s");
    return CTL_DONE;
}
