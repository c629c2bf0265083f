/*
 * Presets are defaults, no more: every line of [mail] wins over them.
 */
#include "mail_conf.h"

#include <stdbool.h>
#include <string.h>

struct speedy_mail_conf speedy_mail_conf;

#define TEXT(name, fallback)                                                   \
    {                                                                          \
        "mail", #name, SPEEDY_CONF_TEXT, &speedy_mail_conf.name, fallback, 0,  \
            0                                                                  \
    }

const struct speedy_setting speedy_mail_conf_table[] = {
    TEXT(preset, NULL),
    TEXT(host, NULL),
    TEXT(tls, NULL),
    TEXT(ca_file, NULL),
    TEXT(helo, NULL),
    TEXT(user, NULL),
    TEXT(password_file, NULL),
    TEXT(from, NULL),
    TEXT(from_name, "sleek speedy"),
    TEXT(reply_to, NULL),
    TEXT(url, "http://127.0.0.1:8080"),
    TEXT(templates, "/usr/share/speedy/mail"),
    {"mail", "port", SPEEDY_CONF_INT, &speedy_mail_conf.port, "0", 0, 65535},
    {"mail", "connect_timeout", SPEEDY_CONF_MSEC,
     &speedy_mail_conf.connect_timeout, "10s", 100, 60000},
    {"mail", "timeout", SPEEDY_CONF_MSEC, &speedy_mail_conf.timeout, "60s",
     1000, 600000},
    {"mail", "daily_limit", SPEEDY_CONF_INT, &speedy_mail_conf.daily_limit,
     "-1", -1, 100000000},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0}};

struct preset {
    const char *name;
    char *host, *tls;
    long port, daily_limit;
};
static const struct preset presets[] = {
    /* a relay on this machine, which has its own way out */
    {"local", "127.0.0.1", "off", 25, 0},
    /* a personal account with an app password; Workspace: daily_limit 2000 */
    {"gmail", "smtp.gmail.com", "implicit", 465, 500},
    {"", NULL, "starttls", 587, 0},
};

static const struct preset *preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    }
    return NULL;
}

/* What goes into the URL or the EHLO line: a host name or an IP address. */
static bool host_valid(const char *text)
{
    return *text != '\0' && strlen(text) <= 253 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789.-[]:") == strlen(text);
}

static int complain(FILE *errors, const char *what)
{
    fprintf(errors, "[mail] %s\n", what);
    return 1;
}

static int tls_mode(FILE *errors)
{
    struct speedy_mail_conf *c = &speedy_mail_conf;

    if (strcmp(c->tls, "starttls") == 0)
        c->tls_mode = SPEEDY_MAIL_STARTTLS;
    else if (strcmp(c->tls, "implicit") == 0)
        c->tls_mode = SPEEDY_MAIL_IMPLICIT;
    else if (strcmp(c->tls, "off") == 0)
        c->tls_mode = SPEEDY_MAIL_TLS_OFF;
    else
        return complain(errors, "tls must be starttls, implicit or off");
    return 0;
}

static int check(FILE *errors)
{
    struct speedy_mail_conf *c = &speedy_mail_conf;
    int bad = tls_mode(errors);

    if (c->host == NULL || !host_valid(c->host))
        bad += complain(errors, "host: name the server that takes the mail, "
                                "or set preset");
    if (c->from == NULL || strchr(c->from, '@') == NULL)
        bad += complain(errors, "from: the address that mail comes from");
    else if (c->helo == NULL)
        c->helo = strchr(c->from, '@') + 1;
    if (c->helo != NULL && !host_valid(c->helo))
        bad += complain(errors, "helo must be a host name");
    if ((c->user == NULL) != (c->password_file == NULL))
        bad += complain(errors, "user and password_file go together");
    if (c->user != NULL && c->tls_mode == SPEEDY_MAIL_TLS_OFF)
        bad += complain(errors, "a password is not sent without TLS: set tls "
                                "= starttls or implicit, or remove user");
    if (c->url == NULL || (strncmp(c->url, "https://", 8) != 0 &&
                           strncmp(c->url, "http://", 7) != 0))
        bad += complain(errors, "url: the shop's address, https://…");
    if (c->templates == NULL)
        bad += complain(errors, "templates: the directory of the templates");
    return bad;
}

int speedy_mail_conf_finish(FILE *errors)
{
    struct speedy_mail_conf *c = &speedy_mail_conf;
    const struct preset *p;

    if (c->preset == NULL)
        c->preset = "";
    p = preset_find(c->preset);
    if (p == NULL)
        return complain(errors, "preset must be local or gmail");
    if (c->host == NULL)
        c->host = p->host;
    if (c->tls == NULL)
        c->tls = p->tls;
    if (c->port == 0)
        c->port = p->port;
    if (c->daily_limit < 0)
        c->daily_limit = p->daily_limit;
    if (c->from == NULL && c->user != NULL && strchr(c->user, '@') != NULL)
        c->from = c->user;
    return check(errors);
}
