/*
 * libcurl keeps the connection between mails and makes a new one when the
 * server has closed it or a mail was refused. Replies are read from the header
 * callback, which gets each line of them; which command they answer is known
 * from the debug callback, which gets each command before it is sent. It gets
 * credentials as well: nothing of what passes there is kept or logged.
 *
 * libcurl never sends a mail twice by itself: an upload other than HTTP is not
 * repeated when a kept connection turns out to be dead.
 */
#include "smtp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../common/conf.h"
#include "../common/log.h"
#include "../common/loop.h"

#define PASSWORD_MAX 512

struct maild_smtp {
    const struct speedy_mail_conf *conf;
    CURL *curl;
    char url[512], *password;
    /* of the mail under way */
    const struct speedy_buf *mail;
    size_t given;
    bool quit; /* replies are to QUIT by now */
    struct maild_outcome *o;
};

static size_t on_read(char *to, size_t size, size_t n, void *data)
{
    struct maild_smtp *s = data;
    size_t left = s->mail->len - s->given, want = size * n;

    if (want > left)
        want = left;
    memcpy(to, s->mail->data + s->given, want);
    s->given += want;
    /* the end mark follows: from here on it may be taken */
    if (want == left)
        s->o->phase = MAILD_BODY;
    return want;
}

/* `550 5.1.1 …`: the enhanced status, if there is one. */
static void take_status(const char *line, size_t len, char *out, size_t size)
{
    size_t n = 0, dots = 0;

    line += 4;
    len -= 4;
    while (n < len && (isdigit((unsigned char)line[n]) || line[n] == '.'))
        dots += line[n++] == '.';
    if (dots != 2 || n < 5 || n >= size ||
        (n < len && !isspace((unsigned char)line[n])))
        return;
    memcpy(out, line, n);
    out[n] = '\0';
}

static size_t on_reply(char *line, size_t size, size_t n, void *data)
{
    const struct maild_smtp *s = data;
    struct maild_outcome *o = s->o;
    size_t len = size * n;
    int code;

    if (o == NULL || s->quit || len < 4 || !isdigit((unsigned char)line[0]) ||
        !isdigit((unsigned char)line[1]) || !isdigit((unsigned char)line[2]))
        return len;
    code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
    if (code != o->code)
        o->status[0] = '\0';
    o->code = code;
    take_status(line, len, o->status, sizeof(o->status));
    return len;
}

static int on_debug(CURL *curl, curl_infotype type, char *text, size_t len,
                    void *data)
{
    static const struct {
        const char *word;
        enum maild_phase phase;
    } commands[] = {{"EHLO", MAILD_HELLO},        {"HELO", MAILD_HELLO},
                    {"STARTTLS", MAILD_STARTTLS}, {"AUTH", MAILD_AUTH},
                    {"MAIL ", MAILD_MAIL},        {"RCPT ", MAILD_RCPT},
                    {"DATA", MAILD_DATA}};
    struct maild_smtp *s = data;

    (void)curl;
    if (type != CURLINFO_HEADER_OUT || s->o == NULL)
        return 0;
    /* After a refusal libcurl leaves in good manners, within the same call. */
    s->quit = len >= 4 && memcmp(text, "QUIT", 4) == 0;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        size_t n = strlen(commands[i].word);

        if (len >= n && memcmp(text, commands[i].word, n) == 0) {
            s->o->phase = commands[i].phase;
            /* what was said before answers another command */
            s->o->code = 0;
            s->o->status[0] = '\0';
        }
    }
    return 0;
}

static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c,
                       curl_off_t d)
{
    const struct maild_smtp *s = data;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return s->o != NULL && s->o->phase != MAILD_BODY && speedy_stopping();
}

