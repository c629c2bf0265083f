/*
 * The table of commands, with the options of each.
 */
#include "ctl.h"

static const struct ctl_option token_options[] = {
    {"user", "ID", "whose token"},
    {"users", "1-10000", "one token a line for each number of the range"},
    {"prefix", "TEXT", "put before each number of --users"},
    {"role", "ROLE", "USER (default), VIEWER, CS, OPERATOR or OWNER"},
    {"ttl", "TIME", "15m by default; bounded by [speedyctl] token_max_ttl"},
    {NULL, NULL, NULL}};
static const struct ctl_option product_options[] = {
    {"id", "ID", "1-40 of [A-Za-z0-9_-]"},
    {"name", "NAME", "what shoppers read"},
    {"price", "WON", "whole won"},
    {"description", "TEXT", "what else they read"},
    {"category", "ID", "1-40 of [A-Za-z0-9_-]"},
    {NULL, NULL, NULL}};
static const struct ctl_option change_options[] = {
    {"name", "NAME", "what shoppers read"},
    {"price", "WON", "of sales made after this"},
    {"description", "TEXT", "what else they read"},
    {"category", "ID", "1-40 of [A-Za-z0-9_-], or \"\""},
    {"hide", NULL, "from lists and searches"},
    {"show", NULL, "again"},
    {NULL, NULL, NULL}};
static const struct ctl_option create_options[] = {
    {"id", "ID", "1-40 of [A-Za-z0-9_-]"},
    {"product", "ID", "what is sold; it gives the price"},
    {"stock", "N|V=N,…", "units, or units of each variant: 270=10,280=5"},
    {"opens-at", "TIME", "now (default), or RFC 3339 with offset"},
    {"closes-at", "TIME", "RFC 3339 with offset (default: open end)"},
    {"limit", "N", "units a shopper may have (default 1)"},
    {"hold", "TIME", "time to pay (default 10m)"},
    {"restock", "POLICY", "immediate (default), hold or random"},
    {"shipping", "MODE", "scheduled (default) or manual"},
    {"wait", "TIME", "how long to wait for the gate (default 10s; 0: not)"},
    {NULL, NULL, NULL}};
static const struct ctl_option sale_change_options[] = {
    {"opens-at", "TIME", "RFC 3339 with offset"},
    {"closes-at", "TIME", "RFC 3339 with offset, or never"},
    {"limit", "N", "units a shopper may have"},
    {"hold", "TIME", "time to pay"},
    {"price", "N|V=N,…", "whole won, or of each variant"},
    {"restock", "POLICY", "immediate, hold or random"},
    {"shipping", "MODE", "scheduled or manual"},
    {NULL, NULL, NULL}};
static const struct ctl_option wait_options[] = {
    {"wait", "TIME", "how long to wait for the outcome (default 10s)"},
    {NULL, NULL, NULL}};
static const struct ctl_option release_options[] = {
    {"variant", "ID", "of this variant only"},
    {"units", "N", "at most so many units (default: all)"},
    {NULL, NULL, NULL}};
static const struct ctl_option report_options[] = {
    {"html", "FILE", "writes the page with its charts too"},
    {"wait", "TIME", "for quiescence before the audit (default 5s)"},
    {NULL, NULL, NULL}};
static const struct ctl_option list_options[] = {
    {"sale", "ID", "of this sale only"},
    {"state", "STATE", "in this state only"},
    {"limit", "N", "at most so many (default 50)"},
    {NULL, NULL, NULL}};
static const struct ctl_option letters_options[] = {
    {"all", NULL, "resolved ones too"},
    {"limit", "N", "at most so many (default 50)"},
    {NULL, NULL, NULL}};
static const struct ctl_option staff_options[] = {
    {"login", "NAME", "a letter, then letters, digits and . _ -"},
    {"role", "ROLE", "VIEWER, CS, OPERATOR or OWNER"},
    {"password-file", "FILE", "0400; without it a random one is printed"},
    {NULL, NULL, NULL}};
static const struct ctl_option reset_options[] = {
    {"password-file", "FILE", "0400; without it a random one is printed"},
    {NULL, NULL, NULL}};
static const struct ctl_option rotate_options[] = {
    {"to", "ID", "the key that [keys] master names (default)"},
    {NULL, NULL, NULL}};
static const struct ctl_option mails_options[] = {
    {"state", "STATE", "QUEUED, SENDING, SENT, FAILED, EXPIRED or DROPPED"},
    {"user", "ID", "for this user only"},
    {"limit", "N", "at most so many (default 50)"},
    {NULL, NULL, NULL}};
static const struct ctl_option mail_retry_options[] = {
    {"failed", NULL, "every mail that has FAILED"}, {NULL, NULL, NULL}};
static const struct ctl_option payments_options[] = {
    {"state", "STATE", "NEW, READY, APPROVING, PAID, FAILED or REVOKED"},
    {"limit", "N", "at most so many (default 50)"},
    {NULL, NULL, NULL}};
static const struct ctl_option migrate_options[] = {
    {"sql", "DIR", "where NNN_what.sql stand"},
    {"dry-run", NULL, "say what would run"},
    {"wait", "TIME", "for another migration to end (default 5s)"},
    {NULL, NULL, NULL}};
