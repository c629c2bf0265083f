/*
 * The report as one page: figures, two charts drawn as SVG, the proof. It
 * loads nothing and runs nothing, so that a saved copy is the whole of it.
 */
#include <stdio.h>
#include <string.h>

#include "report.h"

#define SEOUL_MINUTES 540
#define CHART_WIDTH 900
#define CHART_HEIGHT 220
#define CHART_LEFT 60
#define CHART_TOP 12

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">";
static const char style[] =
    "<style>body{font:15px/1.5 system-ui,sans-serif;color:#1a1f27;"
    "max-width:960px;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,"
    "1fr));gap:.6rem;margin:1rem 0}"
    ".card{border:1px solid #d5dae1;border-radius:8px;padding:.5rem .9rem}"
    ".card b{display:block;font-size:1.35rem}"
    ".card span,.dim{color:#5b6673}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e4e8ed}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".ok{color:#0b6b3a}.broken{color:#b3261e;font-weight:600}"
    "svg{width:100%;height:auto}text{font:12px system-ui,sans-serif;"
    "fill:#5b6673}</style>";

/* "2026-12-01 10:00:00": the page says once whose time it is. */
static void when(struct speedy_buf *b, int64_t ms)
{
    struct speedy_buf t = {0};

    if (ms == 0) {
        speedy_buf_printf(b, "&ndash;");
        return;
    }
    speedy_buf_time(&t, ms, SEOUL_MINUTES);
    speedy_buf_printf(b, "%.10s %.8s", t.data + 1, t.data + 12);
    speedy_buf_free(&t);
}

/* 1,234,567; below 0: not known. */
static void number(struct speedy_buf *b, int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n);

    if (n < 0) {
        speedy_buf_printf(b, "?");
        return;
    }
    for (int i = 0; i < len; i++)
        speedy_buf_printf(b, i > 0 && (len - i) % 3 == 0 ? ",%c" : "%c",
                          digits[i]);
}

static void cell(struct speedy_buf *b, int64_t n)
{
    speedy_buf_printf(b, "<td class=\"n\">");
    number(b, n);
}

static void card(struct speedy_buf *b, const char *what, int64_t n)
{
    speedy_buf_printf(b, "<div class=\"card\"><b>");
    number(b, n);
    speedy_buf_printf(b, "</b><span>%s</span></div>", what);
}

static void cards(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(b, "<div class=\"cards\">");
    card(b, "offered", r->total);
    card(b, "sold", r->sold);
    card(b, "held", r->held);
    card(b, "withheld", r->withheld);
    card(b, "left", r->left);
    card(b, "expired", r->expired);
    card(b, "cancelled", r->cancelled);
    card(b, "refunded", r->refunded);
    card(b, "orders", r->orders);
    card(b, "orders/s at most", r->peak);
    speedy_buf_printf(b, "</div>");
}

/* --- charts --- */

/* The least 1, 2 or 5 times a power of ten that takes most in four steps. */
static int64_t step_of(int64_t most)
{
    static const int64_t round[] = {1, 2, 5};

    for (int64_t ten = 1;; ten *= 10) {
        for (int i = 0; i < 3; i++) {
            if (round[i] * ten * 4 >= most)
                return round[i] * ten;
        }
    }
}

static void axis(struct speedy_buf *b, int64_t step)
{
    for (int i = 0; i <= 4; i++) {
        double y = CHART_TOP + CHART_HEIGHT * (4 - i) / 4.0;

        speedy_buf_printf(b,
                          "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" "
                          "stroke=\"#e4e8ed\"/><text x=\"%d\" y=\"%.1f\" "
                          "text-anchor=\"end\">",
                          CHART_LEFT, CHART_LEFT + CHART_WIDTH, y, y,
                          CHART_LEFT - 6, y + 4);
        number(b, step * i);
        speedy_buf_printf(b, "</text>");
    }
}

/* Arrivals over time; a stretch without orders has no bar. */
static void arrivals(struct speedy_buf *b, const struct speedy_report *r)
{
    int64_t most = 1, step = r->bar_seconds * 1000, begin, count;
    double width;

    if (r->bar_count == 0) {
        speedy_buf_printf(b, "<p class=\"dim\">No orders came.</p>");
        return;
    }
    begin = r->bars[0].at;
    count = (r->bars[r->bar_count - 1].at - begin) / step + 1;
    width = (double)CHART_WIDTH / (double)count;
    for (int i = 0; i < r->bar_count; i++) {
        if (r->bars[i].orders > most)
            most = r->bars[i].orders;
    }
    speedy_buf_printf(b,
                      "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\""
                      "orders over time\">",
                      CHART_LEFT + CHART_WIDTH + 10,
                      CHART_TOP + CHART_HEIGHT + 28);
    most = 4 * step_of(most);
    axis(b, most / 4);
    for (int i = 0; i < r->bar_count; i++) {
        double x =
            CHART_LEFT + (double)((r->bars[i].at - begin) / step) * width;
        double h = CHART_HEIGHT * (double)r->bars[i].orders / (double)most;

        speedy_buf_printf(b,
                          "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                          "height=\"%.2f\" fill=\"#2f6fde\"><title>",
                          x, CHART_TOP + CHART_HEIGHT - h,
                          width > 3 ? width - 1 : width, h);
        when(b, r->bars[i].at);
        speedy_buf_printf(b, ": ");
        number(b, r->bars[i].orders);
        speedy_buf_printf(b, "</title></rect>");
    }
    speedy_buf_printf(b, "<text x=\"%d\" y=\"%d\">", CHART_LEFT,
                      CHART_TOP + CHART_HEIGHT + 18);
    when(b, begin);
    speedy_buf_printf(b, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">",
                      CHART_LEFT + CHART_WIDTH, CHART_TOP + CHART_HEIGHT + 18);
    when(b, r->bars[r->bar_count - 1].at);
    speedy_buf_printf(b,
                      "</text></svg><p class=\"dim\">Orders in each %lld "
                      "s, by the moment of their reservation.</p>",
                      (long long)r->bar_seconds);
}

