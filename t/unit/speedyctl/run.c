#include "run.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../daemons/speedyctl/ctl.h"
#include "../common/servers.h"

char run_out[65536];

void run_settings(void)
{
    static char issuer[] = "speedy", audience[] = "speedy",
                topic[] = "speedy.orders", alg[] = "HS256", kid[] = "k1",
                key[] = "jwt-current";

    ctl_settings.token_max_ttl = 900000;
    ctl_settings.expiry_grace = 3000;
    ctl_settings.issuer = issuer;
    ctl_settings.audience = audience;
    ctl_settings.token_alg = alg;
    ctl_settings.token_kid = kid;
    ctl_settings.token_key = key;
    speedy_conf.kafka_orders_topic = topic;
    if (speedy_conf.mysql_timeout == 0)
        speedy_conf.mysql_timeout = 5000;
}

static int run_words(int argc, char **argv)
{
    static struct ctl c;
    int code;

    memset(&c, 0, sizeof(c));
    code = ctl_parse(&c, ctl_commands, argc, argv);
    if (code == -1) {
        code = c.command->run(&c);
        ctl_close(&c);
    }
    return code;
}

int run(const char *first, ...)
{
    char *argv[32], path[512];
    int argc = 0, code, fd, before;
    ssize_t n;
    va_list ap;

    va_start(ap, first);
    for (const char *w = first; w != NULL && argc < 32;
         w = va_arg(ap, const char *))
        argv[argc++] = (char *)w;
    va_end(ap);
    snprintf(path, sizeof(path), "%s/stdout", servers_dir());
    fflush(stdout);
    before = dup(STDOUT_FILENO);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (before < 0 || fd < 0)
        abort();
    dup2(fd, STDOUT_FILENO);
    code = run_words(argc, argv);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    n = pread(fd, run_out, sizeof(run_out) - 1, 0);
    run_out[n > 0 ? n : 0] = '\0';
    close(fd);
    return code;
}
