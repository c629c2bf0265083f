/* One call of the internal client; its answer is wiped after use. */
#include "address.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/http_client.h"
#include "../common/json.h"
#include "../common/log.h"
#include "attempt_rows.h"

#define BUDGET_MS 3000
#define ANSWER_MOST 8192

static struct speedy_client *userd;

int payd_address_init(void)
{
    userd = speedy_client_new("userd", (int)payd_settings.userd_instances);
    return userd == NULL ? -1 : 0;
}

void payd_address_free(void)
{
    speedy_client_free(userd);
    userd = NULL;
}

static int text(const struct speedy_json *o, const char *name, char *out,
                size_t size)
{
    const char *value = speedy_json_text(speedy_json_get(o, name));

    if (value == NULL || strlen(value) >= size)
        return -1;
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

static int take(const struct speedy_buf *answer, struct payd_recipient *to)
{
    enum speedy_json_error why;
    struct speedy_json *o =
        speedy_json_parse(answer->data, answer->len, ANSWER_MOST, 4, &why);
    int bad = 0;

    bad |= text(o, "recipient", to->recipient, sizeof(to->recipient));
    bad |= text(o, "phone", to->phone, sizeof(to->phone));
    bad |= text(o, "postcode", to->postcode, sizeof(to->postcode));
    bad |= text(o, "line1", to->line1, sizeof(to->line1));
    bad |= text(o, "line2", to->line2, sizeof(to->line2));
    speedy_json_free(o);
    return bad;
}

int payd_address_read(const char *user, const unsigned char id[16],
                      const char *request_id, struct payd_recipient *to)
{
    char path[160], address[37];
    struct speedy_call call = {.method = "GET",
                               .path = path,
                               .request_id = request_id,
                               .timeout_ms = BUDGET_MS,
                               .idempotent = true,
                               .max_answer = ANSWER_MOST};
    int rc = SPEEDY_DB_RETRY;

    speedy_uuid_text(id, address);
    snprintf(path, sizeof(path), "/internal/users/%s/addresses/%s", user,
             address);
    if (speedy_client_call(userd, &call) == SPEEDY_CALL_ANSWERED) {
        if (call.status == 404)
            rc = PAYD_A_NO_ADDRESS;
        else if (call.status == 200 && take(&call.out, to) == 0)
            rc = SPEEDY_DB_OK;
        else
            speedy_log(SPEEDY_WARN, "userd's answer cannot be used",
                       "status=%d", call.status);
    }
    if (call.out.data != NULL)
        explicit_bzero(call.out.data, call.out.len);
    speedy_buf_free(&call.out);
    return rc;
}
