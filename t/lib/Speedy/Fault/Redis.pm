package Speedy::Fault::Redis;

# Rows of Redis and of the line to it: F7 F8 F9 F10 F11 F12 F15.

use strict;
use warnings;
use Speedy::Fault;
use File::Copy qw(copy);
use Speedy::Util qw(wait_for);
use Test::More ();
use Time::HiRes qw(time);

sub key { my ($run, $name) = @_; return 'speedy:{' . $run->sale . "}:$name" }

sub gate_epoch {
    my ($run) = @_;
    return $run->stack->redis('HGET', key($run, 'gate'), 'epoch');
}

sub kill_empty {
    my ($run) = @_;
    my $s = $run->stack;
    my $old = $s->kill_9('redis');
    $run->from_now;
    $s->restarted('redis', $old, 10);
    return;
}

# F8: it comes back with a copy that lacks the last seconds, as a log that was
# not yet on the disk. That the copy is a snapshot file makes no difference.
sub kill_lost_tail {
    my ($run) = @_;
    my $s = $run->stack;
    my $file = $s->dir . '/data/redis/dump.rdb';
    $s->redis('SAVE');
    copy($file, "$file.earlier") or die "$file: $!";
    my $before = $run->count(202);
    $run->lasts(3);
    $run->note(($run->count(202) - $before) . ' orders in the lost tail');
    $s->hold('redis');
    my $old = $s->kill_9('redis');
    rename "$file.earlier", $file or die "$file: $!";
    $run->from_now;
    $s->unhold('redis');
    $s->restarted('redis', $old, 10);
    return;
}

sub no_snapshot {
    my ($run) = @_;
    $run->stack->unhold('redis');
    unlink $run->stack->dir . '/data/redis/dump.rdb';
    return;
}

sub stopped {
    my ($run) = @_;
    my $s = $run->stack;
    $s->stop('redis');
    $run->lasts(10);
    $s->cont('redis');
    $run->from_now;
    return;
}

# F11: the script runs, its answer is lost, again and again.
sub lost_replies {
    my ($run) = @_;
    my $proxy = $run->{proxy};
    my $before = $proxy->stats->{redis}{dropped};
    for my $n (1 .. 5) {
        $proxy->set('drop_reply 2 match EVALSHA redis');
        wait_for { return $proxy->stats->{redis}{dropped} >= $before + 2 * $n }
            10, 'a lost reply';
        $run->from_now if $n == 5;
        $run->more(30);
    }
    $proxy->set('pass redis');
    $run->note('10 connections cut between script and answer');
    return;
}

sub link_fault {
    my ($mode, $seconds) = @_;
    return sub {
        my ($run) = @_;
        $run->{proxy}->set("$mode redis");
        $run->lasts($seconds);
        $run->{proxy}->set('pass redis');
        $run->from_now;
    };
}

# F15: an operator's mistake, then the remedy: the key is removed, and what is
# missing is rebuilt.
sub wrong_type {
    my ($run) = @_;
    my $s = $run->stack;
    $s->redis('SET', key($run, 'stock'), 'not a hash');
    my $good = $run->count(202);
    wait_for { return $run->count(503) >= 20 } 20, 'answers of 503';
    $s->redis('DEL', key($run, 'stock'));
    $run->from_now;
    return;
}

sub script_flush {
    my ($run) = @_;
    for my $n (1 .. 5) {
        $run->stack->redis('SCRIPT', 'FLUSH');
        $run->from_now if $n == 1;
        $run->more(50);
    }
    return;
}

sub with_proxy { my ($run) = @_; $run->{proxy} = $run->stack->proxy('redis') }
sub pass { my ($run) = @_; $run->{proxy}->set('pass') if $run->{proxy} }

sub rebuilt {
    my ($run) = @_;
    my $epoch = gate_epoch($run);
    Test::More::cmp_ok($epoch, '>', 1, "the ledger was rebuilt (epoch $epoch)");
    return;
}

my @rows = (
    { id => 'F7a', name => 'redis: kill -9, back empty', fault => \&kill_empty,
        after => \&rebuilt },
    { id => 'F7b', name => 'redis: the same, with 100,000 orders in the sale',
        earlier => 100_000, fault => \&kill_empty, after => \&rebuilt },
    { id => 'F8', name => 'redis: kill -9, back without its last seconds',
        fault => \&kill_lost_tail, cleanup => \&no_snapshot, smoke => 12,
        after => \&rebuilt },
    { id => 'F9a', name => 'redis: FLUSHALL', after => \&rebuilt, fault => sub {
        $_[0]->stack->redis('FLUSHALL'); $_[0]->from_now } },
    { id => 'F9b', name => 'redis: DEL of the stock', after => \&rebuilt,
        fault => sub { my ($run) = @_;
            $run->stack->redis('DEL', key($run, 'stock')); $run->from_now } },
    { id => 'F10', name => 'redis: SIGSTOP 10 s', fault => \&stopped },
    { id => 'F15a', name => 'redis: a key of the wrong type, removed',
        fault => \&wrong_type, after => \&rebuilt },
    { id => 'F15b', name => 'redis: SCRIPT FLUSH x5', clean => 1,
        fault => \&script_flush },
    { id => 'F11', name => 'redis link: answers of scripts are lost x10',
        setup => \&with_proxy, cleanup => \&pass, fault => \&lost_replies },
    { id => 'F12a', name => 'redis link: black hole 6 s', setup => \&with_proxy,
        cleanup => \&pass, fault => link_fault('blackhole', 6) },
    { id => 'F12b', name => 'redis link: latency 5 s for 8 s',
        setup => \&with_proxy, cleanup => \&pass,
        fault => link_fault('latency 5000', 8) },
    { id => 'F12c', name => 'redis link: reset for 4 s', setup => \&with_proxy,
        cleanup => \&pass, fault => link_fault('reset', 4) },
    { id => 'F12d', name => 'redis link: slices of 1 byte for 6 s',
        setup => \&with_proxy, cleanup => \&pass,
        fault => link_fault('slicer 1', 6) },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
