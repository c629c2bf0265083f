/*
 * Directives: docs/directives.md tells context, default, unit, range, example
 * and errors of each. What one line shows is checked where it is read; what
 * needs several is checked at the end (ngx_http_speedy_conf_check) and tells
 * the place of the directive that asks for it. The configuration is read-only
 * afterwards.
 */

#include "ngx_http_speedy.h"

#include <sys/stat.h>


static char *ngx_http_speedy_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_speedy_conf_redis_password(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_speedy_conf_number(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_speedy_conf_purchase(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_speedy_conf_archive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_speedy_conf_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_speedy_conf_stock(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_speedy_conf_check_purchase(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf, ngx_http_speedy_handler_t *h);
static ngx_uint_t ngx_http_speedy_conf_named(ngx_http_core_srv_conf_t *cscf,
    ngx_str_t *name);


#define NGX_HTTP_SPEEDY_MAIN(name, handler, field)                            \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1, handler,           \
      NGX_HTTP_MAIN_CONF_OFFSET,                                              \
      offsetof(ngx_http_speedy_main_conf_t, field), NULL }

ngx_command_t  ngx_http_speedy_commands[] = {

    NGX_HTTP_SPEEDY_MAIN("speedy_zone", ngx_http_speedy_zone_directive, zone),

    NGX_HTTP_SPEEDY_MAIN("speedy_redis", ngx_http_speedy_conf_redis, redis),
    NGX_HTTP_SPEEDY_MAIN("speedy_redis_user", ngx_conf_set_str_slot,
                         redis_user),
    NGX_HTTP_SPEEDY_MAIN("speedy_redis_password_file",
                         ngx_http_speedy_conf_redis_password, redis_password),
    NGX_HTTP_SPEEDY_MAIN("speedy_redis_connect_timeout",
                         ngx_http_speedy_conf_msec, redis_connect_timeout),
    NGX_HTTP_SPEEDY_MAIN("speedy_redis_timeout",
                         ngx_http_speedy_conf_msec, redis_timeout),
    NGX_HTTP_SPEEDY_MAIN("speedy_redis_queue",
                         ngx_http_speedy_conf_number, redis_queue),

    NGX_HTTP_SPEEDY_MAIN("speedy_kafka", ngx_http_speedy_kafka_set,
                         kafka_brokers),
    NGX_HTTP_SPEEDY_MAIN("speedy_kafka_topic", ngx_http_speedy_kafka_set,
                         kafka_topic),
    { ngx_string("speedy_kafka_property"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_speedy_kafka_property,
      NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },
    NGX_HTTP_SPEEDY_MAIN("speedy_kafka_queue",
                         ngx_http_speedy_conf_number, kafka_queue),
    NGX_HTTP_SPEEDY_MAIN("speedy_kafka_timeout",
                         ngx_http_speedy_conf_msec, kafka_timeout),
    NGX_HTTP_SPEEDY_MAIN("speedy_kafka_message_timeout",
                         ngx_http_speedy_conf_msec, kafka_message_timeout),

    { ngx_string("speedy_jwt_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE3,
      ngx_http_speedy_jwt_key,
      NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },
    NGX_HTTP_SPEEDY_MAIN("speedy_jwt_issuer", ngx_http_speedy_jwt_param, jwt),
    NGX_HTTP_SPEEDY_MAIN("speedy_jwt_audience", ngx_http_speedy_jwt_param,
                         jwt),
    NGX_HTTP_SPEEDY_MAIN("speedy_jwt_leeway", ngx_http_speedy_jwt_param, jwt),
    NGX_HTTP_SPEEDY_MAIN("speedy_jwt_max_ttl", ngx_http_speedy_jwt_param, jwt),
    NGX_HTTP_SPEEDY_MAIN("speedy_jwt_cache", ngx_http_speedy_jwt_param, jwt),

    NGX_HTTP_SPEEDY_MAIN("speedy_sessions", ngx_http_speedy_conf_sessions,
                         sessions),
    NGX_HTTP_SPEEDY_MAIN("speedy_sessions_max_age",
                         ngx_http_speedy_conf_msec, sessions_max_age),

    { ngx_string("speedy_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_TAKE1,
      ngx_http_speedy_conf_auth,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    { ngx_string("speedy_purchase"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_speedy_conf_purchase,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    { ngx_string("speedy_purchase_archive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_speedy_conf_archive,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    { ngx_string("speedy_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_speedy_conf_status,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    { ngx_string("speedy_stock"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_speedy_conf_stock,
      NGX_HTTP_LOC_CONF_OFFSET, 0, ngx_http_speedy_stock_handler },
    { ngx_string("speedy_stock_stream"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_speedy_conf_stock,
      NGX_HTTP_LOC_CONF_OFFSET, 0, ngx_http_speedy_stock_stream_handler },
    NGX_HTTP_SPEEDY_MAIN("speedy_stock_streams_max",
                         ngx_http_speedy_conf_number, stock_streams_max),
    { ngx_string("speedy_jwks"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_speedy_conf_jwks,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    { ngx_string("speedy_problem"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_speedy_conf_problem,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

      ngx_null_command
};


/* Numbers and times: range and default, by the field they go to. */

static const struct {
    size_t      offset;
    ngx_uint_t  min;
    ngx_uint_t  max;
    ngx_uint_t  usual;
} ngx_http_speedy_ranges[] = {
    { offsetof(ngx_http_speedy_main_conf_t, redis_connect_timeout),
      10, 60000, 500 },
    { offsetof(ngx_http_speedy_main_conf_t, redis_timeout), 10, 60000, 1000 },
    { offsetof(ngx_http_speedy_main_conf_t, redis_queue), 1, 1000000, 20000 },
    { offsetof(ngx_http_speedy_main_conf_t, kafka_queue), 1, 10000000, 100000 },
    { offsetof(ngx_http_speedy_main_conf_t, kafka_timeout), 10, 60000, 2000 },
    { offsetof(ngx_http_speedy_main_conf_t, kafka_message_timeout),
      1000, 900000, 30000 },
    { offsetof(ngx_http_speedy_main_conf_t, stock_streams_max),
      1, 1000000, 0 },
    { offsetof(ngx_http_speedy_main_conf_t, sessions), 100, 10000, 0 },
    { offsetof(ngx_http_speedy_main_conf_t, sessions_max_age),
      1000, 600000, 30000 }
};

#define ngx_http_speedy_nranges                                               \
    (sizeof(ngx_http_speedy_ranges) / sizeof(ngx_http_speedy_ranges[0]))


void *
ngx_http_speedy_create_main_conf(ngx_conf_t *cf)
{
    size_t                        i;
    ngx_http_speedy_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_speedy_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    for (i = 0; i < ngx_http_speedy_nranges; i++) {
        *(ngx_uint_t *) ((u_char *) smcf + ngx_http_speedy_ranges[i].offset) =
            NGX_CONF_UNSET_UINT;
    }

    if (ngx_array_init(&smcf->purchases, cf->pool, 2,
                       sizeof(ngx_http_speedy_handler_t))
        != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


void *
ngx_http_speedy_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_speedy_srv_conf_t));
}


void *
ngx_http_speedy_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_speedy_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_speedy_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    slcf->auth = NGX_CONF_UNSET_UINT;
    slcf->purchase = 0;

    return slcf;
}


char *
ngx_http_speedy_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_speedy_loc_conf_t  *prev = parent;
    ngx_http_speedy_loc_conf_t  *conf = child;

    ngx_http_speedy_srv_conf_t  *sscf;

    /*
     * A location that says nothing asks for a shopper's token as soon as any
     * place of its server asks for one: what is forgotten is closed.
     */

    sscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_speedy_module);

    ngx_conf_merge_uint_value(conf->auth, prev->auth,
                              sscf->auth ? NGX_HTTP_SPEEDY_ROLE_USER
                                         : NGX_HTTP_SPEEDY_ROLE_NONE);
    ngx_conf_merge_str_value(conf->archive, prev->archive, "");

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_speedy_conf_check(ngx_conf_t *cf)
{
    size_t                        i;
    ngx_str_t                     name;
    ngx_uint_t                   *value;
    ngx_http_speedy_handler_t    *h;
    ngx_http_speedy_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_speedy_module);

    for (i = 0; i < ngx_http_speedy_nranges; i++) {
        value = (ngx_uint_t *) ((u_char *) smcf
                                + ngx_http_speedy_ranges[i].offset);
        ngx_conf_init_uint_value(*value, ngx_http_speedy_ranges[i].usual);
    }

    ngx_str_set(&name, "request_id");
    smcf->request_id = ngx_http_get_variable_index(cf, &name);
    if (smcf->request_id == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_http_speedy_conf_check_auth(cf, smcf) != NGX_OK
        || ngx_http_speedy_jwk_finish(cf, smcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (smcf->status_place.file && smcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"speedy_status\" needs shared memory: add "
                      "\"speedy_zone NAME=SIZE\" to the http block, "
                      "in %s:%ui", smcf->status_place.file,
                      smcf->status_place.line);
        return NGX_ERROR;
    }

    if (smcf->stock_place.file && (smcf->zone == NULL || smcf->redis == NULL))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"speedy_stock\" and \"speedy_stock_stream\" need "
                      "\"speedy_zone NAME=SIZE\" and \"speedy_redis "
                      "unix:/path\" (or address:port) in the http block: add "
                      "them, in %s:%ui", smcf->stock_place.file,
                      smcf->stock_place.line);
        return NGX_ERROR;
    }

    h = smcf->purchases.elts;
    for (i = 0; i < smcf->purchases.nelts; i++) {
        if (ngx_http_speedy_conf_check_purchase(cf, smcf, &h[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (smcf->purchases.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_speedy_kafka_conf_finish(cf, smcf);
}


static ngx_int_t
ngx_http_speedy_conf_check_purchase(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf, ngx_http_speedy_handler_t *h)
{
    const char  *missing;

    missing = NULL;

    if (h->slcf->auth == NGX_HTTP_SPEEDY_ROLE_NONE) {
        missing = "\"speedy_auth user\" in this location, for it would "
                  "sell to anyone";
    } else if (h->slcf->auth != NGX_HTTP_SPEEDY_ROLE_USER) {
        missing = "\"speedy_auth user\" in this location: staff do not buy";
    } else if (smcf->zone == NULL) {
        missing = "\"speedy_zone NAME=SIZE\" in the http block";
    } else if (smcf->redis == NULL) {
        missing = "\"speedy_redis unix:/path\" (or address:port) "
                  "in the http block";
    } else if (smcf->kafka_brokers.len == 0) {
        missing = "\"speedy_kafka host:port[,host:port…]\" in the http block";
    }

    if (missing) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"speedy_purchase\" needs %s, in %s:%ui",
                      missing, h->place.file, h->place.line);
        return NGX_ERROR;
    }

    if (h->slcf->archive.len
        && !ngx_http_speedy_conf_named(h->cscf, &h->slcf->archive))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"speedy_purchase_archive\" names the location \"%V\", "
                      "which this server does not have: add it or take the "
                      "directive away, for \"speedy_purchase\" in %s:%ui",
                      &h->slcf->archive, h->place.file, h->place.line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_speedy_conf_named(ngx_http_core_srv_conf_t *cscf, ngx_str_t *name)
{
    ngx_http_core_loc_conf_t  **clcfp;

    if (cscf->named_locations == NULL) {
        return 0;
    }

    for (clcfp = cscf->named_locations; *clcfp; clcfp++) {
        if ((*clcfp)->name.len == name->len
            && ngx_strncmp((*clcfp)->name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_speedy_conf_place(ngx_conf_t *cf, ngx_http_speedy_place_t *place)
{
    if (place->file == NULL) {
        place->file = cf->conf_file->file.name.data;
        place->line = cf->conf_file->line;
    }
}


/*
 * Resolved now: hiredis would call getaddrinfo() in the event loop.
 */

static char *
ngx_http_speedy_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    ngx_url_t  *u;
    ngx_str_t  *value;
    size_t      len;
    u_char     *address, text[NGX_SOCKADDR_STRLEN];

    if (smcf->redis) {
        return "is duplicate";
    }

    value = cf->args->elts;

    u = ngx_pcalloc(cf->pool, sizeof(ngx_url_t));
    if (u == NULL) {
        return NGX_CONF_ERROR;
    }

    u->url = value[1];
    u->default_port = 6379;

    if (ngx_parse_url(cf->pool, u) != NGX_OK || u->naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"speedy_redis %V\": give "
                           "unix:/path/to/redis.sock or address:port",
                           u->err ? u->err : "no address", &value[1]);
        return NGX_CONF_ERROR;
    }

    smcf->redis = u;

    if (u->family == AF_UNIX) {
        smcf->redis_address.data = value[1].data + sizeof("unix:") - 1;
        smcf->redis_address.len = value[1].len - (sizeof("unix:") - 1);

        if (smcf->redis_address.data[0] != '/') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the path in \"speedy_redis %V\" must be "
                               "absolute", &value[1]);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    len = ngx_sock_ntop(u->addrs[0].sockaddr, u->addrs[0].socklen, text,
                        NGX_SOCKADDR_STRLEN, 0);
    address = text;

    if (u->addrs[0].sockaddr->sa_family == AF_INET6) {
        /* hiredis wants it without the brackets */
        address++;
        len -= 2;
    }

    smcf->redis_address.len = len;
    smcf->redis_address.data = ngx_pnalloc(cf->pool, len + 1);
    if (smcf->redis_address.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(smcf->redis_address.data, address, len);
    smcf->redis_address.data[len] = '\0';
    smcf->redis_port = u->port;

    return NGX_CONF_OK;
}


static char *
ngx_http_speedy_conf_redis_password(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    char       *rv;
    ngx_str_t  *value, *password;

    if (smcf->redis_password.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    password = &smcf->redis_password;

    rv = ngx_http_speedy_conf_read_file(cf, &value[1], 1, password);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    while (password->len && (password->data[password->len - 1] == LF
                             || password->data[password->len - 1] == CR))
    {
        password->len--;
    }

    if (password->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is empty: write Redis' password into it",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_conf_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t secret, ngx_str_t *text)
{
    ssize_t      n;
    ngx_fd_t     fd;
    struct stat  st;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" cannot be opened: create it, readable by "
                           "the user that starts nginx", name);
        return NGX_CONF_ERROR;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size > 65536) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no file of at most 64 KiB", name);
        goto failed;
    }

    if (secret && (st.st_mode & 077)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" may be read by others than its owner: "
                           "chmod 0400 it", name);
        goto failed;
    }

    text->data = ngx_pnalloc(cf->pool, st.st_size + 1);
    if (text->data == NULL) {
        goto failed;
    }

    n = ngx_read_fd(fd, text->data, st.st_size);
    if (n != st.st_size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" cannot be read", name);
        goto failed;
    }

    text->len = n;
    text->data[n] = '\0';
    (void) ngx_close_file(fd);

    return NGX_CONF_OK;

failed:

    (void) ngx_close_file(fd);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_speedy_conf_range(ngx_conf_t *cf, ngx_command_t *cmd, void *conf,
    ngx_uint_t n, const char *unit)
{
    size_t       i;
    ngx_str_t   *value;
    ngx_uint_t  *field;

    value = cf->args->elts;
    field = (ngx_uint_t *) ((u_char *) conf + cmd->offset);

    for (i = 0; ngx_http_speedy_ranges[i].offset != cmd->offset; i++) {
        /* void */
    }

    if (n == (ngx_uint_t) NGX_ERROR || n < ngx_http_speedy_ranges[i].min
        || n > ngx_http_speedy_ranges[i].max)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" is out of range: give %ui%s to %ui%s",
                           &value[0], &value[1],
                           ngx_http_speedy_ranges[i].min, unit,
                           ngx_http_speedy_ranges[i].max, unit);
        return NGX_CONF_ERROR;
    }

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    *field = n;

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_conf_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value = cf->args->elts;

    return ngx_http_speedy_conf_range(cf, cmd, conf,
                                      (ngx_uint_t) ngx_parse_time(&value[1],
                                                                  0),
                                      "ms");
}


static char *
ngx_http_speedy_conf_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value = cf->args->elts;

    return ngx_http_speedy_conf_range(cf, cmd, conf,
                                      (ngx_uint_t) ngx_atoi(value[1].data,
                                                            value[1].len),
                                      "");
}


static char *
ngx_http_speedy_conf_purchase(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_loc_conf_t  *slcf = conf;

    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_speedy_handler_t    *h;
    ngx_http_speedy_main_conf_t  *smcf;

    if (slcf->purchase) {
        return "is duplicate";
    }

    slcf->purchase = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_speedy_purchase_handler;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_speedy_module);

    h = ngx_array_push(&smcf->purchases);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->place.file = NULL;
    ngx_http_speedy_conf_place(cf, &h->place);
    h->slcf = slcf;
    h->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return NGX_CONF_OK;
}


static char *
ngx_http_speedy_conf_archive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->archive.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '@') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"speedy_purchase_archive %V\" is no named "
                           "location: give its name, as in \"@archive\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    slcf->archive = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_speedy_conf_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_speedy_main_conf_t  *smcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_speedy_status_handler;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_speedy_module);
    ngx_http_speedy_conf_place(cf, &smcf->status_place);

    return NGX_CONF_OK;
}


/* The directive's handler stands in the table. */

static char *
ngx_http_speedy_conf_stock(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_speedy_main_conf_t  *smcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = (ngx_http_handler_pt) cmd->post;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_speedy_module);
    ngx_http_speedy_conf_place(cf, &smcf->stock_place);

    return NGX_CONF_OK;
}
