/*
 * The shipped templates, and wrong ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "../../../daemons/maild/templates.h"
#include "../../../daemons/maild/values.h"
#include "../common/servers.h"

#define SHIPPED "daemons/maild/templates"

static const char params_text[] =
    "{\"order_id\":\"0190b0a0-0000-7000-8000-000000000001\","
    "\"sale_id\":\"demo\",\"product\":\"Speed <Runner> & Co\",\"variant\":"
    "\"270\",\"quantity\":2,\"amount\":1258000,\"opens_at\":"
    "\"2026-11-23T14:05:00+09:00\"}";

static struct speedy_json *params;

static struct maild_values values(void)
{
    return (struct maild_values){.name = "홍길동",
                                 .code = "042917",
                                 .link = "https://shop.example.com/v?a=1&b=2",
                                 .shop = "sleek speedy",
                                 .url = "https://shop.example.com",
                                 .params = params};
}

static struct maild_texts fill(const struct maild_templates *t,
                               const char *kind, const char *language,
                               const struct maild_values *v)
{
    struct maild_texts texts = {0};
    const char *missing = NULL;

    if (maild_templates_fill(t, kind, language, v, &texts, &missing) != 0)
        fail_msg("%s.%s: %s is missing", kind, language, missing);
    return texts;
}

static int setup(void **state)
{
    enum speedy_json_error error;

    *state = maild_templates_load(SHIPPED, stderr);
    params =
        speedy_json_parse(params_text, strlen(params_text), 4096, 4, &error);
    return *state == NULL || params == NULL;
}

static int teardown(void **state)
{
    maild_templates_free(*state);
    speedy_json_free(params);
    return 0;
}

static void every_kind_in_every_language(void **state)
{
    struct maild_values v = values();

    for (const struct maild_kind *k = maild_kinds; k->name != NULL; k++) {
        for (int i = 0; maild_languages[i] != NULL; i++) {
            struct maild_texts t =
                fill(*state, k->name, maild_languages[i], &v);

            assert_null(strstr(t.subject.data, "{{"));
            assert_null(strstr(t.text.data, "{{"));
            assert_null(strstr(t.html.data, "{{"));
            assert_null(strchr(t.subject.data, '\n'));
            /* nothing that a reader's program would fetch */
            assert_null(strstr(t.html.data, "<img"));
            assert_null(strstr(t.html.data, "src="));
            assert_null(strstr(t.html.data, "@import"));
            assert_null(strstr(t.html.data, "url("));
            assert_non_null(strstr(t.html.data, "</html>"));
            maild_texts_free(&t);
        }
    }
    assert_int_equal(maild_templates_files(), 50);
}

static void values_are_written_by_language(void **state)
{
    struct maild_values v = values();
    struct maild_texts t = fill(*state, "order_paid", "ko", &v);

    assert_non_null(strstr(t.text.data, "1,258,000원"));
    assert_non_null(strstr(t.text.data, "홍길동님"));
    assert_non_null(strstr(t.text.data, "Speed <Runner> & Co (270)"));
    assert_non_null(strstr(t.html.data, "Speed &lt;Runner&gt; &amp; Co"));
    assert_null(strstr(t.html.data, "<Runner>"));
    maild_texts_free(&t);
    t = fill(*state, "order_paid", "en", &v);
    assert_non_null(strstr(t.text.data, "KRW 1,258,000"));
    maild_texts_free(&t);
    t = fill(*state, "sale_opens", "ko", &v);
    assert_non_null(strstr(t.text.data, "2026년 11월 23일 14:05"));
    maild_texts_free(&t);
    t = fill(*state, "sale_opens", "en", &v);
    assert_non_null(strstr(t.text.data, "23 November 2026, 14:05"));
    maild_texts_free(&t);
    v.name = NULL;
    t = fill(*state, "welcome", "ko", &v);
    assert_non_null(strstr(t.text.data, "고객님"));
    maild_texts_free(&t);
    /* an unknown language is written in the first one */
    t = fill(*state, "verify", "fr", &v);
    assert_non_null(strstr(t.subject.data, "인증 코드 042917"));
    assert_non_null(strstr(t.html.data, ">042917<"));
    assert_non_null(strstr(t.html.data, "a=1&amp;b=2"));
    maild_texts_free(&t);
}

