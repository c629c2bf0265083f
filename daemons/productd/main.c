/*
 * productd: what is sold, to shoppers; and the operators' acts on it. Any
 * number may run: what must be serialised is so by MySQL.
 *
 * Threads: one for each HTTP connection; they share a pool of connections to
 * MySQL and Redis, and the board (board.h), which has its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "board.h"
#include "productd.h"

#define GRACE_MS 8000

static const char *not_ready(void)
{
    struct speedy_stores *s = speedy_stores_take();
    int64_t one;
    int rc;

    if (s == NULL)
        return "too many requests at once";
    rc = speedy_db_ready(s->db);
    if (rc == 0)
        rc = speedy_db_number(s->db, "SELECT 1", DB_NONE, &one) == 1 ? 0 : -1;
    speedy_stores_give(s);
    return rc != 0 ? "MySQL does not answer" : NULL;
}

/* It must be there and ours to write, before somebody uploads. */
static int images_check(void)
{
    const char *path = productd_settings.images;

    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        speedy_log(SPEEDY_ERROR, "directory not made", "path=%s error=\"%s\"",
                   path, strerror(errno));
    if (access(path, W_OK | X_OK) == 0)
        return 0;
    speedy_log(SPEEDY_ERROR, "images cannot be stored",
               "path=%s error=\"%s\" remedy=\"[productd] images names a "
               "directory that this account may write\"",
               path, strerror(errno));
    return -1;
}

static int start(int instance)
{
    const struct speedy_http http = {
        .role = PRODUCTD_ROLE,
        .instance = instance,
        .routes = productd_routes,
        .not_ready = not_ready,
        .max_body = PRODUCTD_IMAGE_MOST,
        .connections = (unsigned)productd_settings.http_connections,
    };

    return speedy_http_start(&http);
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    int rc;

    speedy_loop_init();
    rc = speedy_options_parse(argc, argv, PRODUCTD_ROLE,
                              productd_settings_table, &options);
    if (rc >= 0)
        return rc;
    if (images_check() != 0 || productd_cursor_init() != 0 ||
        productd_board_init() != 0 ||
        speedy_stores_init(PRODUCTD_ROLE,
                           (int)productd_settings.mysql_connections) != 0)
        return 1;
    if (start(options.instance) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "images=%s", productd_settings.images);
    rc = speedy_loop_run(GRACE_MS);
    speedy_http_stop();
    speedy_stores_free();
    productd_board_free();
    productd_cursor_free();
    return rc == 0 ? 0 : 1;
}
