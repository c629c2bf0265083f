# nginx.conf.example: nginx takes it, with a deployment's paths put in.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Util qw(temp_dir write_file read_file run_command build_file);
use Test::More;

my $dir = temp_dir('example');
my $so = build_file('ngx_http_speedy_module.so');
mkdir "$dir/$_" for qw(secrets run log);
write_file("$dir/secrets/$_", 'x' x 40, 0400)
    for qw(jwt-current jwt-previous redis-password);

my $text = read_file('nginx.conf.example');
unlike($text, qr/\t| +$/m, 'no tabs, no blanks at the ends of lines');
for ($text) {
    s{^user .*;}{}m;
    s{^pid .*;}{pid $dir/run/nginx.pid;}m;
    s{^load_module .*;}{load_module $so;}m;
    s{/etc/speedy/secrets/}{$dir/secrets/}g;
    s{/run/speedy/}{$dir/run/}g;
    s{/var/log/speedy/}{$dir/log/}g;
}
my @preload;
if (`nm -D $so 2>/dev/null` =~ /__asan_init/) {
    chomp(my $asan = `gcc -print-file-name=libasan.so`);
    @preload = ('env', "LD_PRELOAD=$asan", 'ASAN_OPTIONS=detect_leaks=0');
}
sub test_conf {
    my ($conf) = @_;
    write_file("$dir/nginx.conf", $conf);
    return run_command(20, @preload, '/usr/sbin/nginx', '-t', '-p', $dir,
        '-e', "$dir/log/error.log", '-c', "$dir/nginx.conf");
}
my ($status, $out, $err) = test_conf($text);
is($status, 0, 'accepted') or diag $err;

(my $tls = $text) =~ s/^(\s*)#((?:add_header|ssl_protocols|ssl_ciphers|ssl_prefer|ssl_session)\w* .*;)/$1$2/mg;
($status, $out, $err) = test_conf($tls);
is($status, 0, 'and with its lines for TLS') or diag $err;

# Identity: each location that passes a request on sets it from the token.
my @passing = $text =~ /(location [^{]*\{[^}]*proxy_pass[^}]*\})/g;
cmp_ok(scalar @passing, '>=', 3, 'locations that pass on');
for my $location (@passing) {
    my ($name) = $location =~ /location (.*?) \{/;
    like($location, qr/proxy_set_header X-Speedy-User \$speedy_user;/, "$name: user");
    like($location, qr/proxy_set_header X-Speedy-Role \$speedy_role;/, "$name: role");
    like($location, qr/proxy_set_header X-Speedy-Sale /, "$name: sale");
    like($location, qr/proxy_set_header Authorization "";/, "$name: no token");
    like($location, qr/proxy_set_header X-Request-Id \$request_id;/, "$name: request id");
}
my ($log) = $text =~ /log_format speedy (.*?);\n/s;
unlike($log, qr/authorization|\$request\b|\$request_uri|\$args|cookie/, 'no token in the log');
done_testing();
