/*
 * Log lines to stderr: `time level role message key=value ...`, or one JSON
 * object a line. Every line is one write(2), so that lines of several threads
 * and processes never mix. Values never hold tokens, codes or personal data:
 * the caller passes ids only.
 */
#ifndef SPEEDY_LOG_H
#define SPEEDY_LOG_H

enum speedy_log_level {
    SPEEDY_DEBUG,
    SPEEDY_INFO,
    SPEEDY_WARN,
    SPEEDY_ERROR,
    SPEEDY_ALARM /* somebody must look: logged, and counted by metrics */
};

/* Before the first line; role is kept by reference. Any thread may log. */
void speedy_log_init(const char *role, int instance);
/* level by name ("debug" … "error"), -1 when unknown. */
int speedy_log_level_set(const char *name);
void speedy_log_json(int on);
/* Lines logged at SPEEDY_ALARM since the start. */
unsigned long speedy_log_alarms(void);

/*
 * message is fixed text; fields is a printf format of `key=%s key=%d` pairs
 * separated by one space, or "" (values with blanks are quoted).
 */
void speedy_log(enum speedy_log_level level, const char *message,
                const char *fields, ...) __attribute__((format(printf, 3, 4)));

#endif
