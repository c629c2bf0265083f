/*
 * The fields of a request: JSON members (open-api) or a form (legacy), checked
 * against the documented tables. What the tables do not name is refused too,
 * which KakaoPay itself may not do: a field that is none is a mistake of the
 * client's that a test should see. Integers come as numbers or as quoted
 * digits, as in the official sample.
 */
#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemons/common/crypto.h"

#define BODY_MAX 65536
#define INTEGER_DIGITS 15

enum kind { K_TEXT, K_INTEGER, K_CARDS, K_YES_NO, K_MAP };

struct rule {
    const char *name;
    enum kind kind;
    bool required;
    size_t min, max; /* characters */
};

static const struct rule ready_rules[] = {
    {"cid", K_TEXT, true, 10, 10},
    {"cid_secret", K_TEXT, false, 24, 24},
    {"partner_order_id", K_TEXT, true, 1, 100},
    {"partner_user_id", K_TEXT, true, 1, 100},
    {"item_name", K_TEXT, true, 1, 100},
    {"item_code", K_TEXT, false, 1, 100},
    {"quantity", K_INTEGER, true, 0, 0},
    {"total_amount", K_INTEGER, true, 0, 0},
    {"tax_free_amount", K_INTEGER, true, 0, 0},
    {"vat_amount", K_INTEGER, false, 0, 0},
    {"green_deposit", K_INTEGER, false, 0, 0},
    {"approval_url", K_TEXT, true, 1, 255},
    {"cancel_url", K_TEXT, true, 1, 255},
    {"fail_url", K_TEXT, true, 1, 255},
    {"available_cards", K_CARDS, false, 0, 0},
    {"payment_method_type", K_TEXT, false, 1, 20},
    {"install_month", K_INTEGER, false, 0, 0},
    {"use_share_installment", K_YES_NO, false, 1, 1},
    {"custom_json", K_MAP, false, 0, 0},
    {"redirect_scheme_url", K_TEXT, false, 1, 255},
    {0},
};
static const struct rule approve_rules[] = {
    {"cid", K_TEXT, true, 10, 10},
    {"cid_secret", K_TEXT, false, 24, 24},
    {"tid", K_TEXT, true, 20, 20},
    {"partner_order_id", K_TEXT, true, 1, 100},
    {"partner_user_id", K_TEXT, true, 1, 100},
    {"pg_token", K_TEXT, true, 1, 255},
    {"payload", K_TEXT, false, 0, 200},
    {"total_amount", K_INTEGER, false, 0, 0},
    {0},
};
static const struct rule cancel_rules[] = {
    {"cid", K_TEXT, true, 10, 10},
    {"cid_secret", K_TEXT, false, 24, 24},
    {"tid", K_TEXT, true, 20, 20},
    {"cancel_amount", K_INTEGER, true, 0, 0},
    {"cancel_tax_free_amount", K_INTEGER, true, 0, 0},
    {"cancel_vat_amount", K_INTEGER, false, 0, 0},
    {"cancel_available_amount", K_INTEGER, false, 0, 0},
    {"payload", K_TEXT, false, 0, 200},
    {0},
};
static const struct rule order_rules[] = {
    {"cid", K_TEXT, true, 10, 10},
    {"cid_secret", K_TEXT, false, 24, 24},
    {"tid", K_TEXT, true, 20, 20},
    {0},
};
static const struct rule *const rules[OP_COUNT] = {
    [OP_READY] = ready_rules,
    [OP_APPROVE] = approve_rules,
    [OP_CANCEL] = cancel_rules,
    [OP_ORDER] = order_rules,
};
static const char *const cards[] = {
    "SHINHAN", "KB",   "HYUNDAI", "LOTTE",     "SAMSUNG",  "NH",
    "BC",      "HANA", "CITI",    "KAKAOBANK", "KAKAOPAY", "WOORIONLY",
};

static int wrong(struct params *p, const char *name, const char *what)
{
    snprintf(p->wrong, sizeof(p->wrong), "invalid param(%s %s)", name, what);
    return -1;
}

