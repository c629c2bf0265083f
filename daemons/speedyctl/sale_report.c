/*
 * `sale report`: what came of a sale, as text, JSON or a page with charts.
 * Of a sale that is over the auditor proves the conservation of its units.
 */
#include <stdio.h>
#include <string.h>

#include "../shop/report.h"
#include "audit.h"
#include "sale.h"

static void print_text(const struct speedy_report *r)
{
    printf("sale %s: %s\noffered    %lld units (%lld at first, %lld added, "
           "%lld taken)\nheld       %lld\nsold       %lld\nwithheld   %lld\n",
           r->sale.id, speedy_sale_word(&r->sale), (long long)r->total,
           (long long)r->offered, (long long)r->added, (long long)r->taken,
           (long long)r->held, (long long)r->sold, (long long)r->withheld);
    if (r->left >= 0)
        printf("left       %lld\n", (long long)r->left);
    else
        printf("left       not known (%s)\n", sale_gate_word(&r->sale));
    printf("expired    %lld units\ncancelled  %lld units\nrefunded   %lld "
           "units\norders     %lld (",
           (long long)r->expired, (long long)r->cancelled,
           (long long)r->refunded, (long long)r->orders);
    for (int i = 0; i < r->state_count; i++)
        printf("%s%s %lld", i ? ", " : "", r->states[i].state,
               (long long)r->states[i].orders);
    printf("%s)\nfirst      %s\nlast       %s\npeak       %lld orders a second"
           "\nconserved  %s\n",
           r->state_count ? "" : "none", ctl_time_text(r->first),
           ctl_time_text(r->last), (long long)r->peak,
           r->conserved ? "yes" : "NO");
    for (int i = 0; i < r->line_count; i++)
        printf("  %-3s %-8s %s: %s\n", r->lines[i].name, r->lines[i].verdict,
               r->lines[i].what, r->lines[i].text);
}

/* A line of the auditor becomes one of the report. */
static void audited(void *data, const struct audit_line *l, const char *what)
{
    char text[200] = "";

    if (l->broken > 0 && l->examples.len > 0)
        snprintf(text, sizeof(text), "%.*s",
                 (int)strcspn(l->examples.data, "\n"), l->examples.data);
    else if (l->figures.len > 0)
        snprintf(text, sizeof(text), "%s", l->figures.data);
    speedy_report_line(data, l->name, what,
                       l->broken    ? "broken"
                       : l->skipped ? "skipped"
                                    : "ok",
                       text);
}

static int prove(struct ctl *c, struct speedy_report *r)
{
    const char *word = speedy_sale_word(&r->sale);
    int64_t wait;
    int code = ctl_option_duration(c, "wait", 5000, &wait);

    if (code != 0 || strcmp(word, "upcoming") == 0 ||
        strcmp(word, "open") == 0 || strcmp(word, "paused") == 0)
        return code;
    r->line_count = 0;
    r->conserved = true;
    return audit_of_sale(c, r->sale.id, wait, audited, r);
}

static int write_page(struct ctl *c, const struct speedy_report *r,
                      const char *path)
{
    struct speedy_buf b = {0};
    FILE *f = fopen(path, "we");
    size_t n;

    if (f == NULL)
        return ctl_refuse(c, "%s cannot be written", path);
    speedy_report_html(&b, r);
    n = fwrite(b.data, 1, b.len, f);
    if (fclose(f) != 0 || n != b.len) {
        speedy_buf_free(&b);
        return ctl_refuse(c, "%s cannot be written whole", path);
    }
    speedy_buf_free(&b);
    return CTL_DONE;
}

static int show(struct ctl *c, const struct speedy_report *r)
{
    const char *path = ctl_option(c, "html");
    struct speedy_buf b = {0};
    int code = path != NULL ? write_page(c, r, path) : CTL_DONE;

    if (code != CTL_DONE)
        return code;
    if (c->json) {
        speedy_report_json(&b, r);
        ctl_print(&b);
    } else {
        print_text(r);
    }
    return CTL_DONE;
}

int ctl_sale_report(struct ctl *c)
{
    struct speedy_report *r = NULL;
    int n, code = 0;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->redis == NULL)
        c->redis = speedy_redis_new();
    n = speedy_report_read(c->db, c->redis, c->args[0], &r);
    if (n == 0)
        return ctl_refuse(c, "there is no sale %s: see sale list", c->args[0]);
    if (n < 0)
        return ctl_db_failed(c, n);
    code = prove(c, r);
    if (code == 0)
        code = show(c, r);
    speedy_report_free(r);
    return code;
}
