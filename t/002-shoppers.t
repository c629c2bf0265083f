# shoppers: arrivals, retries, repeats and the client log, against an nginx
# whose answers are scripted by location, and a server of the test's own.

use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use Speedy::Load;
use Speedy::Nginx::Server;
use Speedy::Token qw(token);
use Speedy::Util
    qw(free_port temp_dir wait_for write_file read_file run_command build_file);

my $dir  = temp_dir('shoppers');
my $port = free_port();
my $url  = "http://127.0.0.1:$port";
my $user = $> == 0 ? 'user root;' : '';
my $nginx = Speedy::Nginx::Server->new(root => "$dir/nginx", port => $port);
mkdir "$dir/nginx/temp";
$nginx->start(<<"CONF");
daemon off; $user
worker_processes 1; worker_rlimit_nofile 4096;
error_log logs/error.log; pid logs/nginx.pid;
events { worker_connections 4000; }
http {
    access_log off; default_type application/json;
    client_body_temp_path temp/c; proxy_temp_path temp/p;
    fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
    server {
        listen 127.0.0.1:$port backlog=4000;
        location /api/v1/sales/good/ {
            return 202 '{"order_id":"o-\$http_idempotency_key","state":"ACCEPTED"}';
        }
        location /api/v1/sales/out/ {
            default_type application/problem+json;
            return 409 '{"type":"about:blank","code":"sold_out","holds":3}';
        }
        location /api/v1/sales/fickle/ { return 202 '{"order_id":"\$request_id"}'; }
        location /api/v1/sales/busy/ {
            add_header Retry-After 1 always;
            return 503 '{"code":"in_doubt","order_id":"o-1"}';
        }
        location = /plain { return 409 "no"; }
        location = /long { root html; try_files /long =404; }
    }
}
CONF

my $tokens = write_file("$dir/tokens", join '', map {
    token(key => 'k' x 32, sub => "user-$_") . "\n" } 1 .. 500);

# All at once, each a token of its own, some repeats.
{
    my $load = Speedy::Load->start(
        url => $url, sale => 'good', tokens => $tokens, variants => '270,280',
        'repeat-same' => 50, 'repeat-new' => 100, seed => 7);
    my $sum = $load->finish(30);
    my @lines = $load->lines;
    is($sum->{exit}, 0, 'instant: done');
    is($sum->{purchases}, 500, 'instant: every shopper once');
    is($sum->{repeat_new}, 500, 'a new key after each');
    cmp_ok($sum->{repeat_same}, '>', 150, 'the same key after about half');
    is(scalar @lines, $sum->{requests}, 'client log: a line for every answer');
    is($sum->{answers}{202}, $sum->{requests}, 'summary: all 202');
    is($sum->{violations}, 0, 'the same key had the same order');
    my %users = map { $_->{user} => 1 } @lines;
    is(scalar keys %users, 500, "client log: users are the tokens' sub");
    my %keys = map { $_->{key} => 1 } @lines;
    is(scalar keys %keys, 1000, 'client log: a key for each purchase');
    my ($l) = @lines;
    is($l->{order_id}, "o-$l->{key}", 'client log: order of the answer');
    is_deeply([sort keys %$l],
        [sort qw(time sent user key status code order_id attempt url latency_us)],
        'client log: the fields');
    cmp_ok(abs($l->{time} / 1000 - time), '<', 60, 'client log: ms since 1970');
}

# An answer that contradicts an earlier one fails the run.
{
    my $sum = Speedy::Load->start(url => $url, sale => 'fickle', shoppers => 5,
        users => '11-15', 'repeat-same' => 100)->finish(30);
    is($sum->{exit}, 1, 'another order for the same key: exit 1');
    is($sum->{violations}, 5, 'and each is counted');
    $sum = Speedy::Load->start(url => $url, sale => 'good', shoppers => 5,
        'repeat-new' => 100, limit => 1)->finish(30);
    is($sum->{violations}, 5, 'more units than the limit');
}

