/*
 * A private MariaDB with the shop's schema, accounts and grants, as the
 * daemons find it. Run from the top of the repository (sql/ is read).
 */
#ifndef SHOP_DB_H
#define SHOP_DB_H

/* Starts it if needed. 0, or -1 after saying why. */
int shop_db_start(void);
/* A product, a sale and its variant `default` at 1000 won, epoch 1. */
int shop_db_sale(const char *sale, long total, long hold_ms,
                 const char *restock);
/* printf forms of servers_mysql_root and servers_mysql_number. */
int shop_db_do(const char *format, ...) __attribute__((format(printf, 1, 2)));
long shop_db_number(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
