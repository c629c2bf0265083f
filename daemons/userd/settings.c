/*
 * The settings of userd; docs/operations.md tells each.
 */
#include "userd.h"

#include "hasher.h"
#include "sessions.h"
#include "wishes.h"

#define MINUTE 60000
#define DAY 86400000

struct userd_settings userd_settings;

const struct speedy_setting userd_settings_table[] = {
    {"userd", "shop_url", SPEEDY_CONF_TEXT, &userd_settings.shop_url,
     "http://127.0.0.1:8080", 0, 0},
    {"userd", "http_connections", SPEEDY_CONF_INT,
     &userd_settings.http_connections, "256", 8, 4096},
    {"userd", "mysql_connections", SPEEDY_CONF_INT,
     &userd_settings.mysql_connections, "8", 1, 256},
    {"userd", "code_life", SPEEDY_CONF_MSEC, &userd_settings.code_life, "10m",
     1000, 60 * MINUTE},
    {"userd", "code_tries", SPEEDY_CONF_INT, &userd_settings.code_tries, "5", 1,
     10},
    {"userd", "code_pause", SPEEDY_CONF_MSEC, &userd_settings.code_pause, "60s",
     0, 60 * MINUTE},
    {"userd", "codes_an_hour", SPEEDY_CONF_INT, &userd_settings.codes_an_hour,
     "5", 1, 1000000},
    {"userd", "proof_life", SPEEDY_CONF_MSEC, &userd_settings.proof_life, "30m",
     1000, DAY},
    {"userd", "verification_life", SPEEDY_CONF_MSEC,
     &userd_settings.verification_life, "24h", 2 * 60 * MINUTE, 5L * DAY},
    USERD_HASHER_SETTINGS,
    USERD_SESSION_SETTINGS,
    USERD_WISHES_SETTINGS,
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0},
};
