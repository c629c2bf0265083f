/*
 * A template is kept as its text and walked each time: mails are few and
 * short, so nothing is compiled. All files are read and checked at the start,
 * so that a wrong one is found by `maild -t` and not by a shopper.
 */
#include "templates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

#define FILE_MAX 65536
#define PATH_BYTES 1024
#define KINDS_MAX 32
#define LANGUAGES_MAX 4
#define NAME_MAX_BYTES 32
#define SUBJECT "Subject: "

struct words {
    char *subject, *text, *html;
};

struct maild_templates {
    struct words kind[KINDS_MAX][LANGUAGES_MAX];
    char *layout[LANGUAGES_MAX];
};

/* One loading. */
struct loader {
    const char *dir;
    FILE *errors;
    int bad;
    char path[PATH_BYTES];
};

/* How values are put into the text around them. */
enum escape { IN_TEXT, IN_SUBJECT, IN_HTML };

struct filler {
    const struct maild_values *values;
    const char *language, *content; /* content: of a layout */
    enum escape escape;
    const char *missing;
};

static void complain(struct loader *l, int line, const char *what,
                     const char *name, size_t len)
{
    l->bad++;
    fprintf(l->errors, "%s:%d: %s%.*s\n", l->path, line, what, (int)len, name);
}

static char *file_read(struct loader *l, const char *name, const char *language,
                       const char *ending)
{
    char *text;
    FILE *f;
    size_t n;

    snprintf(l->path, sizeof(l->path), "%s/%s.%s.%s", l->dir, name, language,
             ending);
    f = fopen(l->path, "re");
    if (f == NULL) {
        complain(l, 0, strerror(errno), "", 0);
        return NULL;
    }
    text = calloc(1, FILE_MAX + 1);
    n = text != NULL ? fread(text, 1, FILE_MAX, f) : 0;
    if (text != NULL && (n == FILE_MAX || strlen(text) != n)) {
        complain(l, 0, "longer than 64 KB, or with a NUL byte", "", 0);
        n = 0;
        text[0] = '\0';
    }
    fclose(f);
    return text;
}

/* The next `{{name}}`; *name, *len of it. Where it begins, or NULL. */
static const char *next_field(const char *text, const char **name, size_t *len)
{
    const char *open = strstr(text, "{{"), *close;

    if (open == NULL)
        return NULL;
    close = strstr(open, "}}");
    *name = open + 2;
    *len = close != NULL ? (size_t)(close - open - 2) : 0;
    return open;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;

    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

static void check_utf8(struct loader *l, const char *text)
{
    for (const char *c = text; *c != '\0';) {
        size_t n = speedy_utf8_length(c, strlen(c));

        if (n == 0) {
            complain(l, line_of(text, c), "not UTF-8", "", 0);
            return;
        }
        c += n;
    }
}

static void check_fields(struct loader *l, const struct maild_kind *kind,
                         const char *text)
{
    const char *name = NULL, *at = text;
    size_t len;

    check_utf8(l, text);
    while ((at = next_field(at, &name, &len)) != NULL) {
        if (len == 0 || len >= NAME_MAX_BYTES)
            complain(l, line_of(text, at), "{{ without its }}", "", 0);
        else if (!maild_field_known(kind, name, len))
            complain(l, line_of(text, at), "this kind of mail has no field ",
                     name, len);
        at = name + len;
    }
}

/* Parts the first line from the text. The text, or NULL. */
static char *take_subject(struct loader *l, char *file, char **subject)
{
    char *end = strchr(file, '\n');

    if (end == NULL || strncmp(file, SUBJECT, strlen(SUBJECT)) != 0 ||
        end <= file + strlen(SUBJECT) || end[1] != '\n') {
        complain(l, 1, "must begin with `Subject: …` and an empty line", "", 0);
        return NULL;
    }
    *end = '\0';
    *subject = strdup(file + strlen(SUBJECT));
    end = strdup(end + 2);
    if (*subject == NULL || end == NULL)
        abort();
    return end;
}

static void load_kind(struct loader *l, const struct maild_kind *kind,
                      const char *language, struct words *out)
{
    char *file = file_read(l, kind->name, language, "txt");

    if (file != NULL) {
        check_fields(l, kind, file);
        out->text = take_subject(l, file, &out->subject);
        free(file);
    }
    out->html = file_read(l, kind->name, language, "html");
    if (out->html != NULL)
        check_fields(l, kind, out->html);
}

static void load_layout(struct loader *l, const char *language, char **out)
{
    const char *at;

    *out = file_read(l, "layout", language, "html");
    if (*out == NULL)
        return;
    check_fields(l, NULL, *out);
    at = strstr(*out, "{{content}}");
    if (at == NULL || strstr(at + 1, "{{content}}") != NULL)
        complain(l, 0, "must hold {{content}} once", "", 0);
}

struct maild_templates *maild_templates_load(const char *dir, FILE *errors)
{
    struct loader l = {.dir = dir, .errors = errors};
    struct maild_templates *t = calloc(1, sizeof(*t));

    if (t == NULL)
        abort();
    for (int i = 0; maild_languages[i] != NULL; i++) {
        load_layout(&l, maild_languages[i], &t->layout[i]);
        for (int k = 0; maild_kinds[k].name != NULL; k++)
            load_kind(&l, &maild_kinds[k], maild_languages[i], &t->kind[k][i]);
    }
    if (l.bad == 0)
        return t;
    maild_templates_free(t);
    return NULL;
}

void maild_templates_free(struct maild_templates *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < LANGUAGES_MAX; i++) {
        free(t->layout[i]);
        for (int k = 0; k < KINDS_MAX; k++) {
            free(t->kind[k][i].subject);
            free(t->kind[k][i].text);
            free(t->kind[k][i].html);
        }
    }
    free(t);
}

