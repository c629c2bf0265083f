/*
 * The command line: finds the command's row, parses its options and makes
 * the help. An argument that starts with a dash and a digit is a value
 * (`sale stock S -5`), not an option.
 */
#include "ctl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Options of every command. */
static const struct ctl_option common_options[] = {
    {"json", NULL, "print JSON"},
    {"actor", "NAME", "who does it, for the audit log (default: OS user)"},
    {"reason", "TEXT", "why, for the audit log"},
    {"help", NULL, "this text"},
    {NULL, NULL, NULL},
};

static const struct ctl_option *option_find(const struct ctl_option *options,
                                            const char *name, size_t len)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == len &&
            memcmp(options->name, name, len) == 0)
            return options;
    }
    return NULL;
}

const char *ctl_option(const struct ctl *c, const char *name)
{
    for (int i = c->given_count - 1; i >= 0; i--) {
        if (strcmp(c->given[i].name, name) == 0)
            return c->given[i].value;
    }
    return NULL;
}

static void complain(const struct ctl *c, const char *format, va_list ap)
{
    fprintf(stderr, "speedyctl: ");
    if (c->command != NULL)
        fprintf(stderr, "%s: ", c->command->name);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
}

int ctl_usage(const struct ctl *c, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    complain(c, format, ap);
    va_end(ap);
    fprintf(stderr, "See: speedyctl help%s%s\n", c->command ? " " : "",
            c->command ? c->command->name : "");
    return CTL_USAGE;
}

int ctl_refuse(const struct ctl *c, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    complain(c, format, ap);
    va_end(ap);
    return CTL_REFUSED;
}

/* Whether name (one or two words) begins with the words given. */
static bool name_matches(const char *name, const char *word, const char *second)
{
    size_t n = strlen(word);

    if (strncmp(name, word, n) != 0)
        return false;
    if (name[n] == '\0')
        return true;
    if (name[n] != ' ')
        return false;
    return second == NULL || strcmp(name + n + 1, second) == 0;
}

static void option_help(const struct ctl_option *o)
{
    for (; o != NULL && o->name != NULL; o++)
        printf("  --%s%s%-*s %s\n", o->name, o->value ? " " : "",
               (int)(24 - strlen(o->name) - (o->value ? 1 : 0)),
               o->value ? o->value : "", o->help);
}

static void command_help(const struct ctl_command *m)
{
    printf("speedyctl %s%s%s [OPTION …]\n  %s\n\n", m->name,
           *m->usage ? " " : "", m->usage, m->summary);
    option_help(m->options);
    option_help(common_options);
}

void ctl_help(const struct ctl_command *table, const char *word,
              const char *second)
{
    int n = 0;
    const struct ctl_command *last = NULL;

    for (const struct ctl_command *m = table; m->name != NULL; m++) {
        if (word == NULL || name_matches(m->name, word, second)) {
            last = m;
            n++;
        }
    }
    if (n == 1) {
        command_help(last);
        return;
    }
    printf("speedyctl [-c speedy.conf] COMMAND [ARGUMENT …] [OPTION …]\n\n");
    for (const struct ctl_command *m = table; m->name != NULL; m++) {
        if (n > 0 && word != NULL && !name_matches(m->name, word, second))
            continue;
        printf("  %-20s %-18s %s\n", m->name, m->usage, m->summary);
    }
    printf("\n`speedyctl help COMMAND` shows its options; every command takes "
           "--json.\nExit status: 0 done, 1 refused or broken, 2 wrong usage."
           "\n");
}

static int parse_option(struct ctl *c, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t len = strcspn(name, "=");
    const struct ctl_option *o = option_find(c->command->options, name, len);

    if (o == NULL)
        o = option_find(common_options, name, len);
    if (o == NULL)
        return ctl_usage(c, "there is no option --%.*s", (int)len, name);
    if (c->given_count == CTL_GIVEN_MAX)
        return ctl_usage(c, "too many options (at most %d)", CTL_GIVEN_MAX);
    c->given[c->given_count].name = o->name;
    c->given[c->given_count].value = "";
    if (o->value == NULL) {
        if (name[len] == '=')
            return ctl_usage(c, "--%s takes no value", o->name);
    } else if (name[len] == '=') {
        c->given[c->given_count].value = name + len + 1;
    } else {
        if (*i + 1 >= argc)
            return ctl_usage(c, "--%s needs a value: --%s %s", o->name, o->name,
                             o->value);
        c->given[c->given_count].value = argv[++*i];
    }
    c->given_count++;
    return -1;
}

static int parse_rest(struct ctl *c, int argc, char **argv)
{
    bool options = true;

    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        int code = -1;

        if (options && strcmp(a, "--") == 0) {
            options = false;
        } else if (options && a[0] == '-' && a[1] == '-') {
            code = parse_option(c, argc, argv, &i);
        } else if (options && a[0] == '-' && a[1] != '\0' &&
                   !isdigit((unsigned char)a[1])) {
            code = ctl_usage(c, "there is no option %s", a);
        } else if (c->arg_count >= c->command->max_args ||
                   c->arg_count == CTL_ARGS_MAX) {
            code = ctl_usage(c, "one argument too many: %s", a);
        } else {
            c->args[c->arg_count++] = a;
        }
        if (code != -1)
            return code;
    }
    return -1;
}

int ctl_parse(struct ctl *c, const struct ctl_command *table, int argc,
              char **argv)
{
    const char *second = argc > 1 ? argv[1] : NULL;
    int words = 1, code;

    if (argc == 0 || strcmp(argv[0], "help") == 0 ||
        strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        ctl_help(table, second, argc > 2 ? argv[2] : NULL);
        return argc == 0 ? CTL_USAGE : CTL_DONE;
    }
    for (const struct ctl_command *m = table; m->name != NULL; m++) {
        bool two = strchr(m->name, ' ') != NULL;

        if (two && second == NULL)
            continue;
        if (name_matches(m->name, argv[0], two ? second : NULL)) {
            c->command = m;
            words = two ? 2 : 1;
            break;
        }
    }
    if (c->command == NULL) {
        ctl_usage(c, "there is no command `%s%s%s`", argv[0], second ? " " : "",
                  second ? second : "");
        return CTL_USAGE;
    }
    code = parse_rest(c, argc - words, argv + words);
    if (code != -1)
        return code;
    if (ctl_option(c, "help") != NULL) {
        command_help(c->command);
        return CTL_DONE;
    }
    if (c->arg_count < c->command->min_args)
        return ctl_usage(c, "an argument is missing: %s", c->command->usage);
    c->json = ctl_option(c, "json") != NULL;
    return -1;
}
