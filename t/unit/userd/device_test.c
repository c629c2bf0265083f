/*
 * Labels of devices: the usual ones, those that name each other, and texts
 * that want to be more than a label.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/userd/device.h"

#define MOZILLA "Mozilla/5.0 "
#define KIT " AppleWebKit/537.36 (KHTML, like Gecko) "

static void labels(void **state)
{
    static const struct {
        const char *agent, *label;
    } cases[] = {
        {MOZILLA "(Linux; Android 14; SM-S918N)" KIT
                 "Chrome/126.0.0.0 Mobile Safari/537.36",
         "Chrome, Android"},
        {MOZILLA "(Linux; Android 14; SAMSUNG SM-S918N)" KIT
                 "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
         "Samsung Internet, Android"},
        {MOZILLA "(iPhone; CPU iPhone OS 17_5 like Mac OS X)" KIT
                 "Version/17.5 Mobile/15E148 Safari/604.1",
         "Safari, iPhone"},
        {MOZILLA "(iPhone; CPU iPhone OS 17_5 like Mac OS X)" KIT
                 "CriOS/126.0 Mobile/15E148 Safari/604.1",
         "Chrome, iPhone"},
        {MOZILLA "(Linux; Android 14)" KIT
                 "Chrome/126.0 Mobile Safari/537.36;KAKAOTALK 2410670",
         "KakaoTalk, Android"},
        {MOZILLA "(Windows NT 10.0; Win64; x64)" KIT
                 "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
         "Edge, Windows"},
        {MOZILLA "(Windows NT 10.0; Win64; x64)" KIT
                 "Chrome/126.0.0.0 Whale/3.26.244.21 Safari/537.36",
         "Whale, Windows"},
        {MOZILLA "(Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0",
         "Firefox, Windows"},
        {MOZILLA "(Macintosh; Intel Mac OS X 10_15_7)" KIT
                 "Version/17.5 Safari/605.1.15",
         "Safari, macOS"},
        {MOZILLA "(X11; Linux x86_64)" KIT "Chrome/126.0.0.0 Safari/537.36",
         "Chrome, Linux"},
        {"curl/7.88.1", "curl"},
        {"<script>alert(1)</script>", "Unknown device"},
        {"<b>Windows", "Windows"},
        {"", "Unknown device"},
        {NULL, "Unknown device"},
    };
    char out[USERD_DEVICE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        userd_device_label(cases[i].agent, out);
        assert_string_equal(out, cases[i].label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels)};

    return cmocka_run_group_tests_name("userd device", tests, NULL, NULL);
}
