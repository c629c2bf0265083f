package Speedy::Fault::Stockd;

# Rows of stockd: F36; and of everything at once: F37.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Util qw(alive wait_for);
use Test::More ();
use Time::HiRes qw(time);

sub leader {
    my ($s) = @_;
    my $owner = $s->sql("SELECT owner FROM leases WHERE name = 'stockd'") // '';
    return $owner =~ /^(stockd_\d) / ? $1 : undef;
}

sub another {
    my ($run, $old, $seconds) = @_;
    my $since = time;
    my $new = wait_for {
        my $now = leader($run->stack);
        return $now && $now ne $old ? $now : 0;
    } $seconds, "another leader than $old";
    $run->note(sprintf '%s took over after %.1f s', $new, time - $since);
    return;
}

sub killed {
    my ($run) = @_;
    my $s = $run->stack;
    my $old = wait_for { return leader($s) } 10, 'a leader';
    $s->hold($old);
    $s->kill_9($old);
    $run->from_now;
    $run->{held} = $old;
    another($run, $old, 15);
    return;
}

# It wakes up as a leader of long ago: no script of it may do anything.
sub stopped {
    my ($run) = @_;
    my $s = $run->stack;
    my $old = wait_for { return leader($s) } 10, 'a leader';
    $s->stop($old);
    my $since = time;
    $run->from_now;
    $run->{asleep} = $old;
    another($run, $old, 15);
    $run->lasts(30 - (time - $since)) if time - $since < 30;
    $s->cont($old);
    $run->more(50);
    Test::More::isnt(leader($s), $old, 'the old leader does not lead');
    return;
}

sub again {
    my ($run) = @_;
    $run->stack->unhold($run->{held}) if $run->{held};
    eval { $run->stack->cont($run->{asleep}) } if $run->{asleep};
    return;
}

my @all = qw(redis kafka mariadb stockd_1 stockd_2 orderd_1 orderd_2 schedd_1
    schedd_2 nginx);

# F37: everything at once; one after the other comes back, in any order.
sub everything {
    my ($run) = @_;
    my $s = $run->stack;
    my $seed = $ENV{SPEEDY_SEED} || int rand 1 << 30;
    srand $seed;
    my @order = sort { $a->[1] <=> $b->[1] } map { [$_, rand] } @all;
    @order = map { $_->[0] } @order;
    $run->note("seed $seed: @order");
    my %pid = map { $_ => $s->pid($_) } @all;
    $s->hold($_) for @all;
    my @workers = $s->workers;
    kill 'KILL', values %pid, @workers;
    wait_for { return !grep { alive($_) } values %pid } 10, 'their death';
    $run->from_now;
    for my $name (@order) {
        $s->unhold($name);
        $s->restarted($name, $pid{$name}, 20);
    }
    return;
}

sub let_go { my ($run) = @_; $run->stack->unhold($_) for @all; return }

my @rows = (
    { id => 'F36a', name => 'stockd: the leader, kill -9', fault => \&killed,
        cleanup => \&again },
    { id => 'F36b', name => 'stockd: the leader, SIGSTOP 30 s',
        fault => \&stopped, cleanup => \&again, seconds => 45 },
    { id => 'F37', name => 'all: kill -9, back in random order',
        fault => \&everything, cleanup => \&let_go, seconds => 30,
        bound => 60, settle => 90 },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
