/*
 * The paths of productd. Public ones are read by anyone, without a token;
 * /admin is the operators' listener's alone.
 */
#include "productd.h"

static char staff[] = "staff", pause_[] = "pause", resume[] = "resume",
            close_[] = "close", postpone[] = "postpone", extend[] = "extend",
            html[] = "html";

#define READ(path, handle, data)                                               \
    {                                                                          \
        "GET", path, handle, data, false, "VIEWER"                             \
    }
#define ACT(method, path, handle, data)                                        \
    {                                                                          \
        method, path, handle, data, false, "OPERATOR"                          \
    }

const struct speedy_route productd_routes[] = {
    {"GET", "/api/v1/products", productd_products_list, NULL, true, NULL},
    {"GET", "/api/v1/products/*", productd_product_show, NULL, true, NULL},
    {"GET", "/api/v1/sales", productd_sales_list, NULL, true, NULL},
    {"GET", "/api/v1/sales/*", productd_sale_show, NULL, true, NULL},
    /* the wish list's bulk look-up, from userd */
    {"GET", "/internal/products", productd_products_list, NULL, true, NULL},
    READ("/admin/products", productd_products_list, staff),
    READ("/admin/products/*", productd_product_show, staff),
    ACT("POST", "/admin/products", productd_admin_product_add, NULL),
    ACT("PATCH", "/admin/products/*", productd_admin_product_change, NULL),
    ACT("POST", "/admin/products/*/images", productd_admin_product_image, NULL),
    READ("/admin/sales", productd_sales_list, staff),
    READ("/admin/sales/*", productd_admin_sale_show, NULL),
    READ("/admin/sales/*/report", productd_admin_report, NULL),
    READ("/admin/sales/*/report.html", productd_admin_report, html),
    ACT("POST", "/admin/sales", productd_admin_sale_create, NULL),
    ACT("POST", "/admin/sales/stop-all", productd_admin_sale_stop_all, NULL),
    ACT("PATCH", "/admin/sales/*", productd_admin_sale_change, NULL),
    ACT("POST", "/admin/sales/*/pause", productd_admin_sale_move, pause_),
    ACT("POST", "/admin/sales/*/resume", productd_admin_sale_move, resume),
    ACT("POST", "/admin/sales/*/close", productd_admin_sale_move, close_),
    ACT("POST", "/admin/sales/*/postpone", productd_admin_sale_time, postpone),
    ACT("POST", "/admin/sales/*/extend", productd_admin_sale_time, extend),
    ACT("POST", "/admin/sales/*/notice", productd_admin_sale_notice, NULL),
    ACT("POST", "/admin/sales/*/stock", productd_admin_sale_stock, NULL),
    ACT("POST", "/admin/sales/*/release", productd_admin_sale_release, NULL),
    ACT("POST", "/admin/sales/*/extend-holds", productd_admin_sale_extend_holds,
        NULL),
    {NULL, NULL, NULL, NULL, false, NULL},
};