size_t maild_templates_files(void)
{
    size_t kinds = 0, languages = 0;

    while (maild_kinds[kinds].name != NULL)
        kinds++;
    while (maild_languages[languages] != NULL)
        languages++;
    return languages * (2 * kinds + 1);
}

bool maild_kind_known(const char *kind)
{
    return maild_kind_find(kind) != NULL;
}

static void add_html(struct speedy_buf *out, char c)
{
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;",
                                           "&#39;"};
    const char *at = strchr(special, c);

    if (at != NULL)
        speedy_buf_printf(out, "%s", entities[at - special]);
    else
        speedy_buf_add(out, &c, 1);
}

/* A value never ends a line: nobody writes lines of their own into a mail. */
static void add_value(struct speedy_buf *out, enum escape escape,
                      const char *value)
{
    for (; *value != '\0'; value++) {
        char c = *value;

        if ((unsigned char)c < 0x20 || c == 0x7f)
            c = ' ';
        if (escape == IN_HTML)
            add_html(out, c);
        else
            speedy_buf_add(out, &c, 1);
    }
}

static int fill(struct filler *f, const char *text, struct speedy_buf *out);

static int fill_one(struct filler *f, const char *name, size_t len,
                    struct speedy_buf *out)
{
    static _Thread_local char known[NAME_MAX_BYTES];
    struct speedy_buf value = {0};
    int rc;

    snprintf(known, sizeof(known), "%.*s", (int)len, name);
    if (f->content != NULL && strcmp(known, "content") == 0)
        return fill(f, f->content, out);
    rc = maild_value(f->values, f->language, known, &value);
    if (rc == 0)
        add_value(out, f->escape, value.data);
    else
        f->missing = known;
    speedy_buf_free(&value);
    return rc;
}

static int fill(struct filler *f, const char *text, struct speedy_buf *out)
{
    const char *name, *at;
    size_t len;

    while ((at = next_field(text, &name, &len)) != NULL) {
        speedy_buf_add(out, text, (size_t)(at - text));
        if (fill_one(f, name, len, out) != 0)
            return -1;
        text = name + len + 2;
    }
    speedy_buf_printf(out, "%s", text);
    return 0;
}

static int fill_as(struct filler *f, enum escape escape, const char *text,
                   struct speedy_buf *out)
{
    f->escape = escape;
    return fill(f, text, out);
}

int maild_templates_fill(const struct maild_templates *t, const char *kind,
                         const char *language,
                         const struct maild_values *values,
                         struct maild_texts *out, const char **missing)
{
    const struct maild_kind *k = maild_kind_find(kind);
    struct filler f = {.values = values};
    const struct words *w;
    int i = 0;

    *missing = "kind";
    if (k == NULL)
        return -1;
    while (maild_languages[i] != NULL && strcmp(maild_languages[i], language))
        i++;
    if (maild_languages[i] == NULL)
        i = 0;
    f.language = maild_languages[i];
    w = &t->kind[k - maild_kinds][i];
    if (fill_as(&f, IN_SUBJECT, w->subject, &out->subject) == 0 &&
        fill_as(&f, IN_TEXT, w->text, &out->text) == 0) {
        f.content = w->html;
        if (fill_as(&f, IN_HTML, t->layout[i], &out->html) == 0)
            return 0;
    }
    *missing = f.missing;
    return -1;
}

void maild_texts_free(struct maild_texts *texts)
{
    speedy_buf_free(&texts->subject);
    speedy_buf_free(&texts->text);
    speedy_buf_free(&texts->html);
}
