/*
 * Prepared statements and their results.
 *
 * A connection keeps its statements until it is dropped. They are found by
 * their text, so a text built at run time is as safe as a literal, only
 * slower. Results are read whole before the first row is shown, with buffers
 * as long as the longest value: nothing is cut, and row() may run other
 * statements on the same connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db_private.h"
#include "json.h"

#define ARGS_MAX 65535 /* of the protocol */

struct speedy_db_statement {
    struct speedy_db_statement *next;
    char *head, *group, *tail;
    size_t n;
    MYSQL_STMT *stmt;
    MYSQL_BIND *params;
    size_t param_count;
};

/* What a statement is made of: head, n groups, tail. */
struct text {
    const char *head, *group, *tail;
    size_t n;
};

typedef int row_function(void *data, const struct speedy_db_value *col,
                         size_t cols);

static int each_row(struct speedy_db *db, struct speedy_db_statement *st,
                    row_function *row, void *data);

static int fail_stmt(struct speedy_db *db, MYSQL_STMT *stmt, const char *what)
{
    return speedy_db_fail(db, mysql_stmt_errno(stmt), mysql_stmt_error(stmt),
                          what);
}

static void statement_free(struct speedy_db_statement *st)
{
    if (st->stmt != NULL)
        mysql_stmt_close(st->stmt);
    free(st->params);
    free(st->head);
    free(st->group);
    free(st->tail);
    free(st);
}

void speedy_db_statements_free(struct speedy_db *db)
{
    while (db->statements != NULL) {
        struct speedy_db_statement *st = db->statements;

        db->statements = st->next;
        statement_free(st);
    }
}

static char *copy(const char *text)
{
    char *out = strdup(text);

    if (out == NULL)
        abort();
    return out;
}

static struct speedy_db_statement *find(struct speedy_db *db,
                                        const struct text *t)
{
    struct speedy_db_statement **at = &db->statements, *st;

    for (; (st = *at) != NULL; at = &st->next) {
        if (st->n != t->n || strcmp(st->head, t->head) != 0 ||
            strcmp(st->group, t->group) != 0 || strcmp(st->tail, t->tail) != 0)
            continue;
        /* what is in use moves to the front */
        *at = st->next;
        st->next = db->statements;
        db->statements = st;
        return st;
    }
    return NULL;
}

/* head group,group,… tail */
static void spell(struct speedy_buf *b, const struct text *t)
{
    speedy_buf_add(b, t->head, strlen(t->head));
    for (size_t i = 0; i < t->n; i++) {
        if (i > 0)
            speedy_buf_add(b, ",", 1);
        speedy_buf_add(b, t->group, strlen(t->group));
    }
    speedy_buf_add(b, t->tail, strlen(t->tail));
}

static int prepare(struct speedy_db *db, const struct text *t,
                   struct speedy_db_statement **out)
{
    struct speedy_db_statement *st = calloc(1, sizeof(*st));
    struct speedy_buf sql = {0};
    my_bool yes = 1;
    int error;

    if (st == NULL)
        abort();
    st->head = copy(t->head);
    st->group = copy(t->group);
    st->tail = copy(t->tail);
    st->n = t->n;
    st->stmt = mysql_stmt_init(db->my);
    if (st->stmt == NULL)
        abort();
    mysql_stmt_attr_set(st->stmt, STMT_ATTR_UPDATE_MAX_LENGTH, &yes);
    spell(&sql, t);
    error = mysql_stmt_prepare(st->stmt, sql.data, sql.len);
    speedy_buf_free(&sql);
    if (error != 0) {
        /* a connection that is lost goes first: closing a statement of it
           would wait for the server once more */
        int status = fail_stmt(db, st->stmt, t->head);

        statement_free(st);
        return status;
    }
    st->param_count = mysql_stmt_param_count(st->stmt);
    st->params = calloc(st->param_count + 1, sizeof(*st->params));
    if (st->params == NULL)
        abort();
    st->next = db->statements;
    db->statements = st;
    *out = st;
    return SPEEDY_DB_OK;
}

static bool is_text(const char *bytes, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        n = speedy_utf8_length(bytes + i, len - i);
        if (n == 0)
            return false;
    }
    return true;
}

