/*
 * Labels of devices. Browsers name each other in their headers, so the table
 * is searched in order: whoever pretends to be another stands before it.
 */
#include "device.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct word {
    const char *mark, *name;
};

static const struct word apps[] = {
    {"KAKAOTALK", "KakaoTalk"},
    {"NAVER(", "Naver"},
    {"Instagram", "Instagram"},
    {"FBAN/", "Facebook"},
    {"FBAV/", "Facebook"},
    {"Whale/", "Whale"},
    {"SamsungBrowser/", "Samsung Internet"},
    {"Edg", "Edge"},
    {"OPR/", "Opera"},
    {"FxiOS/", "Firefox"},
    {"Firefox/", "Firefox"},
    {"CriOS/", "Chrome"},
    {"Chrome/", "Chrome"},
    {"Safari/", "Safari"},
    {"curl/", "curl"},
    {NULL, NULL},
};

static const struct word systems[] = {
    {"iPhone", "iPhone"},   {"iPad", "iPad"},     {"Android", "Android"},
    {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"},
    {"Macintosh", "macOS"}, {"Linux", "Linux"},   {NULL, NULL},
};

static const char *find(const struct word *table, const char *agent)
{
    for (; table->mark != NULL; table++) {
        if (strstr(agent, table->mark) != NULL)
            return table->name;
    }
    return NULL;
}

void userd_device_label(const char *agent, char out[USERD_DEVICE_SIZE])
{
    const char *app = agent == NULL ? NULL : find(apps, agent);
    const char *system = agent == NULL ? NULL : find(systems, agent);

    if (app != NULL && system != NULL)
        snprintf(out, USERD_DEVICE_SIZE, "%s, %s", app, system);
    else if (app != NULL || system != NULL)
        snprintf(out, USERD_DEVICE_SIZE, "%s", app != NULL ? app : system);
    else
        snprintf(out, USERD_DEVICE_SIZE, "Unknown device");
}
