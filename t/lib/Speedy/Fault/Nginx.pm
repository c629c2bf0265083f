package Speedy::Fault::Nginx;

# Rows of the gateway: F1 F2 F3 F4.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Util qw(alive wait_for);
use Test::More ();
use Time::HiRes qw(time);

sub pend { my ($run) = @_; return 'speedy:{' . $run->sale . '}:pend' }

# F1: what the dead worker had reserved is in `pend`; the sweeper, or a retry,
# carries each of these orders on.
sub kill_worker {
    my ($run) = @_;
    my $s = $run->stack;
    for my $round (1 .. 2) {
        my ($worker) = sort { $a <=> $b } $s->workers;
        kill 'KILL', $worker or die "kill $worker: $!";
        $run->from_now if $round == 1;
        my $since = time;
        wait_for { return !alive($worker) } 5, 'its death';
        my %under_way = map { unpack('H*', $_) => 1 }
            @{ $s->redis('HKEYS', pend($run)) };
        wait_for {
            my $pend = $s->redis('HKEYS', pend($run));
            return !grep { $under_way{ unpack 'H*', $_ } } @$pend;
        } 20, 'the dead worker\'s orders to leave pend';
        $run->note(sprintf '%d in pend, gone after %.1f s',
            scalar keys %under_way, time - $since);
        wait_for { return grep { $_ ne $worker } $s->workers } 5, 'a worker';
        $run->more(100) if $round == 1;
    }
    return;
}

# F2: one worker stands still with orders between reserve, report and ack,
# while Redis is emptied and rebuilt. Its acks then find another epoch.
sub stop_worker {
    my ($run, $link) = @_;
    my $s = $run->stack;
    my $proxy = $run->{proxy};
    $proxy->set("latency 300 $link");
    $run->more(50);
    my $old = $s->redis('HGET', 'speedy:{' . $run->sale . '}:loaded', 'epoch');
    my ($worker) = sort { $a <=> $b } $s->workers;
    my $under_way = $s->redis('HLEN', pend($run));
    kill 'STOP', $worker or die "kill $worker: $!";
    my $stopped = time;
    $proxy->set('pass');
    $s->redis('FLUSHALL');
    my $went_on = eval {
        wait_for {
            my $epoch = $s->redis('HGET',
                'speedy:{' . $run->sale . '}:gate', 'epoch');
            return $epoch && $epoch > $old;
        } 40, 'a rebuild';
        1;
    };
    my $error = $@;
    $run->lasts(10 - (time - $stopped)) if time - $stopped < 10;
    my $doubts = $run->count(503, 'in_doubt');
    kill 'CONT', $worker;
    $run->from_now;
    die $error if !$went_on;
    # Who waited at it all the time is told now, and not with a 202 of before.
    wait_for { return $run->count(503, 'in_doubt') > $doubts } 10,
        'answers of in_doubt';
    $run->more(50);
    $run->note($run->count(503, 'in_doubt') - $doubts . ' in_doubt when it woke');
    $run->note("$under_way in pend when it stopped");
    Test::More::cmp_ok($under_way, '>', 0, 'orders were under way');
    return;
}

# F3: twenty reloads, each as soon as the one before has its workers.
sub reloads {
    my ($run, $times) = @_;
    my $s = $run->stack;
    my %old = map { $_ => 1 } $s->workers;
    my $count = keys %old;
    for my $n (1 .. $times) {
        $s->reload;
        $run->from_now if $n == 1;
        $old{$_} = 1 for $s->workers;
        $run->more(20);
    }
    my $since = time;
    wait_for { return $count >= grep { alive($_) } keys %old } 30,
        'old workers to be gone';
    $run->note(sprintf 'old workers gone after %.1f s', time - $since);
    return;
}

# F4: the binary is replaced, then the whole nginx is asked to leave.
sub upgrade {
    my ($run) = @_;
    my $s = $run->stack;
    my $old = $s->signal('nginx', 'USR2');
    my $new = $s->restarted('nginx', $old, 15);
    $run->from_now;
    wait_for { return scalar $s->workers } 10, 'new workers';
    kill 'QUIT', $old or die "kill $old: $!";
    wait_for { return !alive($old) } 40, 'the old master to be gone';
    Test::More::is($s->pid('nginx'), $new, 'the new master is in charge');
    return;
}

sub quit {
    my ($run) = @_;
    my $s = $run->stack;
    my $old = $s->signal('nginx', 'QUIT');
    $run->from_now;
    wait_for { return !alive($old) } 40, 'nginx to leave';
    $s->restarted('nginx', $old, 15);
    return;
}

sub with_proxy {
    my ($run) = @_;
    $run->{proxy} = $run->stack->proxy('redis', 'kafka');
    return;
}

my @rows = (
    { id => 'F1', name => 'nginx worker: kill -9, twice', fault => \&kill_worker },
    { id => 'F2a', name => 'worker stopped 10 s before the report, rebuild',
        setup => \&with_proxy, seconds => 30, timeout => '20s',
        fault => sub { stop_worker($_[0], 'kafka') } },
    { id => 'F2b', name => 'worker stopped 10 s before the ack, rebuild',
        setup => \&with_proxy, seconds => 30, timeout => '20s',
        fault => sub { stop_worker($_[0], 'redis') } },
    { id => 'F3', name => 'nginx: HUP x20', clean => 'closing', seconds => 25,
        smoke => 12, fault => sub { reloads($_[0], 20) } },
    { id => 'F4a', name => 'nginx: USR2, then QUIT of the old master',
        clean => 'closing', fault => \&upgrade },
    { id => 'F4b', name => 'nginx: QUIT, started again', fault => \&quit },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
