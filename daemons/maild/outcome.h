/*
 * What came of one attempt to hand a mail to the server: what the SMTP side
 * (smtp.c) saw, and what policy.c judges. No text of the server is kept: it
 * may hold the address.
 */
#ifndef MAILD_OUTCOME_H
#define MAILD_OUTCOME_H

#include <stdbool.h>

/* How far it came: the last command that was sent. */
enum maild_phase {
    MAILD_CONNECT, /* no connection, or no greeting */
    MAILD_HELLO,
    MAILD_STARTTLS,
    MAILD_AUTH,
    MAILD_MAIL,
    MAILD_RCPT,
    MAILD_DATA,
    MAILD_BODY /* all of the mail was given away: it may have been taken */
};

/* Why there is no reply to go by. */
enum maild_trouble {
    MAILD_NO_TROUBLE,
    MAILD_UNREACHED, /* name, route, port, or time-out before a connection */
    MAILD_CUT,       /* the connection broke */
    MAILD_STALLED,   /* time-out */
    MAILD_NO_TLS,    /* TLS not offered, or not agreed on */
    MAILD_UNTRUSTED, /* certificate or CA file */
    MAILD_LOCAL,     /* no memory, or what libcurl will not do */
    MAILD_STOPPED    /* we are stopping, and nothing was given away */
};

struct maild_outcome {
    bool taken;      /* the server said 250 after the body */
    int code;        /* of the reply that ended it; 0: none */
    char status[12]; /* enhanced status of that reply (`5.1.1`), or "" */
    enum maild_phase phase;
    enum maild_trouble trouble;
};

#endif