static const struct rule *rule_find(enum operation op, const char *name)
{
    for (const struct rule *r = rules[op]; r->name != NULL; r++) {
        if (strcmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

static int add(struct params *p, const char *name, const char *text)
{
    if (param_text(p, name) != NULL)
        return wrong(p, name, "stands twice");
    if (p->count == PARAMS_MAX)
        return wrong(p, name, "is one too many");
    p->item[p->count].name = strdup(name);
    p->item[p->count++].text = strdup(text);
    return 0;
}

/* Characters, or -1 when it is not UTF-8 or holds a control. */
static long characters(const char *text)
{
    size_t len = strlen(text), n;
    long count = 0;

    for (size_t i = 0; i < len; i += n, count++) {
        n = speedy_utf8_length(text + i, len - i);
        if (n == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return -1;
    }
    return count;
}

static bool is_integer(const char *text)
{
    size_t digits = strspn(text + (*text == '-'), "0123456789");

    return digits > 0 && digits <= INTEGER_DIGITS &&
           text[digits + (*text == '-')] == '\0';
}

static bool is_card(const struct speedy_json *v)
{
    const char *name = speedy_json_text(v);

    return name != NULL &&
           name_find(cards, sizeof(cards) / sizeof(cards[0]), name) >= 0;
}

/* An array of card names, or a map of texts. */
static bool is_structure(const struct speedy_json *v, enum kind kind)
{
    enum speedy_json_type want =
        kind == K_CARDS ? SPEEDY_JSON_ARRAY : SPEEDY_JSON_OBJECT;

    if (speedy_json_type(v) != want)
        return false;
    for (size_t i = 0; i < speedy_json_count(v); i++) {
        const struct speedy_json *item = speedy_json_at(v, i);

        if (kind == K_CARDS ? !is_card(item) : speedy_json_text(item) == NULL)
            return false;
    }
    return true;
}

static bool is_structure_text(const char *text, enum kind kind)
{
    enum speedy_json_error error;
    struct speedy_json *v =
        speedy_json_parse(text, strlen(text), BODY_MAX, 4, &error);
    bool good = v != NULL && is_structure(v, kind);

    speedy_json_free(v);
    return good;
}

static int check(struct params *p, const struct rule *r, const char *text)
{
    long n;

    switch (r->kind) {
    case K_INTEGER:
        return is_integer(text) ? 0 : wrong(p, r->name, "has invalid value");
    case K_YES_NO:
        return strcmp(text, "Y") == 0 || strcmp(text, "N") == 0
                   ? 0
                   : wrong(p, r->name, "has invalid value");
    case K_CARDS:
    case K_MAP:
        return is_structure_text(text, r->kind)
                   ? 0
                   : wrong(p, r->name, "has invalid value");
    case K_TEXT:
        break;
    }
    n = characters(text);
    if (n < 0 || (size_t)n < r->min)
        return wrong(p, r->name, "has invalid value");
    return (size_t)n <= r->max ? 0 : wrong(p, r->name, "is too long");
}

static int check_all(struct params *p, enum operation op)
{
    for (const struct rule *r = rules[op]; r->name != NULL; r++) {
        const char *text = param_text(p, r->name);

        if (text == NULL && r->required)
            return wrong(p, r->name, "is required");
        if (text != NULL && check(p, r, text) != 0)
            return -1;
    }
    return 0;
}

static int json_member(struct params *p, const struct rule *r,
                       const struct speedy_json *v)
{
    char number[32];
    int64_t n;

    switch (speedy_json_type(v)) {
    case SPEEDY_JSON_TEXT:
        if (r->kind == K_CARDS || r->kind == K_MAP)
            return wrong(p, r->name, "has invalid type");
        return add(p, r->name, speedy_json_text(v));
    case SPEEDY_JSON_INT:
        if (r->kind != K_INTEGER)
            return wrong(p, r->name, "has invalid type");
        speedy_json_int(v, INT64_MIN, INT64_MAX, &n);
        snprintf(number, sizeof(number), "%lld", (long long)n);
        return add(p, r->name, number);
    default:
        if ((r->kind != K_CARDS && r->kind != K_MAP) ||
            !is_structure(v, r->kind))
            return wrong(p, r->name, "has invalid type");
        return add(p, r->name, r->kind == K_CARDS ? "[]" : "{}");
    }
}

static int read_json(struct params *p, enum operation op, const char *body,
                     size_t len)
{
    enum speedy_json_error error;
    struct speedy_json *root =
        speedy_json_parse(body, len, BODY_MAX, 4, &error);
    int rc = 0;

    if (root == NULL || speedy_json_type(root) != SPEEDY_JSON_OBJECT) {
        speedy_json_free(root);
        return wrong(p, "body", "is not a JSON object");
    }
    for (size_t i = 0; rc == 0 && i < speedy_json_count(root); i++) {
        const char *name = speedy_json_key(root, i);
        const struct rule *r = rule_find(op, name);

        rc = r == NULL ? wrong(p, name, "is not a field")
                       : json_member(p, r, speedy_json_at(root, i));
    }
    speedy_json_free(root);
    return rc;
}

/* Decodes len bytes in place of out (len + 1). 0 or -1. */
static int form_decode(const char *text, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= len || speedy_hex_digit(text[i + 1]) < 0 ||
                speedy_hex_digit(text[i + 2]) < 0)
                return -1;
            c = speedy_hex_digit(text[i + 1]) * 16 +
                speedy_hex_digit(text[i + 2]);
            i += 2;
        }
        if (c == '\0')
            return -1;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return 0;
}

static int form_pair(struct params *p, enum operation op, const char *pair,
                     size_t len)
{
    const char *eq = memchr(pair, '=', len);
    char *name = malloc(len + 1), *text = malloc(len + 1);
    int rc;

    if (name == NULL || text == NULL)
        abort();
    if (eq == NULL || form_decode(pair, (size_t)(eq - pair), name) != 0 ||
        form_decode(eq + 1, len - (size_t)(eq - pair) - 1, text) != 0)
        rc = wrong(p, "body", "is not a form");
    else if (rule_find(op, name) == NULL)
        rc = wrong(p, name, "is not a field");
    else
        rc = add(p, name, text);
    free(name);
    free(text);
    return rc;
}

static int read_form(struct params *p, enum operation op, const char *body,
                     size_t len)
{
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(body + at, '&', len - at);
        size_t n = end != NULL ? (size_t)(end - body) - at : len - at;

        if (form_pair(p, op, body + at, n) != 0)
            return -1;
        at += n + 1;
    }
    return 0;
}

int params_read(struct params *p, enum generation gen, enum operation op,
                const char *body, size_t len)
{
    *p = (struct params){0};
    if ((gen == GEN_OPEN ? read_json : read_form)(p, op, body, len) != 0)
        return -1;
    return check_all(p, op);
}

void params_free(struct params *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->item[i].name);
        free(p->item[i].text);
    }
    p->count = 0;
}

const char *param_text(const struct params *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->item[i].name, name) == 0)
            return p->item[i].text;
    }
    return NULL;
}

int64_t param_int(const struct params *p, const char *name, int64_t fallback)
{
    const char *text = param_text(p, name);

    return text == NULL ? fallback : strtoll(text, NULL, 10);
}