/* Values are bound where they lie; they live until the call returns. */
static void bind(MYSQL_BIND *b, const struct speedy_db_value *v)
{
    memset(b, 0, sizeof(*b));
    switch (v->kind) {
    case SPEEDY_DB_NULL:
        b->buffer_type = MYSQL_TYPE_NULL;
        break;
    case SPEEDY_DB_INT:
        b->buffer_type = MYSQL_TYPE_LONGLONG;
        b->buffer = (void *)&v->number;
        break;
    case SPEEDY_DB_BYTES:
        /* Text compares by the column's collation; bytes that are no text
           (binary ids, digests) must not be taken for any. */
        b->buffer_type =
            is_text(v->bytes, v->len) ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        b->buffer = (void *)v->bytes;
        b->buffer_length = v->len;
        break;
    }
}

/* Prepares if needed, binds, executes. */
static int run(struct speedy_db *db, const struct text *text,
               const struct speedy_db_value *args, size_t count,
               struct speedy_db_statement **out)
{
    struct speedy_db_statement *st;
    int status;

    if (db->tx == TX_LOST || speedy_db_ready(db) != 0)
        return SPEEDY_DB_RETRY;
    st = find(db, text);
    if (st == NULL) {
        status = prepare(db, text, &st);
        if (status != SPEEDY_DB_OK)
            return status;
    }
    if (count != st->param_count || count > ARGS_MAX)
        return speedy_db_fail(db, 0, "wrong number of arguments", text->head);
    for (size_t i = 0; i < count; i++)
        bind(&st->params[i], &args[i]);
    if ((count > 0 && mysql_stmt_bind_param(st->stmt, st->params) != 0) ||
        mysql_stmt_execute(st->stmt) != 0)
        return fail_stmt(db, st->stmt, text->head);
    *out = st;
    return SPEEDY_DB_OK;
}

static int exec_text(struct speedy_db *db, const struct text *text,
                     const struct speedy_db_value *args, size_t count,
                     long *affected)
{
    struct speedy_db_statement *st;
    int status = run(db, text, args, count, &st);

    if (affected != NULL)
        *affected = 0;
    if (status != SPEEDY_DB_OK)
        return status;
    if (affected != NULL)
        *affected = (long)mysql_stmt_affected_rows(st->stmt);
    if (mysql_stmt_field_count(st->stmt) > 0)
        mysql_stmt_free_result(st->stmt);
    return SPEEDY_DB_OK;
}

static int query_text(struct speedy_db *db, const struct text *text,
                      const struct speedy_db_value *args, size_t count,
                      row_function *row, void *data)
{
    struct speedy_db_statement *st;
    int status = run(db, text, args, count, &st);

    if (status != SPEEDY_DB_OK)
        return status;
    if (mysql_stmt_store_result(st->stmt) != 0)
        return fail_stmt(db, st->stmt, text->head);
    return each_row(db, st, row, data);
}

int speedy_db_exec(struct speedy_db *db, const char *sql,
                   const struct speedy_db_value *args, size_t count,
                   long *affected)
{
    return exec_text(db, &(struct text){sql, "", "", 0}, args, count, affected);
}

int speedy_db_exec_many(struct speedy_db *db, const char *head,
                        const char *group, size_t n, const char *tail,
                        const struct speedy_db_value *args, size_t count,
                        long *affected)
{
    return exec_text(db, &(struct text){head, group, tail, n}, args, count,
                     affected);
}

int speedy_db_query(struct speedy_db *db, const char *sql,
                    const struct speedy_db_value *args, size_t count,
                    row_function *row, void *data)
{
    return query_text(db, &(struct text){sql, "", "", 0}, args, count, row,
                      data);
}

int speedy_db_query_many(struct speedy_db *db, const char *head,
                         const char *group, size_t n, const char *tail,
                         const struct speedy_db_value *args, size_t count,
                         row_function *row, void *data)
{
    return query_text(db, &(struct text){head, group, tail, n}, args, count,
                      row, data);
}

size_t speedy_db_chunk(size_t n)
{
    size_t power = 1;

    while (power * 2 <= n)
        power *= 2;
    return power;
}

size_t speedy_db_padded(size_t n)
{
    size_t power = 1;

    while (power < n)
        power *= 2;
    return power;
}

int64_t speedy_db_insert_id(struct speedy_db *db)
{
    return db->my != NULL ? (int64_t)mysql_insert_id(db->my) : 0;
}

struct column {
    bool integer, decimal;
    int64_t number;
    char *bytes;
    unsigned long room, len;
    my_bool null;
};

/* A result being read: independent of the statement's life. */
struct rows {
    size_t count;
    struct column *column;
    MYSQL_BIND *bind;
    struct speedy_db_value *value;
};

