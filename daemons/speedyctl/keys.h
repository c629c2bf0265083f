/*
 * Which master key wraps the data keys of which table.
 */
#ifndef SPEEDYCTL_KEYS_H
#define SPEEDYCTL_KEYS_H

#include "../common/seal.h"
#include "ctl.h"

#define KEYS_MAX 64
#define KEYS_TABLES 4 /* users, verifications, staff, order_recipients */

/* The first entry is the current key of speedy.conf, with rows or without. */
struct keys_use {
    size_t count;
    struct {
        char id[SPEEDY_MASTER_ID];
        int64_t rows[KEYS_TABLES], total;
    } key[KEYS_MAX];
    size_t table; /* while it is read */
};

/* 0, or enum speedy_db_status. */
int keys_use_read(struct ctl *c, struct keys_use *u);
/* Every userd that runs on this host has loaded this key: 0, or CTL_REFUSED
 * after saying which has not. */
int keys_daemons_know(struct ctl *c, const char *id);
/* Its file's path; whether there is such a file. */
bool keys_file(const char *id, char *path, size_t size);

#endif
