/*
 * The table of reply codes: what was seen, what is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/maild/policy.h"

struct row {
    int code;
    const char *status;
    enum maild_phase phase;
    enum maild_trouble trouble;
    enum maild_verdict verdict;
    bool cool;
};

#define REPLY(code, status, phase, verdict, cool)                              \
    {                                                                          \
        code, status, phase, MAILD_NO_TROUBLE, verdict, cool                   \
    }
#define SILENCE(trouble, phase, verdict, cool)                                 \
    {                                                                          \
        0, "", phase, trouble, verdict, cool                                   \
    }

static const struct row table[] = {
    /* later */
    REPLY(421, "4.3.0", MAILD_CONNECT, MAILD_RETRY, true),
    REPLY(421, "4.7.0", MAILD_RCPT, MAILD_RETRY, true),
    REPLY(450, "4.2.1", MAILD_RCPT, MAILD_RETRY, false),
    REPLY(451, "4.3.0", MAILD_BODY, MAILD_RETRY, false),
    REPLY(452, "4.2.2", MAILD_RCPT, MAILD_RETRY, false),
    REPLY(454, "4.7.0", MAILD_AUTH, MAILD_RETRY, true),
    REPLY(454, "", MAILD_STARTTLS, MAILD_RETRY, true),
    REPLY(499, "", MAILD_DATA, MAILD_RETRY, false),
    /* never again */
    REPLY(550, "5.1.1", MAILD_RCPT, MAILD_FAIL, false),
    REPLY(550, "5.7.1", MAILD_BODY, MAILD_FAIL, false),
    REPLY(552, "5.2.2", MAILD_RCPT, MAILD_FAIL, false),
    REPLY(554, "", MAILD_DATA, MAILD_FAIL, false),
    /* the account's trouble is no mail's */
    REPLY(550, "5.4.5", MAILD_RCPT, MAILD_PAUSE_LIMIT, false),
    REPLY(550, "5.4.5", MAILD_BODY, MAILD_PAUSE_LIMIT, false),
    REPLY(550, "5.4.5", MAILD_MAIL, MAILD_PAUSE_LIMIT, false),
    REPLY(530, "5.7.0", MAILD_MAIL, MAILD_PAUSE_LOGIN, false),
    REPLY(534, "5.7.9", MAILD_AUTH, MAILD_PAUSE_LOGIN, false),
    REPLY(535, "5.7.8", MAILD_AUTH, MAILD_PAUSE_LOGIN, false),
    REPLY(554, "", MAILD_CONNECT, MAILD_PAUSE_LOGIN, false),
    REPLY(553, "5.1.8", MAILD_MAIL, MAILD_PAUSE_LOGIN, false),
    /* no reply */
    SILENCE(MAILD_UNREACHED, MAILD_CONNECT, MAILD_RETRY, true),
    SILENCE(MAILD_CUT, MAILD_RCPT, MAILD_RETRY, true),
    SILENCE(MAILD_CUT, MAILD_BODY, MAILD_RETRY, true),
    SILENCE(MAILD_STALLED, MAILD_DATA, MAILD_RETRY, true),
    SILENCE(MAILD_STALLED, MAILD_BODY, MAILD_RETRY, true),
    SILENCE(MAILD_LOCAL, MAILD_CONNECT, MAILD_RETRY, true),
    SILENCE(MAILD_NO_TLS, MAILD_HELLO, MAILD_PAUSE_LOGIN, true),
    SILENCE(MAILD_UNTRUSTED, MAILD_STARTTLS, MAILD_PAUSE_LOGIN, true),
    SILENCE(MAILD_STOPPED, MAILD_RCPT, MAILD_PUT_BACK, false),
};

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct row *r = &table[i];
        struct maild_outcome o = {
            .code = r->code, .phase = r->phase, .trouble = r->trouble};
        struct maild_decision d;

        memcpy(o.status, r->status, strlen(r->status) + 1);
        d = maild_decide(&o);
        if (d.verdict != r->verdict || d.cool != r->cool)
            fail_msg("row %zu: %d %s phase %d: verdict %d cool %d", i, r->code,
                     r->status, r->phase, d.verdict, d.cool);
        assert_non_null(d.why);
    }
}

static void what_was_taken_is_sent(void **state)
{
    struct maild_outcome o = {.taken = true, .code = 250, .phase = MAILD_BODY};

    (void)state;
    assert_int_equal(maild_decide(&o).verdict, MAILD_SENT);
}

static void pauses_grow_to_a_bound(void **state)
{
    static const long want[] = {5000,    10000,   20000,   40000,
                                80000,   160000,  320000,  640000,
                                1280000, 2560000, 3600000, 3600000};

    (void)state;
    for (int n = 1; n <= 12; n++)
        assert_int_equal(maild_backoff(n, 5000, 3600000), want[n - 1]);
    assert_int_equal(maild_backoff(1000, 5000, 3600000), 3600000);
    assert_int_equal(maild_backoff(1, 5000, 1000), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(what_was_taken_is_sent),
        cmocka_unit_test(pauses_grow_to_a_bound),
    };

    return cmocka_run_group_tests_name("maild policy", tests, NULL, NULL);
}
