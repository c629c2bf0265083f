package Speedy::Fault::Mariadb;

# Rows of MariaDB and of the line to it: F25 F26.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Util qw(wait_for);
use Test::More ();

sub stored {
    my ($run) = @_;
    return $run->stack->sql('SELECT COALESCE(SUM(next_offset), 0)
        FROM kafka_offsets');
}

# F25: under load there is a COMMIT at nearly any moment.
sub kill_twice {
    my ($run) = @_;
    my $s = $run->stack;
    for my $round (1 .. 2) {
        my $old = $s->kill_9('mariadb');
        $run->from_now if $round == 1;
        $s->restarted('mariadb', $old, 10);
        my $at = wait_for { return eval { stored($run) } } 30, 'MariaDB';
        wait_for { return eval { stored($run) > $at } } 30, 'orderd to go on';
    }
    return;
}

# F26: the transaction is there or not, and nobody says which.
sub lost_commits {
    my ($run) = @_;
    my $proxy = $run->{proxy};
    my $before = $proxy->stats->{mysql}{dropped};
    for my $n (1 .. 5) {
        $proxy->set('drop_reply 1 match COMMIT mysql');
        wait_for { return $proxy->stats->{mysql}{dropped} >= $before + $n } 20,
            'a lost COMMIT';
        $run->from_now if $n == 5;
        $run->more(30);
    }
    $proxy->set('pass mysql');
    return;
}

sub link_fault {
    my ($mode, $seconds) = @_;
    return sub {
        my ($run) = @_;
        $run->{proxy}->set("$mode mysql");
        $run->lasts($seconds);
        $run->{proxy}->set('pass mysql');
        $run->from_now;
    };
}

sub with_proxy { my ($run) = @_; $run->{proxy} = $run->stack->proxy('mysql') }
sub pass { my ($run) = @_; $run->{proxy}->set('pass') if $run->{proxy} }

my @rows = (
    { id => 'F25', name => 'mariadb: kill -9, twice', fault => \&kill_twice },
    { id => 'F26a', name => 'database link: answers to COMMIT are lost x5',
        setup => \&with_proxy, cleanup => \&pass, fault => \&lost_commits },
    { id => 'F26b', name => 'database link: black hole 8 s',
        setup => \&with_proxy, cleanup => \&pass,
        fault => link_fault('blackhole', 8) },
    { id => 'F26c', name => 'database link: reset for 5 s',
        setup => \&with_proxy, cleanup => \&pass,
        fault => link_fault('reset', 5) },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