static void rows_free(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->column[i].bytes);
    free(r->column);
    free(r->bind);
    free(r->value);
}

static bool integer_type(enum enum_field_types type)
{
    return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT ||
           type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONG ||
           type == MYSQL_TYPE_LONGLONG || type == MYSQL_TYPE_YEAR;
}

static int rows_init(struct rows *r, MYSQL_STMT *stmt)
{
    MYSQL_RES *meta = mysql_stmt_result_metadata(stmt);
    MYSQL_FIELD *field;

    *r = (struct rows){.count = meta != NULL ? mysql_num_fields(meta) : 0};
    if (meta == NULL)
        return -1;
    field = mysql_fetch_fields(meta);
    r->column = calloc(r->count, sizeof(*r->column));
    r->bind = calloc(r->count, sizeof(*r->bind));
    r->value = calloc(r->count, sizeof(*r->value));
    if (r->column == NULL || r->bind == NULL || r->value == NULL)
        abort();
    for (size_t i = 0; i < r->count; i++) {
        struct column *c = &r->column[i];

        c->integer = integer_type(field[i].type);
        c->decimal = field[i].type == MYSQL_TYPE_DECIMAL ||
                     field[i].type == MYSQL_TYPE_NEWDECIMAL;
        c->room = (field[i].max_length > 64 ? field[i].max_length : 64) + 1;
        r->bind[i].is_null = &c->null;
        r->bind[i].length = &c->len;
        if (c->integer) {
            r->bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            r->bind[i].buffer = &c->number;
            r->bind[i].is_unsigned = (field[i].flags & UNSIGNED_FLAG) != 0;
            continue;
        }
        c->bytes = malloc(c->room);
        if (c->bytes == NULL)
            abort();
        r->bind[i].buffer_type = MYSQL_TYPE_STRING;
        r->bind[i].buffer = c->bytes;
        r->bind[i].buffer_length = c->room - 1;
    }
    mysql_free_result(meta);
    return mysql_stmt_bind_result(stmt, r->bind);
}

/* A DECIMAL without a fraction is an integer: `5`, `1700000000123.000`. */
static bool whole(const char *text, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno != 0 || end == text)
        return false;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0");
    return *end == '\0';
}

static void rows_take(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct column *c = &r->column[i];
        struct speedy_db_value *v = &r->value[i];

        *v = DB_NULL;
        if (c->null)
            continue;
        if (c->integer) {
            *v = DB_INT(c->number);
            continue;
        }
        c->bytes[c->len] = '\0';
        *v = DB_BYTES(c->bytes, c->len);
        if (c->decimal && whole(c->bytes, &v->number))
            v->kind = SPEEDY_DB_INT;
    }
}

static int each_row(struct speedy_db *db, struct speedy_db_statement *st,
                    row_function *row, void *data)
{
    unsigned generation = db->generation;
    struct rows r;
    int got = 0, status = SPEEDY_DB_OK, stop = 0;

    if (rows_init(&r, st->stmt) != 0)
        status = speedy_db_fail(db, 0, "no result to read", st->head);
    while (status == SPEEDY_DB_OK && !stop) {
        got = mysql_stmt_fetch(st->stmt);
        if (got == MYSQL_NO_DATA)
            break;
        if (got != 0) {
            /* truncation cannot be: buffers are as long as the longest */
            status = got == MYSQL_DATA_TRUNCATED
                         ? speedy_db_fail(db, 0, "a value was cut", st->head)
                         : fail_stmt(db, st->stmt, st->head);
            break;
        }
        rows_take(&r);
        stop = row(data, r.value, r.count);
        /* row() lost the connection, and the statement with it */
        if (db->generation != generation)
            status = SPEEDY_DB_RETRY;
    }
    if (db->generation == generation)
        mysql_stmt_free_result(st->stmt);
    rows_free(&r);
    return status;
}

struct one_number {
    bool found;
    int64_t number;
};

static int take_number(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct one_number *one = data;

    if (cols > 0 && col[0].kind == SPEEDY_DB_INT) {
        one->found = true;
        one->number = col[0].number;
    }
    return 1;
}

int speedy_db_number(struct speedy_db *db, const char *sql,
                     const struct speedy_db_value *args, size_t count,
                     int64_t *out)
{
    struct one_number one = {false, 0};
    int status = speedy_db_query(db, sql, args, count, take_number, &one);

    if (status != SPEEDY_DB_OK)
        return status;
    if (one.found)
        *out = one.number;
    return one.found;
}