static const struct ctl_option audit_options[] = {
    {"client-log", "FILE", "answers seen by clients; repeatable"},
    {"sale", "ID", "judge this sale only"},
    {"wait", "TIME", "for quiescence (default 20s)"},
    {"skip-kafka", NULL, "do not read the topic again (I6)"},
    {NULL, NULL, NULL}};
static const struct ctl_option states_options[] = {
    {"markdown", NULL, "as a table for the docs"}, {NULL, NULL, NULL}};

const struct ctl_command ctl_commands[] = {
    {"token", "", 0, 0, token_options, "signed access tokens", ctl_token},
    {"product add", "", 0, 0, product_options, "adds a product",
     ctl_product_add},
    {"product change", "ID", 1, 1, change_options, "changes a product",
     ctl_product_change},
    {"product list", "", 0, 0, NULL, "all products", ctl_product_list},
    {"product show", "ID", 1, 1, NULL, "one product", ctl_product_show},
    {"sale create", "", 0, 0, create_options, "creates a sale and opens it",
     ctl_sale_create},
    {"sale list", "", 0, 0, NULL, "all sales", ctl_sale_list},
    {"sale show", "SALE", 1, 1, NULL, "one sale, units of each variant",
     ctl_sale_show},
    {"sale change", "SALE", 1, 1, sale_change_options,
     "changes a sale before it opens", ctl_sale_change},
    {"sale pause", "SALE", 1, 1, NULL, "stops reserving; payments go on",
     ctl_sale_move},
    {"sale resume", "SALE", 1, 1, NULL, "ends a pause", ctl_sale_move},
    {"sale close", "SALE", 1, 1, NULL, "ends the sale for good", ctl_sale_move},
    {"sale postpone", "SALE TIME", 2, 2, NULL, "another opening time",
     ctl_sale_postpone},
    {"sale extend", "SALE TIME", 2, 2, NULL, "a later closing time",
     ctl_sale_extend},
    {"sale notice", "SALE TEXT", 2, 2, NULL,
     "a text for all who look at it; \"\" takes it away", ctl_sale_notice},
    {"sale stop-all", "", 0, 0, NULL, "pauses every active sale",
     ctl_sale_stop_all},
    {"sale stock", "SALE [VARIANT] +N|-N", 2, 3, wait_options,
     "adds or takes units", ctl_sale_stock},
    {"sale release", "SALE", 1, 1, release_options,
     "makes withheld units sellable", ctl_sale_release},
    {"sale extend-holds", "SALE TIME", 2, 2, NULL,
     "adds time to pay to every unpaid order", ctl_sale_extend_holds},
    {"sale report", "SALE", 1, 1, report_options, "what came of it",
     ctl_sale_report},
    {"order show", "ID", 1, 1, NULL, "one order, all that is known of it",
     ctl_order_show},
    {"order list", "", 0, 0, list_options, "the latest orders", ctl_order_list},
    {"dead-letter list", "", 0, 0, letters_options,
     "records that could not be read", ctl_dead_letter_list},
    {"dead-letter show", "ID", 1, 1, NULL, "one of them", ctl_dead_letter_show},
    {"dead-letter retry", "ID", 1, 1, NULL, "produces the record again",
     ctl_dead_letter_retry},
    {"dead-letter dismiss", "ID", 1, 1, NULL,
     "marks it as resolved; needs --reason", ctl_dead_letter_dismiss},
    {"staff add", "", 0, 0, staff_options,
     "an operator; prints what is needed to log in, once", ctl_staff_add},
    {"staff list", "", 0, 0, NULL, "all operators", ctl_staff_list},
    {"staff end", "LOGIN", 1, 1, NULL, "ends an operator and every session",
     ctl_staff_end},
    {"staff reset", "LOGIN", 1, 1, reset_options,
     "new password and authenticator, ends every session", ctl_staff_reset},
    {"keys status", "", 0, 0, NULL, "which master key wraps how many rows",
     ctl_keys_status},
    {"keys rotate", "", 0, 0, rotate_options,
     "wraps every data key with the current master key", ctl_keys_rotate},
    {"mail list", "", 0, 0, mails_options, "the latest mails", ctl_mail_list},
    {"mail show", "ID", 1, 1, NULL, "one mail, without its address",
     ctl_mail_show},
    {"mail retry", "[ID]", 0, 1, mail_retry_options,
     "sends again what has failed", ctl_mail_retry},
    {"payments list", "", 0, 0, payments_options, "the latest attempts to pay",
     ctl_payments_list},
    {"payments show", "ORDER", 1, 1, NULL,
     "an order's attempts, what KakaoPay was asked, refunds",
     ctl_payments_show},
    {"migrate", "", 0, 0, migrate_options, "brings the schema forward",
     ctl_migrate},
    {"audit", "[FILE …]", 0, CTL_ARGS_MAX, audit_options,
     "checks every invariant, one a line", ctl_audit},
    {"doctor", "", 0, 0, NULL, "checks machine and configuration", ctl_doctor},
    {"states", "", 0, 0, states_options, "the moves that an order can make",
     ctl_states},
    {NULL, NULL, 0, 0, NULL, NULL, NULL}};
