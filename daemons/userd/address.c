/*
 * One address.
 */
#include "address.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "fields.h"

#define SEOUL_MIN 540
#define SEALED_MAX (USERD_LINE_SIZE + SPEEDY_SEAL_EXTRA)

/* Where each text stands in the struct and in the table, in the order of the
 * statements below. */
static const struct text {
    const char *column;
    size_t offset, size;
} texts[] = {
    {"sealed_recipient", offsetof(struct userd_address, recipient),
     USERD_NAME_SIZE},
    {"sealed_phone", offsetof(struct userd_address, phone), USERD_PHONE_SIZE},
    {"sealed_postcode", offsetof(struct userd_address, postcode),
     USERD_POSTCODE_SIZE},
    {"sealed_line1", offsetof(struct userd_address, line1), USERD_LINE_SIZE},
    {"sealed_line2", offsetof(struct userd_address, line2), USERD_LINE_SIZE},
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

struct sealed {
    unsigned char bytes[TEXTS][SEALED_MAX];
    size_t len[TEXTS];
};

static void seal(const struct userd_person *p, const struct userd_address *a,
                 struct sealed *out)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = (const char *)a + texts[i].offset;
        struct speedy_seal_place at = {"addresses", texts[i].column, a->id,
                                       sizeof(a->id)};

        out->len[i] =
            speedy_seal(&p->key, &at, text, strlen(text), out->bytes[i]);
    }
}

struct reading {
    const struct userd_person *p;
    void (*each)(void *data, const struct userd_address *a);
    void *data;
    bool bad;
};

static int unseal(const struct userd_person *p,
                  const struct speedy_db_value *col, struct userd_address *a)
{
    for (size_t i = 0; i < TEXTS; i++) {
        struct speedy_seal_place at = {"addresses", texts[i].column, a->id,
                                       sizeof(a->id)};

        if (col[i].len < SPEEDY_SEAL_EXTRA ||
            col[i].len - SPEEDY_SEAL_EXTRA >= texts[i].size ||
            speedy_unseal(&p->key, &at, col[i].bytes, col[i].len,
                          (char *)a + texts[i].offset) < 0)
            return -1;
    }
    return 0;
}

static int on_address(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct reading *reading = data;
    struct userd_address a = {0};

    (void)cols;
    memcpy(a.id, col[0].bytes, sizeof(a.id));
    a.is_default = col[1].number != 0;
    a.version = col[2].number;
    a.created_at = col[3].number;
    if (unseal(reading->p, col + 4, &a) != 0) {
        reading->bad = true;
        speedy_log(SPEEDY_ALARM, "an address cannot be read", "user=%s",
                   reading->p->id);
        return 1;
    }
    reading->each(reading->data, &a);
    explicit_bzero(&a, sizeof(a));
    return 0;
}

#define COLUMNS                                                                \
    "SELECT id, is_default, version,"                                          \
    " CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED), sealed_recipient,"    \
    " sealed_phone, sealed_postcode, sealed_line1, sealed_line2"               \
    " FROM addresses WHERE user_id = ?"

int userd_address_read(struct speedy_db *db, const struct userd_person *p,
                       const unsigned char id[16],
                       void (*each)(void *data, const struct userd_address *a),
                       void *data)
{
    struct reading reading = {p, each, data, false};
    int rc;

    if (id == NULL)
        rc = speedy_db_query(db, COLUMNS " ORDER BY id",
                             DB_ARGS(DB_TEXT(p->id)), on_address, &reading);
    else
        rc = speedy_db_query(db, COLUMNS " AND id = ?",
                             DB_ARGS(DB_TEXT(p->id), DB_BYTES(id, 16)),
                             on_address, &reading);
    return rc == SPEEDY_DB_OK && reading.bad ? SPEEDY_DB_ERROR : rc;
}

