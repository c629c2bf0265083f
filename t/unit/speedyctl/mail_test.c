/*
 * `mail list|show|retry` on a private MariaDB, and what doctor says of [mail].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/shop/mail_conf.h"
#include "../../../daemons/speedyctl/doctor.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

#define ID "01010101-0101-0101-0101-010101010101"

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    speedy_log_level_set("error");
    run_settings();
    return shop_db_start();
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static void mail(int n, const char *state)
{
    assert_int_equal(
        shop_db_do("INSERT INTO mails (id, kind, user_id, params, state,"
                   " attempts, reply_code, reply, ended_at) VALUES"
                   " (UNHEX(REPEAT('%02x', 16)), 'welcome', 'u%d',"
                   " '{\"a\":1}', '%s', 20, 550, '5.1.1', IF('%s' IN ('QUEUED',"
                   " 'SENDING'), NULL, UTC_TIMESTAMP(3)))",
                   n, n, state, state),
        0);
}

static int setup(void **state)
{
    (void)state;
    return shop_db_do("DELETE FROM mails");
}

static void listed_and_shown(void **state)
{
    (void)state;
    assert_int_equal(run("mail", "list", NULL), CTL_DONE);
    assert_string_equal(run_out, "no mail\n");
    mail(1, "FAILED");
    mail(2, "SENT");
    assert_int_equal(run("mail", "list", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, ID));
    assert_non_null(strstr(run_out, "02020202"));
    assert_int_equal(run("mail", "list", "--state", "FAILED", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, ID));
    assert_null(strstr(run_out, "02020202"));
    assert_int_equal(run("mail", "list", "--user", "u2", "--json", NULL),
                     CTL_DONE);
    assert_null(strstr(run_out, ID));
    assert_non_null(strstr(run_out, "\"user_id\":\"u2\",\"state\":\"SENT\""));
    assert_int_equal(run("mail", "show", ID, NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "reply      550 5.1.1\n"));
    assert_int_equal(run("mail", "show", ID, "--json", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "\"params\":{\"a\":1}}"));
    capture_start();
    assert_int_equal(
        run("mail", "show", "0a0a0a0a-0101-0101-0101-010101010101", NULL),
        CTL_REFUSED);
    assert_int_equal(run("mail", "show", "7", NULL), CTL_USAGE);
    capture_stop();
}

static void one_is_sent_again(void **state)
{
    (void)state;
    mail(1, "FAILED");
    assert_int_equal(run("mail", "retry", ID, "--reason", "fixed", NULL),
                     CTL_DONE);
    assert_string_equal(run_out, "1 mail queued again\n");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE state ="
                                    " 'QUEUED' AND attempts = 0"),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'mail.retry' AND object = '" ID "'"),
                     1);
    capture_start();
    shop_db_do("UPDATE mails SET state = 'SENT'");
    assert_int_equal(run("mail", "retry", ID, NULL), CTL_REFUSED);
    assert_int_equal(run("mail", "retry", NULL), CTL_USAGE);
    assert_int_equal(run("mail", "retry", ID, "--failed", NULL), CTL_USAGE);
    capture_stop();
}

static void all_failed_ones_are(void **state)
{
    (void)state;
    for (int n = 1; n <= 250; n++)
        mail(n, n == 5 ? "DROPPED" : "FAILED");
    assert_int_equal(run("mail", "retry", "--failed", NULL), CTL_DONE);
    assert_string_equal(run_out, "249 mails queued again\n");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE state ="
                                    " 'QUEUED'"),
                     249);
    assert_int_equal(run("mail", "retry", "--failed", "--json", NULL),
                     CTL_DONE);
    assert_string_equal(run_out, "{\"queued\":0}\n");
}

/* What doctor says of these settings. */
static const char *doctor(struct speedy_mail_conf conf)
{
    static struct ctl c;
    struct doctor d = {.c = &c};
    static char url[] = "https://shop.example.com", templates[] = "x";

    conf.url = url;
    conf.templates = templates;
    if (conf.daily_limit == 0)
        conf.daily_limit = -1;
    speedy_mail_conf = conf;
    c.json = true;
    speedy_buf_free(&d.json);
    doctor_mail(&d);
    snprintf(run_out, sizeof(run_out), "%d %d %s", d.warned, d.failed,
             d.json.data);
    speedy_buf_free(&d.json);
    return run_out;
}

static void doctor_on_presets(void **state)
{
    static char gmail[] = "gmail", local[] = "local", user[] = "a@gmail.com",
                file[] = "/etc/hostname", off[] = "off", far[] = "mx.example",
                from[] = "shop@example.com", none[] = "none";
    const char *said;

    (void)state;
    said = doctor((struct speedy_mail_conf){
        .preset = gmail, .user = user, .password_file = file});
    assert_memory_equal(said, "1 0 ", 4);
    assert_non_null(strstr(said, "smtp.gmail.com:465, tls implicit"));
    assert_non_null(strstr(said, "\"check\":\"mail daily limit\",\"state\":"
                                 "\"warn\",\"found\":\"500 a day"));
    assert_string_equal(speedy_mail_conf.from, user);

    said = doctor((struct speedy_mail_conf){.preset = local, .from = from});
    assert_memory_equal(said, "1 0 ", 4);
    assert_non_null(strstr(said, "127.0.0.1:25, tls off"));
    said = doctor(
        (struct speedy_mail_conf){.host = far, .tls = off, .from = from});
    assert_memory_equal(said, "0 1 ", 4);
    assert_non_null(strstr(said, "clear text"));
    capture_start();
    doctor((struct speedy_mail_conf){.preset = none});
    /* a password never without TLS */
    doctor((struct speedy_mail_conf){
        .host = far, .tls = off, .user = user, .password_file = file});
    said = capture_stop();
    assert_non_null(strstr(said, "preset must be local or gmail"));
    assert_non_null(strstr(said, "a password is not sent without TLS"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        CASE(listed_and_shown),
        CASE(one_is_sent_again),
        CASE(all_failed_ones_are),
        CASE(doctor_on_presets),
    };

    return cmocka_run_group_tests_name("speedyctl mail", tests, group_setup,
                                       group_teardown);
}