{
    my $sum = Speedy::Load->start(url => $url, sale => 'out', shoppers => 50)
        ->finish(30);
    is($sum->{final}{'409 sold_out'}, 50, 'sold out is final');
    is($sum->{retries}, 0, 'and not tried again');
    $sum = Speedy::Load->start(url => $url, sale => 'out', shoppers => 3,
        'retry-code' => 'sold_out', 'give-up' => '300ms')->finish(30);
    is($sum->{final}{'409 gave_up'}, 3, '--retry-code, until --give-up');
    cmp_ok($sum->{retries}, '>=', 3, '--retry-code: tried again');
}

# 503 with Retry-After: the same key, not before its time.
{
    my $load = Speedy::Load->start(url => $url, sale => 'busy', shoppers => 3,
        'give-up' => '1500ms');
    my $sum = $load->finish(30);
    is($sum->{final}{'503 gave_up'}, 3, '503: given up in the end');
    my %sent;
    push @{ $sent{ $_->{key} } }, $_ for $load->lines;
    is(scalar keys %sent, 3, '503: the same key each time');
    my ($first, $second) = @{ (values %sent)[0] };
    cmp_ok($second->{sent} - $first->{time}, '>=', 995, 'Retry-After is kept');
    is($second->{attempt}, 2, 'attempts are counted');
    $sum = Speedy::Load->start(url => $url, sale => 'busy', shoppers => 3,
        'no-retry' => undef)->finish(30);
    is($sum->{final}{'503 in_doubt'}, 3, '--no-retry: every answer is final');
}

# Knocking: each at its own phase, whatever the answer asks for.
{
    my $load = Speedy::Load->start(url => $url, sale => 'busy', shoppers => 20,
        arrival => 'steady:100', requests => 20, 'retry-every' => '200ms',
        'give-up' => '900ms');
    $load->finish(30);
    my %sent;
    push @{ $sent{ $_->{key} } }, $_->{sent} for $load->lines;
    is_deeply([grep { @$_ < 5 } values %sent], [], '--retry-every: each knocks again');
    my @odd = grep { my $ms = ($_->[-1] - $_->[0]) % 200; $ms > 40 && $ms < 160 }
        values %sent;
    cmp_ok(scalar @odd, '<=', 2, '... at a beat');
}

# One gateway away: the next is asked; both away: "connect" until given up.
{
    my $dead = 'http://127.0.0.1:' . free_port();
    my $load = Speedy::Load->start(url => [$dead, $url], sale => 'good',
        shoppers => 40);
    my $sum = $load->finish(30);
    is($sum->{final}{202}, 40, 'a retry goes to the other gateway');
    is($load->answers(status => 0, code => 'connect'), 20, 'client log: connect');
    $sum = Speedy::Load->start(url => $dead, sale => 'good', shoppers => 2,
        'give-up' => '400ms')->finish(30);
    is($sum->{final}{'0 gave_up'}, 2, 'no gateway: given up');
}

# A server of our own: silence, a cut, slow pieces, chunks.
{
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
        LocalPort => 0, ReuseAddr => 1) or die $!;
    my $own = 'http://127.0.0.1:' . $listen->sockport;
    my $take = sub {
        IO::Select->new($listen)->can_read(10) or die 'nobody came';
        my $c = $listen->accept;
        my $request = '';
        while ($request !~ /\r\n\r\n.*\}/s) {
            sysread $c, $request, 4096, length $request or last;
        }
        return ($c, $request);
    };
    my @common = (url => $own, sale => 'x', shoppers => 1, connections => 1,
        timeout => '500ms', quantity => 2, variants => 'blue');
    my $load = Speedy::Load->start(@common);
    my ($c, $r1) = $take->();
    wait_for { $load->answers(status => 0, code => 'timeout') } 10, 'timeout';
    close $c;
    my ($c2, $r2) = $take->();
    is($r2, $r1, 'after a time-out: the very same request');
    like($r1, qr/\r\n\r\n\{"variant":"blue","quantity":2\}\z/, 'its body');
    close $c2;
    wait_for { $load->answers(status => 0, code => 'reset') } 10, 'reset';
    my ($c3) = $take->();
    syswrite $c3, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Acc";
    syswrite $c3, "epted\r\nTransfer-Encoding: chunked\r\nIdempotent-Replayed: true\r\n\r\n5\r\n{\"ord";
    syswrite $c3, "\r\n10\r\ner_id\": \"abc\" } \r\n0\r\n";
    syswrite $c3, "\r\n";
    my $sum = $load->finish(10);
    is($load->answers(status => 202, order_id => 'abc'), 1, 'chunks in pieces');
    is($sum->{replays}, 1, 'Idempotent-Replayed is counted');
}