int userd_address_insert(struct speedy_db *db, const struct userd_person *p,
                         const struct userd_address *a)
{
    struct sealed s = {.len = {0}};

    seal(p, a, &s);
    return speedy_db_exec(
        db,
        "INSERT INTO addresses (id, user_id, sealed_recipient, sealed_phone,"
        " sealed_postcode, sealed_line1, sealed_line2, is_default)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_BYTES(a->id, sizeof(a->id)), DB_TEXT(p->id),
                DB_BYTES(s.bytes[0], s.len[0]), DB_BYTES(s.bytes[1], s.len[1]),
                DB_BYTES(s.bytes[2], s.len[2]), DB_BYTES(s.bytes[3], s.len[3]),
                DB_BYTES(s.bytes[4], s.len[4]), DB_INT(a->is_default)),
        NULL);
}

int userd_address_update(struct speedy_db *db, const struct userd_person *p,
                         const struct userd_address *a)
{
    struct sealed s = {.len = {0}};

    seal(p, a, &s);
    return speedy_db_exec(
        db,
        "UPDATE addresses SET sealed_recipient = ?, sealed_phone = ?,"
        " sealed_postcode = ?, sealed_line1 = ?, sealed_line2 = ?,"
        " version = ? WHERE id = ? AND user_id = ?",
        DB_ARGS(DB_BYTES(s.bytes[0], s.len[0]), DB_BYTES(s.bytes[1], s.len[1]),
                DB_BYTES(s.bytes[2], s.len[2]), DB_BYTES(s.bytes[3], s.len[3]),
                DB_BYTES(s.bytes[4], s.len[4]), DB_INT(a->version),
                DB_BYTES(a->id, sizeof(a->id)), DB_TEXT(p->id)),
        NULL);
}

void userd_address_write(struct speedy_buf *out, const struct userd_address *a)
{
    static const char *const names[TEXTS] = {"recipient", "phone", "postcode",
                                             "line1", "line2"};
    char id[37];

    speedy_uuid_text(a->id, id);
    speedy_buf_printf(out, "{\"id\":\"%s\"", id);
    for (size_t i = 0; i < TEXTS; i++) {
        speedy_buf_printf(out, ",\"%s\":", names[i]);
        speedy_buf_json(out, (const char *)a + texts[i].offset);
    }
    speedy_buf_printf(out, ",\"is_default\":%s,\"version\":%lld,",
                      a->is_default ? "true" : "false", (long long)a->version);
    speedy_buf_printf(out, "\"created_at\":");
    speedy_buf_time(out, a->created_at, SEOUL_MIN);
    speedy_buf_printf(out, "}");
}

void userd_address_take(struct userd_errors *e, const struct userd_field *f,
                        struct userd_address *a)
{
    const char *text;

    userd_name_take(e, &f[USERD_ADDRESS_RECIPIENT], a->recipient);
    userd_phone_take(e, &f[USERD_ADDRESS_PHONE], a->phone);
    text = userd_field_text(&f[USERD_ADDRESS_POSTCODE]);
    if (text != NULL && userd_postcode_normalise(text, a->postcode) != 0)
        userd_error_add(e, "/postcode", "postcode_invalid");
    text = userd_field_text(&f[USERD_ADDRESS_LINE1]);
    if (text != NULL && userd_line_normalise(text, 1, a->line1) != 0)
        userd_error_add(e, "/line1", "line_invalid");
    text = userd_field_text(&f[USERD_ADDRESS_LINE2]);
    if (text != NULL && userd_line_normalise(text, 0, a->line2) != 0)
        userd_error_add(e, "/line2", "line_invalid");
    a->is_default = speedy_json_bool(f[USERD_ADDRESS_DEFAULT].value, false);
}

void userd_address_merge(struct userd_address *a, const struct userd_field *f,
                         const struct userd_address *from)
{
    for (size_t i = 0; i < TEXTS; i++) {
        if (f[i].value != NULL)
            memcpy((char *)a + texts[i].offset,
                   (const char *)from + texts[i].offset, texts[i].size);
    }
}
