# What a worker costs: a hundred reloads under load leave nothing behind, its
# memory does not grow with purchases (100,000; SPEEDY_LONG=1: a million), and
# an idle client costs what it costs in plain nginx and not 1 KiB more.
# SPEEDY_MAX_RPS bounds the load where the machine is shared.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Speedy::Fault;
use Speedy::Proc qw(total usage worst);
use Speedy::Stack;
use Speedy::Util qw(alive free_port read_file run_command spawn temp_dir
    wait_for write_file);
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);

sub workers { my @pids = $s->workers; return scalar @pids }

subtest 'a hundred reloads under load' => sub {
    my $sale = $s->new_sale(stock => 1_000_000, limit => 1000);
    my $load = $s->load(
        sale => $sale, shoppers => 2000, arrival => 'steady:150',
        requests => 1_000_000, duration => '600s', 'max-rps' => 500);
    wait_for { return $load->answers(status => 202) > 100 } 30, 'the load';
    my $count = workers();
    $s->reload for 1 .. 5;
    wait_for { return workers() == $count } 30, 'the first old workers to go';
    my ($master, $worker) = (usage($s->pid('nginx')), worst($s->workers));
    my @samples;
    for my $n (6 .. 105) {
        my %old = map { $_ => 1 } $s->workers;
        $s->reload;
        # Not more than one generation that leaves, or they would pile up.
        wait_for { return workers() <= 2 * $count } 30, 'room';
        push @samples, usage($s->pid('nginx')) if $n % 20 == 5;
    }
    wait_for { return workers() == $count } 30, 'old workers to be gone';
    my $sum = $load->stop;
    my $then = worst($s->workers);
    my $last = usage($s->pid('nginx'));
    diag(sprintf 'master: RSS %s KiB every 20 reloads, fds %d -> %d',
        join(' ', $master->{rss}, map { $_->{rss} } @samples),
        $master->{fds}, $last->{fds});
    diag(sprintf 'worker: fds %d -> %d, threads %d -> %d, RSS %d -> %d KiB',
        map { ($worker->{$_}, $then->{$_}) } qw(fds threads rss));
    is($then->{threads}, $worker->{threads}, 'threads of a worker');
    is($last->{fds}, $master->{fds}, 'descriptors of the master');
    cmp_ok($last->{rss}, '<', $samples[0]{rss} + 2048,
        'memory of the master, from the 20th reload on');
    my %odd = map { $_ => $sum->{final}{$_} } grep { $_ ne '202' }
        keys %{ $sum->{final} };
    is_deeply(\%odd, {}, 'every purchase was accepted');
    ok($s->settled($sale, 60), 'all is at rest');
};

subtest 'many purchases' => sub {
    my $n = $ENV{SPEEDY_LONG} ? 1_000_000 : 100_000;
    my $sale = $s->new_sale(stock => $n + 1000, limit => 100_000);
    my @workers = $s->workers;
    my $load = $s->load(
        sale => $sale, shoppers => 2000, arrival => 'closed', requests => $n,
        connections => 100, log => '/dev/null',
        $ENV{SPEEDY_MAX_RPS} ? ('max-rps' => $ENV{SPEEDY_MAX_RPS}) : ());
    my (@at, $early);
    for my $tenth (1 .. 10) {
        wait_for {
            my $logged = $s->redis('LLEN', "speedy:{$sale}:log") // 0;
            return $logged >= $n * $tenth / 10 || !$load->running;
        } 3600, "tenth $tenth";
        push @at, total('anon', @workers);
        $early = $at[0];
    }
    my $sum = $load->finish(600);
    diag(sprintf '%d purchases at %.0f/s: own memory of the workers after each '
        . 'tenth: %s KiB', $sum->{purchases}, $sum->{rps}, join ' ', @at);
    is(join(' ', $s->workers), join(' ', @workers), 'the same workers');
    cmp_ok($at[-1], '<', $early * 1.1 + 2048, 'flat after the first tenth');
    ok($s->settled($sale, 300), 'all is at rest');
};

# Opens N connections, one request on each, and leaves them open.
sub idle_clients {
    my ($port, $n, $request, $workers) = @_;
    my $before = total('anon', @$workers);
    my @open;
    my %status;
    for my $i (1 .. $n) {
        my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5)
            or die "client $i: $@";
        print {$c} $request->($i);
        sysread $c, my $answer, 4096;
        $status{ substr $answer, 9, 3 }++;
        push @open, $c;
    }
    my $cost = (total('anon', @$workers) - $before) * 1024 / $n;
    return ($cost, \%status, \@open);
}

subtest 'ten thousand idle clients' => sub {
    my $n = 10_000;
    run_command(5, 'prlimit', '--pid', $$, '--nofile=20000:20000');
    my $sale = $s->new_sale(stock => 1);
    $s->buy($sale);
    wait_for { return ($s->buy($sale)->{code} // '') eq 'sold_out' } 5, 'sold out';
    my @tokens = split /\n/, read_file($s->tokens(1, 100));
    my $body = '{"variant":"default","quantity":1}';
    # Fresh workers: what earlier clients have left is not counted.
    my %old = map { $_ => 1 } $s->workers;
    $s->reload;
    wait_for { return !grep { $old{$_} } $s->workers } 30, 'fresh workers';
    my ($port) = $s->url =~ /:(\d+)$/;
    my ($ours, $status, $open) = idle_clients($port, $n, sub {
        return join "\r\n", "POST /api/v1/sales/$sale/orders HTTP/1.1",
            'Host: shop', "Authorization: Bearer $tokens[$_[0] % 100]",
            "Idempotency-Key: idle-$_[0]", 'Content-Type: application/json',
            'Content-Length: ' . length $body, '', $body;
    }, [$s->workers]);
    is_deeply($status, { 409 => $n }, 'each was told sold_out');
    @$open = ();

    my $dir = temp_dir('plain');
    my $plain = free_port();
    my $user = $> == 0 ? 'user root;' : '';
    write_file("$dir/nginx.conf", <<"CONF");
daemon off; $user worker_processes 2; worker_rlimit_nofile 16384;
error_log $dir/error.log; pid $dir/pid;
events { worker_connections 8000; }
http {
    access_log off; keepalive_timeout 65s; keepalive_requests 10000;
    client_header_buffer_size 1k; large_client_header_buffers 4 4k;
    client_body_temp_path $dir/c; proxy_temp_path $dir/p;
    fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    server { listen 127.0.0.1:$plain backlog=4096; return 409 sold_out; }
}
CONF
    my $pid = spawn(name => 'plain nginx', stdout => "$dir/out",
        cmd => ['/usr/sbin/nginx', '-e', "$dir/error.log", '-c', "$dir/nginx.conf"]);
    my @workers;
    wait_for {
        @workers = split ' ', read_file("/proc/$pid/task/$pid/children") // '';
        return @workers == 2 && Speedy::Util::connect_to($plain);
    } 10, 'plain nginx';
    my ($theirs) = idle_clients($plain, $n, sub {
        return "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    }, \@workers);
    diag(sprintf 'an idle client: %.0f bytes, in plain nginx %.0f', $ours, $theirs);
    cmp_ok($ours, '<', $theirs + 1024, 'not 1 KiB more than in plain nginx');
};

$s->audit_ok;
done_testing();