static void values_add_no_lines(void **state)
{
    struct maild_values v = values();
    struct maild_texts t;

    v.name = "a\r\nBcc: evil@example.com\"><script>";
    t = fill(*state, "welcome", "en", &v);
    assert_null(strchr(t.subject.data, '\n'));
    assert_null(strchr(t.subject.data, '\r'));
    assert_null(strstr(t.text.data, "\nBcc"));
    assert_null(strstr(t.html.data, "<script>"));
    maild_texts_free(&t);
}

static void missing_values_are_told(void **state)
{
    struct maild_values v = values();
    struct maild_texts t = {0};
    const char *missing = NULL;

    v.code = NULL;
    assert_int_equal(
        maild_templates_fill(*state, "verify", "ko", &v, &t, &missing), -1);
    assert_string_equal(missing, "code");
    v.params = NULL;
    assert_int_equal(
        maild_templates_fill(*state, "order_paid", "ko", &v, &t, &missing), -1);
    assert_int_equal(
        maild_templates_fill(*state, "no_such", "ko", &v, &t, &missing), -1);
    maild_texts_free(&t);
}

static void put(const char *name, const char *text)
{
    char path[300];

    snprintf(path, sizeof(path), "templates/%s", name);
    servers_file(path, text, 0644);
}

/* A copy of the shipped set. */
static const char *copy(void)
{
    static char dir[600], text[65536];
    char path[1024];
    const struct dirent *e;
    DIR *from = opendir(SHIPPED);

    assert_non_null(from);
    snprintf(dir, sizeof(dir), "%s/templates", servers_dir());
    mkdir(dir, 0755);
    while ((e = readdir(from)) != NULL) {
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), SHIPPED "/%s", e->d_name);
        f = fopen(path, "r");
        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
        fclose(f);
        put(e->d_name, text);
    }
    closedir(from);
    return dir;
}

/* Loads a set in which one file is wrong; what was said. */
static const char *said(const char *dir)
{
    static char text[4096];
    FILE *f = fmemopen(text, sizeof(text), "w");
    struct maild_templates *t = maild_templates_load(dir, f);

    fclose(f);
    assert_null(t);
    return text;
}

static void wrong_templates_are_found(void **state)
{
    static const struct {
        const char *file, *text, *want;
    } wrong[] = {
        {"verify.ko.txt", "Subject: x\n\n{{cod}}\n",
         "verify.ko.txt:3: this kind of mail has no field cod"},
        {"verify.en.html", "a\n{{order_id}}", "verify.en.html:2: "},
        {"welcome.en.txt", "Hello\n\nx\n", "welcome.en.txt:1: must begin"},
        {"welcome.en.txt", "Subject: x\nno empty line\n", "must begin"},
        {"welcome.en.txt", "Subject: \n\nx\n", "must begin"},
        {"welcome.ko.html", "x {{name", "welcome.ko.html:1: {{ without"},
        {"welcome.ko.html", "x\n\xff", "welcome.ko.html:2: not UTF-8"},
        {"layout.ko.html", "<p>{{shop}}</p>", "must hold {{content}} once"},
        {"layout.ko.html", "{{content}}{{content}}", "once"},
    };
    char path[700];
    const char *dir, *text;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        dir = copy();
        put(wrong[i].file, wrong[i].text);
        text = said(dir);
        if (strstr(text, wrong[i].want) == NULL)
            fail_msg("%s: %s", wrong[i].file, text);
    }
    dir = copy();
    snprintf(path, sizeof(path), "%s/reset.en.html", dir);
    assert_int_equal(remove(path), 0);
    assert_non_null(strstr(said(dir), "reset.en.html:0: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_in_every_language),
        cmocka_unit_test(values_are_written_by_language),
        cmocka_unit_test(values_add_no_lines),
        cmocka_unit_test(missing_values_are_told),
        cmocka_unit_test(wrong_templates_are_found),
    };

    return cmocka_run_group_tests_name("maild templates", tests, setup,
                                       teardown);
}
