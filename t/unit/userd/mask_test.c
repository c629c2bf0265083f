/* Masks, exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../daemons/userd/mask.h"

static void names(void **state)
{
    static const char *const all[][2] = {
        {"홍길동", "홍*동"},
        {"김철", "김*"},
        {"김", "*"},
        {"남궁민수", "남**수"},
        {"황보 가람", "황***람"},
        {"", ""},
        {"Ann Lee", "A*****e"},
        {"Bo", "B*"},
    };
    char out[USERD_NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        userd_mask_name(all[i][0], out);
        assert_string_equal(out, all[i][1]);
    }
}

static void phones(void **state)
{
    static const char *const all[][2] = {
        {"+821012345678", "010-****-5678"},
        {"+82111234567", "011-***-4567"},
        {"+8221234567", "02-***-4567"},
        {"+82212345678", "02-****-5678"},
        {"+82312345678", "031-***-5678"},
        {"+827012345678", "070-****-5678"},
        {"+12025550143", "+*******0143"},
        {"+4930123456", "+******3456"},
        {"+1234", "****"},
        {"", "****"},
    };
    char out[USERD_MASKED_PHONE];

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        userd_mask_phone(all[i][0], out);
        assert_string_equal(out, all[i][1]);
    }
}

static void emails(void **state)
{
    static const char *const all[][2] = {
        {"hong@example.com", "h***@example.com"},
        {"h@example.com", "h***@example.com"},
        {"a.very.long.name+tag@example.co.kr", "a***@example.co.kr"},
        {"broken", "***"},
        {"@example.com", "***"},
    };
    char out[USERD_MASKED_EMAIL];

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        userd_mask_email(all[i][0], out);
        assert_string_equal(out, all[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(phones),
        cmocka_unit_test(emails),
    };

    return cmocka_run_group_tests_name("userd masks", tests, NULL, NULL);
}
