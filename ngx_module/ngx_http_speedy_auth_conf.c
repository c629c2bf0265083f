/*
 * The directives of who may do what: speedy_auth, speedy_sessions,
 * speedy_jwks, speedy_problem, and what they need of each other.
 */

#include "ngx_http_speedy.h"


char *
ngx_http_speedy_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_loc_conf_t  *slcf = conf;

    u_char                        upper[16];
    size_t                        i;
    ngx_str_t                    *value;
    ngx_http_speedy_srv_conf_t   *sscf;
    ngx_http_speedy_main_conf_t  *smcf;

    if (slcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->auth = NGX_HTTP_SPEEDY_ROLE_NONE;
        return NGX_CONF_OK;
    }

    slcf->auth = NGX_HTTP_SPEEDY_ROLE_NONE;

    if (value[1].len < sizeof(upper)) {
        for (i = 0; i < value[1].len; i++) {
            upper[i] = ngx_toupper(value[1].data[i]);
        }

        slcf->auth = ngx_http_speedy_role_parse(upper, value[1].len);
    }

    if (slcf->auth == NGX_HTTP_SPEEDY_ROLE_NONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown role \"%V\" in \"speedy_auth\": give off, "
                           "user, viewer, cs, operator or owner", &value[1]);
        return NGX_CONF_ERROR;
    }

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_speedy_module);
    ngx_http_speedy_conf_place(cf, &smcf->auth_place);

    sscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_speedy_module);
    sscf->auth = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_conf_sessions(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;
    ngx_http_speedy_conf_place(cf, &smcf->sessions_place);

    if (ngx_strcmp(value[1].data, "off") == 0) {
        if (smcf->sessions != NGX_CONF_UNSET_MSEC) {
            return "is duplicate";
        }

        smcf->sessions = 0;
        return NGX_CONF_OK;
    }

    return ngx_http_speedy_conf_msec(cf, cmd, conf);
}


char *
ngx_http_speedy_conf_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_speedy_jwks_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_conf_problem(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_loc_conf_t  *slcf = conf;

    ngx_str_t                         *value;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_compile_complex_value_t   ccv;

    if (slcf->retry_after) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_speedy_problem_handler;

    if (cf->args->nelts == 1) {
        return NGX_CONF_OK;
    }

    slcf->retry_after = ngx_palloc(cf->pool,
                                   sizeof(ngx_http_complex_value_t));
    if (slcf->retry_after == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    value = cf->args->elts;
    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = slcf->retry_after;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_speedy_conf_check_auth(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf)
{
    const char               *missing;
    ngx_http_speedy_place_t  *place;

    missing = NULL;
    place = &smcf->auth_place;

    if (place->file && !ngx_http_speedy_jwt_has_keys(smcf->jwt)) {
        missing = "\"speedy_auth\" needs a key to check tokens with: add "
                  "\"speedy_jwt_key KID HS256|ES256|RS256 FILE\"";

    } else if (place->file && smcf->sessions_place.file == NULL) {
        missing = "\"speedy_auth\" needs to know which sessions have ended: "
                  "add \"speedy_sessions 500ms\", or \"speedy_sessions "
                  "off\" when tokens may be good until they expire,";

    } else if (smcf->sessions && (smcf->zone == NULL || smcf->redis == NULL)) {
        place = &smcf->sessions_place;
        missing = "\"speedy_sessions\" needs \"speedy_zone NAME=SIZE\" and "
                  "\"speedy_redis unix:/path\" (or address:port): add them";

    } else if (smcf->sessions
               && smcf->sessions_max_age < smcf->sessions * 2)
    {
        place = &smcf->sessions_place;
        missing = "\"speedy_sessions_max_age\" must be at least twice "
                  "\"speedy_sessions\", or each late reply refuses everyone: "
                  "raise it or lower that";
    }

    if (missing) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in the http block, in "
                      "%s:%ui", missing, place->file, place->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}
