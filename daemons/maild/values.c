/*
 * Money and times are written as people of the language write them; days and
 * hours are Seoul's, as everywhere in the shop.
 */
#include "values.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SEOUL_MS (9 * 3600 * 1000)

const char *const maild_languages[] = {"ko", "en", NULL};

/* Every mail may also say `shop` and `url`. */
const struct maild_kind maild_kinds[] = {
    {"verify", "code link"},
    {"signup_known", ""},
    {"reset", "name code link"},
    {"password_changed", "name"},
    {"welcome", "name"},
    {"account_ended", "name"},
    {"sale_opens", "name product sale_id opens_at"},
    {"order_paid", "name order_id item quantity amount"},
    {"order_shipped", "name order_id item quantity"},
    {"order_delivered", "name order_id item quantity"},
    {"order_cancelled", "name order_id item quantity amount"},
    {"order_returned", "name order_id item quantity amount"},
    {NULL, NULL}};

const struct maild_kind *maild_kind_find(const char *name)
{
    for (const struct maild_kind *k = maild_kinds; k->name != NULL; k++) {
        if (strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

static bool has_word(const char *words, const char *name, size_t len)
{
    while (*words != '\0') {
        size_t n = strcspn(words, " ");

        if (n == len && memcmp(words, name, n) == 0)
            return true;
        words += n;
        words += *words == ' ';
    }
    return false;
}

bool maild_field_known(const struct maild_kind *kind, const char *name,
                       size_t len)
{
    if (has_word("shop url", name, len))
        return true;
    return has_word(kind != NULL ? kind->fields : "content", name, len);
}

static bool korean(const char *language)
{
    return strcmp(language, "ko") == 0;
}

/* 1234567 as 1,234,567. */
static void grouped(struct speedy_buf *out, int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n);

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            speedy_buf_add(out, ",", 1);
        speedy_buf_add(out, &digits[i], 1);
    }
}

static int money(const struct speedy_json *v, const char *language,
                 struct speedy_buf *out)
{
    int64_t won;

    if (speedy_json_int(v, 0, INT64_C(1) << 50, &won) != 0)
        return -1;
    if (!korean(language))
        speedy_buf_printf(out, "KRW ");
    grouped(out, won);
    if (korean(language))
        speedy_buf_printf(out, "원");
    return 0;
}

/* RFC 3339 text, or Unix milliseconds. */
static int moment(const struct speedy_json *v, const char *language,
                  struct speedy_buf *out)
{
    static const char *const months[] = {
        "January", "February", "March",     "April",   "May",      "June",
        "July",    "August",   "September", "October", "November", "December"};
    const char *text = speedy_json_text(v);
    int64_t ms;
    time_t seconds;
    struct tm t;

    if (text != NULL ? speedy_time_parse(text, &ms) != 0
                     : speedy_json_int(v, 0, INT64_C(1) << 50, &ms) != 0)
        return -1;
    seconds = (time_t)((ms + SEOUL_MS) / 1000);
    gmtime_r(&seconds, &t);
    if (korean(language))
        speedy_buf_printf(out, "%d년 %d월 %d일 %02d:%02d", t.tm_year + 1900,
                          t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min);
    else
        speedy_buf_printf(out, "%d %s %d, %02d:%02d (Korean time)", t.tm_mday,
                          months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                          t.tm_min);
    return 0;
}

/* The product, and the variant where there is a choice. */
static int item(const struct speedy_json *params, struct speedy_buf *out)
{
    const char *product = speedy_json_text(speedy_json_get(params, "product"));
    const char *variant = speedy_json_text(speedy_json_get(params, "variant"));

    if (product == NULL)
        return -1;
    speedy_buf_printf(out, "%s", product);
    if (variant != NULL && strcmp(variant, "default") != 0)
        speedy_buf_printf(out, " (%s)", variant);
    return 0;
}

static int plain(const struct speedy_json *v, struct speedy_buf *out)
{
    const char *text = speedy_json_text(v);
    int64_t n;

    if (text != NULL)
        speedy_buf_printf(out, "%s", text);
    else if (speedy_json_int(v, 0, INT64_C(1) << 50, &n) == 0)
        grouped(out, n);
    else
        return -1;
    return 0;
}

static int given(const char *value, struct speedy_buf *out)
{
    if (value == NULL || *value == '\0')
        return -1;
    speedy_buf_printf(out, "%s", value);
    return 0;
}

int maild_value(const struct maild_values *v, const char *language,
                const char *name, struct speedy_buf *out)
{
    const struct speedy_json *param = speedy_json_get(v->params, name);

    if (strcmp(name, "name") == 0) {
        /* without a name: 고객님, Hello there */
        if (v->name == NULL || *v->name == '\0')
            return given(korean(language) ? "고객" : "there", out);
        return given(v->name, out);
    }
    if (strcmp(name, "code") == 0)
        return given(v->code, out);
    if (strcmp(name, "link") == 0)
        return given(v->link, out);
    if (strcmp(name, "shop") == 0)
        return given(v->shop, out);
    if (strcmp(name, "url") == 0)
        return given(v->url, out);
    if (strcmp(name, "item") == 0)
        return item(v->params, out);
    if (strcmp(name, "amount") == 0)
        return money(param, language, out);
    if (strcmp(name, "opens_at") == 0)
        return moment(param, language, out);
    return plain(param, out);
}
