#include "fake_productd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../common/servers.h"

struct fake_productd *fake_productd;
static pid_t pid;

static void unavailable(struct speedy_request *r)
{
    speedy_problem_retry(r, 503, "unavailable", "Out of use.", 1);
}

static void products(struct speedy_request *r, void *data)
{
    const char *ids = speedy_request_query(r, "ids");
    int n = 0, found = 0;

    (void)data;
    atomic_fetch_add(&fake_productd->product_calls, 1);
    if (ids == NULL || atomic_load(&fake_productd->out_of_use)) {
        unavailable(r);
        return;
    }
    speedy_buf_printf(&r->out, "{\"data\":[");
    for (const char *at = ids; at != NULL; n++) {
        int len = (int)strcspn(at, ",");

        if (strncmp(at, "gone", 4) != 0)
            speedy_buf_printf(&r->out,
                              "%s{\"id\":\"%.*s\",\"name\":\"상품 \\\"%.*s"
                              "\\\"\",\"price\":129000,\"images\":[{\"url\":"
                              "\"/images/x.png\",\"width\":64}],\"sale\":null,"
                              "\"hidden\":false}",
                              found++ > 0 ? "," : "", len, at, len, at);
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    speedy_buf_printf(&r->out, "],\"has_more\":false,\"next_cursor\":null}\n");
    atomic_store(&fake_productd->ids, n);
    r->status = 200;
}

/* The cursor is the place of the next sale. */
static void sales(struct speedy_request *r, void *data)
{
    const char *cursor = speedy_request_query(r, "cursor");
    int i = cursor == NULL ? 0 : atoi(cursor), end = i + FAKE_PAGE;
    int count = atomic_load(&fake_productd->sales);

    (void)data;
    atomic_fetch_add(&fake_productd->sale_calls, 1);
    if (atomic_load(&fake_productd->out_of_use)) {
        unavailable(r);
        return;
    }
    speedy_buf_printf(&r->out, "{\"data\":[");
    for (; i < count && i < end; i++) {
        speedy_buf_printf(
            &r->out,
            "%s{\"id\":\"%s\",\"product_id\":\"%s\",\"state\":"
            "\"%s\",\"product_name\":\"Speed 운동화\","
            "\"opens_at\":",
            i > end - FAKE_PAGE ? "," : "", fake_productd->sale[i].id,
            fake_productd->sale[i].product, fake_productd->sale[i].state);
        speedy_buf_time(&r->out, fake_productd->sale[i].opens_at, 540);
        speedy_buf_printf(&r->out, "}");
    }
    if (i < count)
        speedy_buf_printf(&r->out,
                          "],\"has_more\":true,\"next_cursor\":\"%d\"}\n", i);
    else
        speedy_buf_printf(&r->out,
                          "],\"has_more\":false,\"next_cursor\":null}\n");
    r->status = 200;
}

static void serve(void)
{
    static const struct speedy_route routes[] = {
        {"GET", "/internal/products", products, NULL, true, NULL},
        {"GET", "/api/v1/sales", sales, NULL, true, NULL},
        {.method = NULL},
    };
    const struct speedy_http http = {
        .role = "productd", .instance = 1, .routes = routes, .max_body = 1024};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    speedy_log_init("productd", 1);
    speedy_conf.http_directory = strdup(servers_dir());
    if (speedy_http_start(&http) != 0)
        _exit(1);
    atomic_store(&fake_productd->ready, true);
    for (;;)
        pause();
}

static bool is_ready(void *data)
{
    (void)data;
    return atomic_load(&fake_productd->ready);
}

int fake_productd_start(void)
{
    fake_productd = mmap(NULL, sizeof(*fake_productd), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fake_productd == MAP_FAILED)
        return -1;
    servers_dir();
    pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        serve();
    return servers_wait(is_ready, NULL, 10000) ? 0 : -1;
}

void fake_productd_freeze(bool frozen)
{
    kill(pid, frozen ? SIGSTOP : SIGCONT);
}

void fake_productd_reset(void)
{
    fake_productd_freeze(false);
    atomic_store(&fake_productd->product_calls, 0);
    atomic_store(&fake_productd->sale_calls, 0);
    atomic_store(&fake_productd->sales, 0);
    atomic_store(&fake_productd->out_of_use, false);
}

void fake_productd_sale(const char *id, const char *product, const char *state,
                        long opens_in_ms)
{
    int i = atomic_load(&fake_productd->sales);

    if (i == FAKE_SALES)
        abort();
    snprintf(fake_productd->sale[i].id, 41, "%s", id);
    snprintf(fake_productd->sale[i].product, 41, "%s", product);
    snprintf(fake_productd->sale[i].state, 12, "%s", state);
    fake_productd->sale[i].opens_at = speedy_now_real() + opens_in_ms;
    atomic_store(&fake_productd->sales, i + 1);
}
