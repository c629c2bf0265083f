/*
 * A server on a unix socket that behaves as it is told, and counts what it
 * was sent: <servers_dir>/<role>_<instance>.sock.
 */
#ifndef ODD_SERVER_H
#define ODD_SERVER_H

enum odd_mode {
    ODD_OK,          /* 200, body = the request's body or "ok" */
    ODD_UNAVAILABLE, /* 503 */
    ODD_ERROR,       /* 500 */
    ODD_STALL,       /* reads, never answers */
    ODD_RESET,       /* reads, closes without a word */
    ODD_TORN,        /* promises 100 bytes, sends 10, closes */
    ODD_GARBAGE,     /* no HTTP */
    ODD_ENDLESS,     /* a body without an end */
    ODD_TIRED        /* the second request of a connection is read, and the
                      * connection closed */
};

struct odd_server;

struct odd_server *odd_start(const char *role, int instance);
void odd_stop(struct odd_server *s);
void odd_set(struct odd_server *s, enum odd_mode mode);
/* Whole requests read since the last odd_reset; with this first word. */
int odd_requests(struct odd_server *s, const char *method);
int odd_connections(struct odd_server *s);
void odd_reset(struct odd_server *s);
/* Head of the last request. Valid until the next one comes. */
const char *odd_head(struct odd_server *s);

#endif
