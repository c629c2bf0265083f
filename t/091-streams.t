# Streams of live stock: what readers are told, what they cost Redis, slow
# ones, those that come back, and a worker's end. The whole shop's:
# t/life/streams.t.

use strict;
use warnings;
use lib 't/lib';
use HTTP::Tiny;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Speedy::Module qw(gateway sale redis redis_now nginx_start nginx_stop
    nginx_log metric purchase freeze);
use Speedy::Streams;
use Speedy::Util qw(wait_for try_for connect_to read_file run_command nap
    build_file);
use Test::More;
use Time::HiRes qw(time);

gateway();
my $n = nginx_start(workers => 2, config => undef);

sub path    { return "/api/v1/sales/$_[0]/stock/stream" }
sub stock   { return redis()->cmd('HSET', "speedy:{$_[0]}:stock", @_[1 .. $#_]) }
sub gate    { return redis()->cmd('HSET', "speedy:{$_[0]}:gate", @_[1 .. $#_]) }
sub workers { return map { split } read_file("/proc/$n->{pid}/task/$n->{pid}/children") }
sub names   { return join ' ', map { $_->{event} } @{ $_[0]{events} } }

# --- what comes at once, and what changes

sale('s', stock => { a => 5, b => 7 }, notice => '안녕');
my $s = Speedy::Streams->open($n->{port}, path('s'), readers => 40);
ok($s->until(3, 'shown all', sub { names($_) eq 'state stock notice' }), 'a snapshot at once');
my ($one) = $s->readers;
is($one->{headers}{'x-accel-buffering'}, 'no');
is($one->{state}, 'open');
is_deeply($one->{left}, { a => 5, b => 7 }, 'true numbers');
is($one->{notice}, "\x{c548}\x{b155}", 'the notice');
is(scalar(grep { $_->{retry} < 500 || $_->{retry} > 3000 } $s->readers), 0, 'retry is within bounds');
cmp_ok(scalar(keys %{ { map { $_->{retry} => 1 } $s->readers } }), '>', 20, 'and not the same for all');
my @ids = map { $_->{id} } @{ $one->{events} };
like($ids[0], qr/^[0-9a-f]{16}-0{16}-0{16}$/, "the first event's id");
like($ids[1], qr/^[0-9a-f]{16}-[0-9a-f]{16}-0{16}$/, "the second's");
is(scalar(keys %{ { map { $_->{id} => 1 } $s->readers } }), 1, 'all have the same');

stock('s', a => 4);
ok($s->until(2, 'told of a', sub { $_->{left}{a} == 4 }), 'a change');
is(names($one), 'state stock notice stock', 'only what has changed');
gate('s', state => 'PAUSED');
ok($s->until(2, 'paused', sub { $_->{state} eq 'paused' }), 'a pause');
gate('s', notice => '');
ok($s->until(2, 'no notice', sub { !defined $_->{notice} }), 'the notice taken away');
is(names($one), 'state stock notice stock state notice');
gate('s', state => 'ACTIVE');
stock('s', a => 1, 'cool:a' => redis_now());
ok($s->until(2, 'open', sub { $_->{state} eq 'open' && $_->{left}{a} == 1 }), 'resumed');
my ($cooling) = grep { $_->{event} eq 'stock' && $_->{data}{variants}[0]{cooling} } @{ $one->{events} };
ok($cooling, 'a unit that came back cools');
ok($s->until(2, 'cooled', sub { !$_->{events}[-1]{data}{variants} || !$_->{events}[-1]{data}{variants}[0]{cooling} }),
    'and then not');

# Opening: nobody does anything, the word changes by Redis' clock.
my $opens = redis_now() + 1200;
sale('soon', opens_at => $opens);
my $soon = Speedy::Streams->open($n->{port}, path('soon'), readers => 2);
ok($soon->until(1, 'upcoming', sub { ($_->{state} // '') eq 'upcoming' }), 'upcoming');
ok($soon->until(3, 'open', sub { $_->{state} eq 'open' }), 'it opens');
my $lag = redis_now() - $opens;
ok($lag >= 0 && $lag < 500, "told $lag ms after it opened");
$soon->close;

# --- the price of it

my $looks = metric($n, 'stock_looks_total');
my $begun = time;
$s->read_for(2);
my $rate = (metric($n, 'stock_looks_total') - $looks) / (time - $begun);
cmp_ok($rate, '>', 7, sprintf 'two workers, forty readers: %.1f looks a second', $rate);
cmp_ok($rate, '<', 11, 'one in 100 ms');
is(metric($n, 'stock_streams'), 40, 'streams are counted');
my $probes = sub { metric($n, 'stock_looks_total') + metric($n, 'zone_probes_total') };
sale('busy', stock => { default => 0 });
my $busy = Speedy::Streams->open($n->{port}, path('busy'), readers => 4);
$busy->until(2, 'shown', sub { $_->{state} });
my $both = $probes->();
$begun = time;
while (time < $begun + 2) { purchase($n, 'busy', user => 'u' . ++$looks, key => 'k'); $busy->read_for(0.01) }
$rate = ($probes->() - $both) / (time - $begun);
cmp_ok($rate, '<', 32, sprintf "bought, and two sales watched: %.1f of both scripts a second", $rate);
$busy->close;

# --- coming back

sub first_events {
    my ($sale, $id) = @_;
    my $s = Speedy::Streams->open($n->{port}, path($sale), headers => { 'Last-Event-ID' => $id });
    $s->until(2, 'begun', sub { $_->{retry} });
    $s->read_for(0.3);
    my ($r) = $s->readers;
    $s->close;
    return names($r);
}
my $last = $one->{id};
is(first_events('s', $last), '', 'with the newest id: nothing is told again');
stock('s', a => 0);
is(first_events('s', $last), 'stock', 'what has changed since');
is(first_events('s', $ids[0]), 'stock notice', 'what the id of a first event lacks');
is(first_events('s', $_), 'state stock notice', "no id of ours: $_")
    for 'x' x 50, '1', 'g' . substr($last, 1), "$last-0";

# --- fenced, restored, Redis away and back

redis()->cmd('DEL', 'speedy:{s}:gate');
ok($s->until(3, 'told that it is fenced', sub { $_->{state} eq 'unavailable' }), 'fenced');
is(scalar(grep { $_->{open} } $s->readers), 40, 'the streams stay');
sale('s', stock => { a => 9, b => 9 }, epoch => 2);
ok($s->until(3, 'told that it is back', sub { $_->{state} eq 'open' && $_->{left}{a} == 9 }), 'restored');
freeze(redis());
ok($s->until(6, 'told that Redis is away', sub { $_->{state} eq 'unavailable' }), 'Redis away');
my ($status) = (run_command(10, 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
    "http://127.0.0.1:$n->{port}/api/v1/sales/s/stock"))[1];
is($status, 503, 'GET says so');
redis()->signal('CONT');
ok($s->until(8, 'told that Redis is back', sub { $_->{state} eq 'open' }), 'and back');

# --- archived

redis()->cmd('DEL', 'speedy:{s}:gate');
redis()->cmd('HSET', 'speedy:sales', 's', 'archived');
ok($s->until(5, 'at its end', sub { !$_->{open} }), 'the streams of an archived sale end');
is(scalar(grep { $_->{last_chunk} } $s->readers), 40, 'in order');

# --- nothing is asked while nobody watches

ok((try_for {; metric($n, 'stock_sales') == 0 } 5), 'what nobody watches is forgotten');
$looks = metric($n, 'stock_looks_total');
nap(0.5);
is(metric($n, 'stock_looks_total'), $looks, 'and not looked at');

is(HTTP::Tiny->new->get("http://127.0.0.1:$n->{port}/api/v1/sales/no$_/stock")->{status}, 404) for 1 .. 3;
is(metric($n, 'stock_sales'), 0, 'what is no sale takes no place');

# --- slow readers: skipped to the newest, then dropped; others notice nothing

is(join("\n", nginx_stop($n)), '', 'an orderly end');
my @variants = map { sprintf 'v%03d', $_ } 1 .. 200;
my $config = Speedy::Module::gateway_config() . '        send_timeout 2s;';
$n = nginx_start(workers => 1, config => $config, http => { stock_streams_max => 60 });
sale('big', stock => { map { $_ => 1000 } @variants });
my $slow = connect_to($n->{port});
setsockopt $slow, SOL_SOCKET, SO_RCVBUF, 4096;
syswrite $slow, "GET @{[path('big')]} HTTP/1.1\r\nHost: a\r\n\r\n";
my $paused = connect_to($n->{port});
setsockopt $paused, SOL_SOCKET, SO_RCVBUF, 4096;
syswrite $paused, "GET @{[path('big')]} HTTP/1.1\r\nHost: a\r\n\r\n";
my $fast = Speedy::Streams->open($n->{port}, path('big'), readers => 5);
$fast->until(3, 'shown', sub { $_->{left}{v200} });
my $left = 1000;
my $skipped = try_for {
    stock('big', v001 => --$left);
    $fast->until(2, "told of $left", sub { $_->{left}{v001} <= $left }) or die "late\n";
    return metric($n, 'stock_skipped_total') > 2;
} 20;
ok($skipped, 'a slow reader is skipped, the others have every change');
# One of the two reads on: it is told the newest.
my ($text, $end) = ('', time + 5);
while (time < $end && $text !~ /"v001","left":$left,/) {
    my $n = sysread $paused, $text, 65536, length $text;
    last if !$n;
}
like($text, qr/"v001","left":$left,/, 'when it reads again it gets the newest');
cmp_ok(scalar(() = $text =~ /event: stock/g), '<', 1001 - $left, 'not all that was between');
ok((try_for {;
    stock('big', v001 => --$left);
    $fast->read_for(0.2);
    metric($n, 'stock_dropped_total') >= 1 } 10), 'the other is dropped');
is(metric($n, 'stock_dropped_total'), 1, 'and only that');
is(scalar(grep { $_->{open} } $fast->readers), 5, 'the others stay');
close $_ for $slow, $paused;
ok((try_for {; metric($n, 'stock_streams') == 5 } 5), 'who leaves is not counted any more');

# --- the bound

my $many = Speedy::Streams->open($n->{port}, path('big'), readers => 70);
$many->until(5, 'answered', sub { $_->{status} });
is(scalar(grep { $_->{status} == 200 } $many->readers), 55, 'up to speedy_stock_streams_max');
my ($refused) = grep { $_->{status} == 503 } $many->readers;
like($refused->{headers}{'retry-after'}, qr/^[1-5]$/, 'the rest is told when to come back');
is(metric($n, 'stock_refused_total'), 15);
$many->close;
ok((try_for {; metric($n, 'stock_streams') == 5 } 5), 'their places are free again');
$many = Speedy::Streams->open($n->{port}, path('big'), readers => 50);
ok($many->until(5, 'shown', sub { $_->{state} }), 'and taken again');
$many->close;

# --- memory: changes leave nothing behind (16 KiB each)

my ($worker) = workers();
my $rss = sub { (read_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m)[0] };
my $change = sub {
    my ($times) = @_;
    for (1 .. $times) {
        stock('big', v002 => --$left);
        $fast->until(2, 'told', sub { $_->{left}{v002} == $left });
    }
};
$change->(10);
my $before = $rss->();
$change->(50);
SKIP: {
    skip 'a sanitizer keeps what was freed', 1
        if `nm -D @{[build_file('ngx_http_speedy_module.so')]} 2>/dev/null` =~ /__asan_init/;
    my $grown = $rss->() - $before;
    cmp_ok($grown, '<', 128, "the worker grew by $grown KiB");
}
$fast->close;

# --- reload: all come back, at different times

my $watchers = Speedy::Streams->open($n->{port}, path('big'), readers => 50, reconnect => 1);
$watchers->until(5, 'shown', sub { $_->{state} });
my @old = workers();
$begun = time;
kill 'HUP', $n->{pid};
$watchers->until(5, 'ended', sub { $_->{ended} });
is(scalar(grep { $_->{last_chunk} } $watchers->readers), 50, 'each stream is ended in order');
stock('big', v003 => 1);
ok($watchers->until(5, 'back', sub { $_->{opened} == 2 && $_->{left}{v003} == 1 }),
    'all are back and know what has changed');
diag(sprintf 'all back %.1f s after the reload', time - $begun);
my @back = sort { $a <=> $b } map { $_->{back} } $watchers->readers;
cmp_ok($back[-1] - $back[0], '>', 0.5, 'not all at once');
is(scalar(grep { names($_) ne 'state stock notice stock' } $watchers->readers), 0,
    'and are told nothing twice');
ok((try_for {; !grep { -d "/proc/$_" && read_file("/proc/$_/stat") !~ /\) Z/ } @old } 5),
    'the old worker has left');

# --- a worker dies: retry brings them back

my ($victim) = workers();
kill 'KILL', $victim;
ok($watchers->until(8, 'back', sub { $_->{open} && $_->{opened} >= 3 }), 'a worker killed: all come back');

# --- quit with readers

kill 'QUIT', $n->{pid};
$watchers->{reconnect} = 0;
ok($watchers->until(5, 'ended', sub { !$_->{open} }), 'quit ends the streams');
$watchers->close;
is(join("\n", grep { !/exited on signal 9/ } nginx_stop($n)), '', 'an orderly end, no socket left');

# --- HTTP/1.0 and HTTP/2

SKIP: {
    $n = nginx_start();
    my $old = connect_to($n->{port});
    print {$old} "GET @{[path('big')]} HTTP/1.0\r\n\r\n";
    $old->flush;
    my $got = '';
    wait_for {; sysread $old, $got, 65536, length $got; $got =~ /event: notice/ } 5, 'an answer';
    unlike($got, qr/transfer-encoding/i, 'HTTP/1.0: not chunked');
    close $old;
    is(join("\n", nginx_stop($n)), '', 'an orderly end');
    skip 'curl without HTTP/2', 4 if (run_command(5, 'curl', '-V'))[1] !~ /HTTP2/;
    $n = nginx_start(listen => 'http2');
    my $url = "http://127.0.0.1:$n->{port}" . path('big');
    my ($rc, $out) = run_command(20, 'bash', '-c',
        "curl -sN --http2-prior-knowledge -m 10 -w '\\n%{http_version}' $url >$n->{dir}/h2 & c=\$!;"
        . " until grep -q 'event: notice' $n->{dir}/h2 || ! kill -0 \$c; do read -rt 0.05 <> <(:); done;"
        . " kill -HUP $n->{pid}; wait \$c; rc=\$?; cat $n->{dir}/h2; exit \$rc");
    is($rc, 0, 'HTTP/2: a reload ends the stream in order');
    like($out, qr/event: state.*event: notice.*retry: \d+\n\n\n2$/s, 'with a hint');
    run_command(20, 'curl', '-sN', '--http2-prior-knowledge', '-m', 1, $url);
    ok((try_for {; (run_command(5, 'curl', '-s', '--http2-prior-knowledge', "http://127.0.0.1:$n->{port}/metrics"))[1]
                =~ /stock_streams\{[^}]*\} 0\n(?!.*stock_streams\{[^}]*\} [1-9])/s } 5),
        'a client that leaves is noticed');
    is(join("\n", nginx_stop($n)), '', 'an orderly end');
}
done_testing();