/* Where the units are, as one bar. */
static void units(struct speedy_buf *b, const struct speedy_report *r)
{
    const struct {
        const char *what, *colour;
        int64_t n;
    } parts[] = {
        {"sold", "#0b6b3a", r->sold},
        {"held", "#e0a100", r->held},
        {"withheld", "#8a5cd1", r->withheld},
        {"left", "#c3cad3", r->left < 0 ? 0 : r->left},
    };
    double x = 0, total = r->total > 0 ? (double)r->total : 1;

    speedy_buf_printf(b, "<svg viewBox=\"0 0 960 62\" role=\"img\" "
                         "aria-label=\"where the units are\">");
    for (size_t i = 0; i < 4; i++) {
        double w = 960 * (double)parts[i].n / total;

        speedy_buf_printf(b,
                          "<rect x=\"%.2f\" y=\"0\" width=\"%.2f\" "
                          "height=\"28\" fill=\"%s\"/><rect x=\"%zu\" y=\"42\" "
                          "width=\"12\" height=\"12\" fill=\"%s\"/><text "
                          "x=\"%zu\" y=\"53\">%s ",
                          x, w, parts[i].colour, i * 190, parts[i].colour,
                          i * 190 + 18, parts[i].what);
        number(b, parts[i].n);
        speedy_buf_printf(b, "</text>");
        x += w;
    }
    speedy_buf_printf(b, "</svg>");
}

/* --- tables --- */

static void variants(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(b, "<table><tr><th>variant<th class=\"n\">won<th "
                         "class=\"n\">offered<th class=\"n\">sold<th "
                         "class=\"n\">held<th class=\"n\">withheld<th "
                         "class=\"n\">left</tr>");
    for (int i = 0; i < r->sale.variant_count; i++) {
        const struct speedy_sale_variant *v = &r->sale.variant[i];
        const int64_t cells[] = {v->price, v->total,    v->sold,
                                 v->held,  v->withheld, v->left};

        speedy_buf_printf(b, "<tr><td>%s", v->id);
        for (size_t c = 0; c < sizeof(cells) / sizeof(cells[0]); c++)
            cell(b, cells[c]);
        speedy_buf_printf(b, "</tr>");
    }
    speedy_buf_printf(b, "</table>");
}

static void states(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(b, "<table><tr><th>state<th class=\"n\">orders<th "
                         "class=\"n\">units</tr>");
    for (int i = 0; i < r->state_count; i++) {
        speedy_buf_printf(b, "<tr><td>%s", r->states[i].state);
        cell(b, r->states[i].orders);
        cell(b, r->states[i].units);
        speedy_buf_printf(b, "</tr>");
    }
    speedy_buf_printf(b, "</table>");
}

static void proof(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(
        b, "<p class=\"%s\">%s</p><table>", r->conserved ? "ok" : "broken",
        r->conserved ? "Every unit is accounted for."
                     : "Units do not add up: somebody must look.");
    for (int i = 0; i < r->line_count; i++) {
        speedy_buf_printf(b, "<tr><td>%s<td>%s<td class=\"%s\">%s<td>",
                          r->lines[i].name, r->lines[i].what,
                          r->lines[i].verdict, r->lines[i].verdict);
        speedy_buf_html(b, r->lines[i].text);
        speedy_buf_printf(b, "</tr>");
    }
    speedy_buf_printf(b, "</table>");
}

void speedy_report_html(struct speedy_buf *b, const struct speedy_report *r)
{
    const struct speedy_sale *s = &r->sale;

    speedy_buf_add(b, head, sizeof(head) - 1);
    speedy_buf_printf(b, "<title>Sale %s</title>", s->id);
    speedy_buf_add(b, style, sizeof(style) - 1);
    speedy_buf_printf(b, "</head><body><h1>");
    speedy_buf_html(b, r->product_name);
    speedy_buf_printf(b, "</h1><p class=\"dim\">sale %s, %s &middot; opened ",
                      s->id, speedy_sale_word(s));
    when(b, s->opens_at);
    speedy_buf_printf(b, " &middot; closed ");
    when(b, s->closed_at != 0 ? s->closed_at : s->closes_at);
    speedy_buf_printf(b, "</p>");
    cards(b, r);
    speedy_buf_printf(b, "<p>");
    number(b, r->offered);
    speedy_buf_printf(b, " units at first, ");
    number(b, r->added);
    speedy_buf_printf(b, " added, ");
    number(b, r->taken);
    speedy_buf_printf(b, " taken.</p>");
    speedy_buf_printf(b, "<h2>Where the units are</h2>");
    units(b, r);
    variants(b, r);
    speedy_buf_printf(b, "<h2>Arrivals</h2>");
    arrivals(b, r);
    speedy_buf_printf(b, "<h2>Orders</h2>");
    states(b, r);
    speedy_buf_printf(b, "<h2>Conservation</h2>");
    proof(b, r);
    speedy_buf_printf(b, "<p class=\"dim\">As of ");
    when(b, s->now);
    speedy_buf_printf(b, ". Times are Korean (UTC+09:00).</p></body></html>\n");
}