# Open loop: the schedule is kept, latency counts from it.
{
    my $sum = Speedy::Load->start(url => $url, sale => 'good', shoppers => 10,
        arrival => 'steady:500', duration => '1s')->finish(30);
    cmp_ok(abs($sum->{purchases} - 500), '<=', 5, 'steady: the rate');
    my @worker = split ' ',
        read_file("/proc/@{[$nginx->pid]}/task/@{[$nginx->pid]}/children");
    my $load = Speedy::Load->start(url => $url, sale => 'good', shoppers => 10,
        arrival => 'steady:200', duration => '1s', connections => 1);
    wait_for { $load->answers(status => 202) >= 20 } 10, 'a start';
    kill 'STOP', @worker;
    my $t = time;
    wait_for { time - $t > 0.3 } 5, 'a stall of the worker';
    kill 'CONT', @worker;
    $sum = $load->finish(30);
    cmp_ok(abs($sum->{purchases} - 200), '<=', 3, 'steady: in spite of a stall');
    cmp_ok($sum->{latency_ms}{p90}, '>', 50, 'a stall is not excused');
}

# Closed loop, paced, and at a given time.
{
    my $sum = Speedy::Load->start(url => $url, sale => 'good', shoppers => 20,
        arrival => 'closed', connections => 4, requests => 1000)->finish(30);
    is($sum->{final}{202}, 1000, 'closed: as many as asked for');
    is($sum->{connections}, 4, 'closed: on so many connections');
    $sum = Speedy::Load->start(url => $url, sale => 'good', shoppers => 100,
        'max-rps' => 200)->finish(30);
    cmp_ok($sum->{seconds}, '>=', 0.4, '--max-rps');
    my $at = int(time * 1000) + 700;
    my $load = Speedy::Load->start(url => $url, sale => 'good', shoppers => 20,
        'start-at' => $at);
    $load->finish(30);
    my ($early) = grep { $_->{sent} < $at - 2 } $load->lines;
    is($early, undef, '--start-at: nobody before');
}

# Plain requests.
{
    my $sum = Speedy::Load->start(url => $url, get => '/plain',
        connections => 8, requests => 5000)->finish(30);
    is($sum->{answers}{409}, 5000, '--get');
    write_file("$dir/nginx/html/long", 'x' x 500_000);
    $sum = Speedy::Load->start(url => $url, get => '/long', connections => 2,
        requests => 20)->finish(30);
    is($sum->{answers}{200}, 20, '--get: long bodies');
    is($sum->{connects}, 2, 'connections are kept');
}

for my $wrong (['--url', 'ftp://x'], ['--url', $url], ['--sale', 'a'],
    ['--url', $url, '--sale', 'a', '--arrival', 'never'],
    ['--url', $url, '--get', '/plain'], ['--nonsense'])
{
    my ($status, $out, $err) = run_command(10, build_file('bin/shoppers'), @$wrong);
    is($status, 2, "wrong usage: @$wrong");
    like($err, qr/\S/, 'and says so');
}

is_deeply([$nginx->stop], [], 'nginx has nothing to complain of');
done_testing();
