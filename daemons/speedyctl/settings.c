/*
 * Section [speedyctl] of speedy.conf.
 */
#include "ctl.h"

struct ctl_settings ctl_settings;
const struct speedy_setting ctl_settings_table[] = {
    {"speedyctl", "token_max_ttl", SPEEDY_CONF_MSEC,
     &ctl_settings.token_max_ttl, "15m", 1000, 31536000000},
    {"speedyctl", "token_issuer", SPEEDY_CONF_TEXT, &ctl_settings.issuer,
     "speedy", 0, 0},
    {"speedyctl", "token_audience", SPEEDY_CONF_TEXT, &ctl_settings.audience,
     "speedy", 0, 0},
    {"speedyctl", "token_alg", SPEEDY_CONF_TEXT, &ctl_settings.token_alg,
     "HS256", 0, 0},
    {"speedyctl", "token_kid", SPEEDY_CONF_TEXT, &ctl_settings.token_kid, "k1",
     0, 0},
    {"speedyctl", "token_key", SPEEDY_CONF_TEXT, &ctl_settings.token_key,
     "jwt-current", 0, 0},
    {"speedyctl", "expiry_grace", SPEEDY_CONF_MSEC, &ctl_settings.expiry_grace,
     "3s", 100, 3600000},
    {"speedyctl", "sql_directory", SPEEDY_CONF_TEXT,
     &ctl_settings.sql_directory, NULL, 0, 0},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0}};