static void set_server(struct maild_smtp *s)
{
    const struct speedy_mail_conf *conf = s->conf;
    bool implicit = conf->tls_mode == SPEEDY_MAIL_IMPLICIT;
    CURL *c = s->curl;

    snprintf(s->url, sizeof(s->url), "%s://%s:%ld/%s",
             implicit ? "smtps" : "smtp", conf->host, conf->port, conf->helo);
    curl_easy_setopt(c, CURLOPT_URL, s->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_USE_SSL,
                     conf->tls_mode == SPEEDY_MAIL_TLS_OFF ? CURLUSESSL_NONE
                                                           : CURLUSESSL_ALL);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (conf->ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, conf->ca_file);
    if (conf->user != NULL) {
        curl_easy_setopt(c, CURLOPT_USERNAME, conf->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, s->password);
    }
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, conf->from);
}

static void set_callbacks(struct maild_smtp *s)
{
    CURL *c = s->curl;

    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, s->conf->connect_timeout);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, s->conf->timeout);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c, CURLOPT_READDATA, s);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(c, CURLOPT_DEBUGDATA, s);
    curl_easy_setopt(c, CURLOPT_VERBOSE, 1L);
}

/* Google shows app passwords in groups of four; the blanks are no part. */
static void cut_blanks(char *text)
{
    char *to = text;

    for (const char *c = text; *c != '\0'; c++) {
        if (*c != ' ')
            *to++ = *c;
    }
    *to = '\0';
}

static int password_read(struct maild_smtp *s)
{
    if (s->conf->user == NULL)
        return 0;
    s->password =
        speedy_secret_read(s->conf->password_file, PASSWORD_MAX, NULL);
    if (s->password == NULL)
        return -1;
    if (strcmp(s->conf->preset, "gmail") == 0)
        cut_blanks(s->password);
    return 0;
}

struct maild_smtp *maild_smtp_new(const struct speedy_mail_conf *conf)
{
    struct maild_smtp *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->conf = conf;
    s->curl = curl_easy_init();
    if (s->curl == NULL || password_read(s) != 0) {
        maild_smtp_free(s);
        return NULL;
    }
    set_server(s);
    set_callbacks(s);
    return s;
}

void maild_smtp_free(struct maild_smtp *s)
{
    if (s == NULL)
        return;
    s->o = NULL;
    if (s->curl != NULL)
        curl_easy_cleanup(s->curl);
    speedy_secret_free(s->password);
    free(s);
}

static enum maild_trouble trouble(const struct maild_outcome *o, CURLcode rc)
{
    switch (rc) {
    case CURLE_ABORTED_BY_CALLBACK:
        return MAILD_STOPPED;
    case CURLE_USE_SSL_FAILED:
        return MAILD_NO_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return MAILD_UNTRUSTED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return MAILD_UNREACHED;
    case CURLE_OPERATION_TIMEDOUT:
        return o->phase == MAILD_CONNECT && o->code == 0 ? MAILD_UNREACHED
                                                         : MAILD_STALLED;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return MAILD_LOCAL;
    default:
        return MAILD_CUT;
    }
}

/* A reply of success that did not end well was not the last word. */
static void judge(struct maild_outcome *o, CURLcode rc)
{
    o->taken = rc == CURLE_OK && o->phase == MAILD_BODY && o->code / 100 == 2;
    if (o->taken || o->code >= 400)
        return;
    o->code = 0;
    o->status[0] = '\0';
    o->trouble = trouble(o, rc);
}

void maild_smtp_send(struct maild_smtp *s, const char *to,
                     const struct speedy_buf *mail, struct maild_outcome *o)
{
    struct curl_slist *rcpt = curl_slist_append(NULL, to);
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    *o = (struct maild_outcome){.phase = MAILD_CONNECT};
    s->mail = mail;
    s->given = 0;
    s->quit = false;
    s->o = o;
    if (rcpt != NULL) {
        curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, rcpt);
        curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)mail->len);
        rc = curl_easy_perform(s->curl);
        curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, NULL);
        curl_slist_free_all(rcpt);
    }
    judge(o, rc);
    if (!o->taken)
        speedy_log(SPEEDY_DEBUG, "smtp", "phase=%d code=%d curl=%d", o->phase,
                   o->code, (int)rc);
    s->o = NULL;
}
