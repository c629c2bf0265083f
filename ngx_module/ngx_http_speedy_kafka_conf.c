/*
 * The producer's configuration: directives → a validated rd_kafka_conf_t,
 * built and checked in the master when directives are read. No handle is made
 * here: threads do not survive a fork.
 */

#include "ngx_http_speedy.h"

#include <librdkafka/rdkafka.h>


static rd_kafka_conf_t *ngx_http_speedy_kafka_conf(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf);
static void ngx_http_speedy_kafka_conf_destroy(void *data);
static ngx_int_t ngx_http_speedy_kafka_conf_set(ngx_conf_t *cf,
    rd_kafka_conf_t *conf, const char *name, const char *value);


/* Properties that our promises rest on, and what to use instead. */

static const struct {
    const char  *name;
    const char  *remedy;
} ngx_http_speedy_kafka_ours[] = {
    { "bootstrap.servers", "use \"speedy_kafka\"" },
    { "metadata.broker.list", "use \"speedy_kafka\"" },
    { "message.timeout.ms", "use \"speedy_kafka_message_timeout\"" },
    { "delivery.timeout.ms", "use \"speedy_kafka_message_timeout\"" },
    { "queue.buffering.max.messages", "use \"speedy_kafka_queue\"" },
    { "acks", "it is always all: an accepted order is on every replica" },
    { "request.required.acks",
      "it is always all: an accepted order is on every replica" },
    { "enable.idempotence",
      "it is always false: the database removes duplicates" },
    { "transactional.id", "there are no transactions here" },
    { "log.queue", "it is always true: no other thread may log" },
    { "enable.sasl.oauthbearer.unsecure.jwt", "take it away" },
    { NULL, NULL }
};


/* What we set ourselves; a speedy_kafka_property may change the latter. */

static const char  *ngx_http_speedy_kafka_usual[][2] = {
    { "client.id", "speedy" },
    { "acks", "all" },
    { "enable.idempotence", "false" },
    { "log.queue", "true" },
    { "allow.auto.create.topics", "false" },
    { "linger.ms", "1" },
    { "queue.buffering.max.kbytes", "131072" },
    { "socket.timeout.ms", "10000" },
    { "socket.keepalive.enable", "true" },
    { "reconnect.backoff.ms", "100" },
    { "reconnect.backoff.max.ms", "1000" },
    { NULL, NULL }
};


static rd_kafka_conf_t *
ngx_http_speedy_kafka_conf(ngx_conf_t *cf, ngx_http_speedy_main_conf_t *smcf)
{
    ngx_uint_t           i;
    rd_kafka_conf_t     *conf;
    ngx_pool_cleanup_t  *cln;

    if (smcf->kafka_conf) {
        return smcf->kafka_conf;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    conf = rd_kafka_conf_new();
    if (conf == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_speedy_kafka_conf_destroy;
    cln->data = conf;

    for (i = 0; ngx_http_speedy_kafka_usual[i][0]; i++) {
        if (ngx_http_speedy_kafka_conf_set(cf, conf,
                                           ngx_http_speedy_kafka_usual[i][0],
                                           ngx_http_speedy_kafka_usual[i][1])
            != NGX_OK)
        {
            return NULL;
        }
    }

    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR|RD_KAFKA_EVENT_ERROR
                                   |RD_KAFKA_EVENT_LOG);
    smcf->kafka_conf = conf;

    return conf;
}


static void
ngx_http_speedy_kafka_conf_destroy(void *data)
{
    rd_kafka_conf_destroy(data);
}


static ngx_int_t
ngx_http_speedy_kafka_conf_set(ngx_conf_t *cf, rd_kafka_conf_t *conf,
    const char *name, const char *value)
{
    char  error[256];

    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error))
        == RD_KAFKA_CONF_OK)
    {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "the Kafka property \"%s\" cannot be \"%s\": %s; its "
                       "values are listed in librdkafka's CONFIGURATION.md",
                       name, value, error);

    return NGX_ERROR;
}


/* speedy_kafka and speedy_kafka_topic */

char *
ngx_http_speedy_kafka_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    size_t            i;
    ngx_str_t        *value, *field;
    rd_kafka_conf_t  *kconf;

    value = cf->args->elts;
    field = (ngx_str_t *) ((u_char *) conf + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    if (value[1].len == 0) {
        return "must not be empty";
    }

    if (cmd->offset == offsetof(ngx_http_speedy_main_conf_t, kafka_topic)) {
        for (i = 0; i < value[1].len; i++) {
            if (!((value[1].data[i] >= '0' && value[1].data[i] <= '9')
                  || (value[1].data[i] >= 'a' && value[1].data[i] <= 'z')
                  || (value[1].data[i] >= 'A' && value[1].data[i] <= 'Z')
                  || value[1].data[i] == '-' || value[1].data[i] == '_'
                  || value[1].data[i] == '.'))
            {
                return "must be a topic of [A-Za-z0-9._-]";
            }
        }

        *field = value[1];
        return NGX_CONF_OK;
    }

    kconf = ngx_http_speedy_kafka_conf(cf, smcf);
    if (kconf == NULL
        || ngx_http_speedy_kafka_conf_set(cf, kconf, "bootstrap.servers",
                                          (char *) value[1].data)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    *field = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_kafka_property(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    rd_kafka_conf_t  *kconf;

    value = cf->args->elts;

    for (i = 0; ngx_http_speedy_kafka_ours[i].name; i++) {
        if (ngx_strcmp(value[1].data, ngx_http_speedy_kafka_ours[i].name)
            == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the Kafka property \"%V\" is not yours to "
                               "set: %s", &value[1],
                               ngx_http_speedy_kafka_ours[i].remedy);
            return NGX_CONF_ERROR;
        }
    }

    kconf = ngx_http_speedy_kafka_conf(cf, smcf);
    if (kconf == NULL
        || ngx_http_speedy_kafka_conf_set(cf, kconf, (char *) value[1].data,
                                          (char *) value[2].data)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* The properties that come from directives with a default. */

ngx_int_t
ngx_http_speedy_kafka_conf_finish(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf)
{
    u_char  text[NGX_INT_T_LEN + 1];

    if (smcf->kafka_topic.data == NULL) {
        ngx_str_set(&smcf->kafka_topic, SPEEDY_TOPIC_ORDERS);
    }

    *ngx_sprintf(text, "%M", smcf->kafka_message_timeout) = '\0';
    if (ngx_http_speedy_kafka_conf_set(cf, smcf->kafka_conf,
                                       "message.timeout.ms", (char *) text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *ngx_sprintf(text, "%ui", smcf->kafka_queue) = '\0';

    return ngx_http_speedy_kafka_conf_set(cf, smcf->kafka_conf,
                                          "queue.buffering.max.messages",
                                          (char *) text);
}
