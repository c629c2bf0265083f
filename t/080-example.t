# nginx.conf.example, read: nginx takes it with a deployment's paths put in,
# and what every location must say or must not say.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Example;
use Speedy::Util qw(temp_dir write_file read_file run_command build_file);
use Test::More;

my $dir = temp_dir('example');
my $so = build_file('ngx_http_speedy_module.so');
mkdir "$dir/$_" for qw(secrets run log tls);
write_file("$dir/secrets/$_", 'x' x 40, 0400)
    for qw(jwt-current jwt-previous redis-password);
run_command(30, qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj),
    '/CN=shop.example.com', '-keyout', "$dir/tls/privkey.pem", '-out',
    "$dir/tls/fullchain.pem");

my $text = read_file('nginx.conf.example');
unlike($text, qr/\t| +$/m, 'no tabs, no blanks at the ends of lines');
my $example = $text;
for ($text) {
    s{^user .*;}{}m;
    s{^pid .*;}{pid $dir/run/nginx.pid;}m;
    s{^load_module .*;}{load_module $so;}m;
    s{/etc/speedy/(secrets|tls)/}{$dir/$1/}g;
    s{/run/speedy/}{$dir/run/}g;
    s{/var/log/speedy/}{$dir/log/}g;
    s{/var/lib/speedy/}{$dir/}g;
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

my $lines = (my $full = $text) =~ s/^(\s*)#((?:listen 443|add_header|ssl_|set_real_ip|real_ip|speedy_kafka_property linger|"https:).*;)/$1$2/mg;
cmp_ok($lines, '>=', 12, 'lines for TLS, a proxy in front, another site');
($status, $out, $err) = test_conf($full);
is($status, 0, 'and with them') or diag $err;

# --- what nginx hands down only while nobody below says something

my ($http) = Speedy::Example::named(Speedy::Example::tree($example), 'http');
my %set = map { $_->[0][1] => $_->[0][2] }
    Speedy::Example::named($http->[1], 'proxy_set_header');
my %want = (
    'X-Speedy-User' => '$speedy_user', 'X-Speedy-Role' => '$speedy_role',
    'X-Speedy-Session' => '$speedy_session', 'X-Speedy-Sale' => '$speedy_sale_id',
    'X-Request-Id' => '$request_id', Authorization => '', Connection => '',
    Cookie => '', 'X-Speedy-Cookie' => '$http_cookie',
);
is($set{$_}, $want{$_}, "daemons are told $_") for sort keys %want;
like($set{'X-Speedy-Timeout'}, qr/^\d+$/, 'and how long they have');

sub below {
    my ($block, $where, $name) = @_;
    return map {
        my ($words, $inner) = @$_;
        (($words->[0] // '') eq $name ? "$where: @$words" : ()),
            $inner ? below($inner, "$where @$words", $name) : ();
    } @$block;
}
for my $server (Speedy::Example::named($http->[1], 'server')) {
    my $port = (Speedy::Example::named($server->[1], 'listen'))[0][0][1];
    is_deeply([below($server->[1], $port, 'proxy_set_header')], [],
        "$port: no proxy_set_header of its own");
    is_deeply([map { below($_->[1], "@{ $_->[0] }", 'add_header') }
            grep { $_->[1] } @{ $server->[1] }], [],
        "$port: no location has an add_header");
    my ($auth) = Speedy::Example::named($server->[1], 'speedy_auth');
    isnt($auth && $auth->[0][1], 'off', "$port: tokens are asked for")
        if ok($auth, "$port: speedy_auth stands in the server");
    for my $header (qw(X-Content-Type-Options Referrer-Policy
        Content-Security-Policy X-Request-Id))
    {
        ok((grep { $_->[0][1] eq $header && $_->[0][-1] eq 'always' }
            Speedy::Example::named($server->[1], 'add_header')),
            "$port: $header");
    }
}
like($example, qr/^\s*#add_header Strict-Transport-Security/m, 'HSTS with TLS');

# --- every location says whose token it asks for

my @locations = Speedy::Example::locations($example);
cmp_ok(scalar @locations, '>', 20, 'locations');
for my $l (@locations) {
    ok(defined $l->{auth} && (!$l->{except} || defined $l->{except_auth}),
        "$l->{port} $l->{name} has a rule");
}
for my $l (grep { Speedy::Example::named($_->{block}, 'proxy_pass') } @locations) {
    my $name = "$l->{port} $l->{name}";
    my ($pass) = Speedy::Example::named($l->{block}, 'proxy_pass');
    like($pass->[0][1], qr/^http:\/\/[a-z]+$/, "$name: to an upstream, path unchanged");
    my @lines = grep { $_->[0][0] ne 'limit_except' } @{ $l->{block} };
    cmp_ok(scalar @lines, '<=', 6, "$name: short");
}

# One shopper's answer must never be another's.
my @cached = grep { Speedy::Example::named($_->{block}, 'proxy_cache') } @locations;
is($_->{auth}, 'off', "$_->{name} is cached: for everyone") for @cached;
is_deeply([below($http->[1], 'http', 'proxy_cache_key'), grep {/^http: /} below($http->[1], 'http', 'proxy_cache')],
    [], 'by its whole address, and only where a location says so');

my ($log) = $example =~ /log_format speedy (.*?);\n/s;
unlike($log, qr/authorization|\$request\b|\$request_uri|\$args|\$uri|cookie/,
    'no token in the log');
done_testing();
