/*
 * speedyctl: `-c speedy.conf COMMAND …`. Options, configuration, log, the
 * command; the table of commands is in commands.c.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/mail_conf.h"
#include "ctl.h"

#define CONF_DEFAULT "/etc/speedy/speedy.conf"

/* `-c FILE` before the command. Returns what it consumed, or -1. */
static int leading_options(int argc, char **argv, const char **conf)
{
    if (argc >= 2 && strcmp(argv[1], "-c") == 0) {
        if (argc < 3)
            return -1;
        *conf = argv[2];
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct ctl c;
    const struct speedy_setting *tables[] = {
        speedy_conf_table, ctl_settings_table, speedy_mail_conf_table, NULL};
    const char *conf = CONF_DEFAULT;
    int n, code;

    signal(SIGPIPE, SIG_IGN);
    speedy_log_init("speedyctl", 0);
    n = leading_options(argc, argv, &conf);
    if (n < 0) {
        fprintf(stderr, "speedyctl: -c needs a file: -c speedy.conf\n");
        return CTL_USAGE;
    }
    code = ctl_parse(&c, ctl_commands, argc - 1 - n, argv + 1 + n);
    if (code != -1)
        return code;
    if (speedy_conf_load(conf, tables) != 0)
        return CTL_USAGE;
    /* An operator reads answers; what a daemon tells in passing is noise. */
    speedy_log_level_set("warn");
    code = c.command->run(&c);
    ctl_close(&c);
    if (fflush(stdout) != 0 || ferror(stdout))
        return CTL_REFUSED;
    return code;
}
