/*
 * `states`: prints the one table of moves, as text, JSON or a table for the
 * docs, so that no second copy of it has to be kept true by hand.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "../shop/states.h"
#include "sale.h"

static const char *units_text(const struct speedy_move *m)
{
    const struct speedy_state *from = speedy_state_find(m->from);
    const struct speedy_state *to = speedy_state_find(m->to);
    enum speedy_units a = from ? from->units : SPEEDY_UNITS_NONE;
    enum speedy_units b = to ? to->units : SPEEDY_UNITS_NONE;
    static const char *const text[3][3] = {
        {"", "held +", "sold +"},
        {"held -, release", "", "held -> sold"},
        {"sold -, restock policy", "sold -> held", ""},
    };

    return text[a][b];
}

static const char *from_text(const struct speedy_move *m)
{
    return m->from[0] ? m->from : "-";
}

static void print_json(void)
{
    struct speedy_buf b = {0};

    speedy_buf_printf(&b, "{\"orders\":[");
    for (size_t i = 0; i < speedy_move_count; i++) {
        const struct speedy_move *m = &speedy_moves[i];

        speedy_buf_printf(&b, "%s{\"from\":", i ? "," : "");
        speedy_buf_json(&b, m->from[0] ? m->from : NULL);
        speedy_buf_printf(&b,
                          ",\"to\":\"%s\",\"who\":\"%s\",\"condition\":", m->to,
                          m->actors);
        speedy_buf_json(&b, m->condition);
        speedy_buf_printf(&b, ",\"units\":\"%s\"}", units_text(m));
    }
    speedy_buf_printf(&b, "],\"sales\":[");
    for (size_t i = 0; i < speedy_sale_move_count; i++)
        speedy_buf_printf(&b,
                          "%s{\"from\":\"%s\",\"to\":\"%s\",\"who\":\"%s\","
                          "\"act\":\"%s\"}",
                          i ? "," : "", speedy_sale_moves[i].from,
                          speedy_sale_moves[i].to, speedy_sale_moves[i].who,
                          speedy_sale_moves[i].act);
    speedy_buf_printf(&b, "]}");
    ctl_print(&b);
}

int ctl_states(struct ctl *c)
{
    bool markdown = ctl_option(c, "markdown") != NULL;
    const char *row = markdown ? "| %s | %s | %s | %s | %s |\n"
                               : "%-16s  %-16s  %-24s  %-29s  %s\n";

    if (c->json) {
        print_json();
        return CTL_DONE;
    }
    printf(row, "from", "to", "who", "condition", "units");
    if (markdown)
        printf("|---|---|---|---|---|\n");
    for (size_t i = 0; i < speedy_move_count; i++) {
        const struct speedy_move *m = &speedy_moves[i];

        printf(row, from_text(m), m->to, m->actors, m->condition,
               units_text(m));
    }
    printf("\nSales:\n\n");
    if (markdown)
        printf("| from | to | who | act |\n|---|---|---|---|\n");
    for (size_t i = 0; i < speedy_sale_move_count; i++)
        printf(markdown ? "| %s | %s | %s | %s |\n"
                        : "%-16s  %-16s  %-24s  %s\n",
               speedy_sale_moves[i].from, speedy_sale_moves[i].to,
               speedy_sale_moves[i].who, speedy_sale_moves[i].act);
    return CTL_DONE;
}
