/*
 * The settings of productd; docs/operations.md tells each.
 */
#include "productd.h"

struct productd_settings productd_settings;

const struct speedy_setting productd_settings_table[] = {
    {"productd", "http_connections", SPEEDY_CONF_INT,
     &productd_settings.http_connections, "256", 8, 4096},
    {"productd", "mysql_connections", SPEEDY_CONF_INT,
     &productd_settings.mysql_connections, "4", 1, 256},
    {"productd", "images", SPEEDY_CONF_TEXT, &productd_settings.images,
     "/var/lib/speedy/images", 0, 0},
    /* what nginx and browsers may keep, and show while they ask again */
    {"productd", "max_age", SPEEDY_CONF_MSEC, &productd_settings.max_age, "1s",
     1000, 3600000},
    {"productd", "stale", SPEEDY_CONF_MSEC, &productd_settings.stale, "2s", 0,
     3600000},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0},
};
