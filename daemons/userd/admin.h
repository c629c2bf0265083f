/*
 * Requests of operators. The gateway and the table of routes have judged the
 * token's role; a token lives on for minutes after its owner was demoted, so
 * each request asks MySQL too: the operator is ACTIVE, has at least the role
 * that the token claims, and the session has not ended.
 *
 * Every handler of the desk but the login runs inside userd_admin, which
 * makes that check: a route names userd_admin and a struct userd_admin_act.
 */
#ifndef USERD_ADMIN_H
#define USERD_ADMIN_H

#include <stdbool.h>

#include "../common/http_server.h"
#include "../common/stores.h"
#include "../shop/act.h"

struct userd_admin {
    struct speedy_request *r;
    struct speedy_stores *s;
    char login[41], role[11]; /* as MySQL has them */
};

struct userd_admin_act {
    void (*run)(struct userd_admin *a);
};

/* A route's handler; data is a struct userd_admin_act. */
void userd_admin(struct speedy_request *r, void *data);

/*
 * One transaction with its audit_log row, by this operator: see
 * speedy_act_run. The row's detail names request and operator besides what
 * work() adds. reason "" where none is asked for.
 */
int userd_admin_run(struct userd_admin *a, const char *act, const char *object,
                    const char *reason,
                    int (*work)(struct speedy_act *act, void *data),
                    void *data);

/* Why: 1 to 200 characters without controls, not blanks alone. */
bool userd_reason_valid(const char *reason);

/*
 * A parameter of printable ASCII, as ids and words are (MySQL compares no
 * other text with their columns). True with it or NULL in *out; false after
 * answering 400.
 */
bool userd_word_asked(struct speedy_request *r, const char *name,
                      const char **out);

#define USERD_PAGE_DEFAULT 20
#define USERD_PAGE_MOST 100
/*
 * The parameters limit and cursor; names (NULL-ended): all that are known.
 * before gets the cursor's `size` bytes, 0xff… without one. The limit, or -1
 * after answering 400.
 */
int userd_page_asked(struct speedy_request *r, const char *const *names,
                     unsigned char *before, size_t size);
/* Ends `{"data":[…`: last is the cursor of the next page, NULL: none. */
void userd_page_end(struct speedy_request *r, const unsigned char *last,
                    size_t size);

#define USERD_OFFSET_MIN 540 /* Seoul */
/* `"name":` and the time, or null for 0. */
void userd_time_member(struct speedy_buf *out, const char *name, int64_t ms);
/* `"name":` and the text, or null. */
void userd_text_member(struct speedy_buf *out, const char *name,
                       const char *text);

/* The acts, each in the file of its name (admin_users_… in admin_users.c). */
extern struct userd_admin_act userd_admin_staff_list, userd_admin_staff_add,
    userd_admin_staff_change;
extern struct userd_admin_act userd_admin_users_find, userd_admin_users_show,
    userd_admin_users_block, userd_admin_users_unblock;
extern struct userd_admin_act userd_admin_audit_list;
extern struct userd_admin_act userd_admin_mails_list, userd_admin_mails_retry;

/* staff.c: POST /admin/sessions, for anyone. */
void userd_staff_login(struct speedy_request *r, void *data);

#endif
