package Speedy::Fault::Kafka;

# Rows of Kafka and of the line to it: F16 F17 F18. F20 costs records and has
# a file of its own.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Util qw(wait_for);
use Test::More ();

sub gone {
    my ($run) = @_;
    my $s = $run->stack;
    $s->hold('kafka');
    my $old = $s->kill_9('kafka');
    $run->lasts(15);
    $run->note($s->redis('HLEN', 'speedy:{' . $run->sale . '}:pend')
        . ' in pend when it came back');
    $s->unhold('kafka');
    $run->from_now;
    $s->restarted('kafka', $old, 15);
    return;
}

# F17: longer than message.timeout, so that producers give records up of which
# the broker may have some all the same.
sub stopped {
    my ($run) = @_;
    my $s = $run->stack;
    $s->stop('kafka');
    $run->lasts(40);
    $s->cont('kafka');
    $run->from_now;
    return;
}

# F18: the broker has the records, the producer never hears of it.
sub lost_reports {
    my ($run) = @_;
    my $proxy = $run->{proxy};
    my $before = $proxy->stats->{kafka}{dropped};
    for my $n (1 .. 5) {
        $proxy->set('drop_reply 2 match kafka:0 kafka');
        wait_for { return $proxy->stats->{kafka}{dropped} >= $before + 2 * $n }
            20, 'a lost report';
        $run->from_now if $n == 5;
        $run->more(30);
    }
    $proxy->set('pass kafka');
    return;
}

sub tally {
    my ($s) = @_;
    return ($s->sql('SELECT SUM(next_offset) FROM kafka_offsets'))[0][0]
        - ($s->sql('SELECT COUNT(*) FROM orders'))[0][0];
}

# More records than orders: the lost reports made second records.
sub duplicates {
    my ($run) = @_;
    my $twice = tally($run->stack) - $run->{tally};
    $run->note("$twice records came twice");
    Test::More::cmp_ok($twice, '>', 12, 'records came twice');
    return;
}

sub with_proxy {
    my ($run) = @_;
    $run->{proxy} = $run->stack->proxy('kafka');
    $run->{tally} = tally($run->stack);
    return;
}
sub pass { my ($run) = @_; $run->{proxy}->set('pass') if $run->{proxy} }

sub unhold { my ($run) = @_; $run->stack->unhold('kafka') }
sub awake { my ($run) = @_; eval { $run->stack->cont('kafka') } }

my @rows = (
    { id => 'F16', name => 'kafka: kill -9, back after 15 s', fault => \&gone,
        cleanup => \&unhold, bound => 60, settle => 90 },
    { id => 'F17', name => 'kafka: SIGSTOP 40 s', fault => \&stopped,
        cleanup => \&awake, seconds => 50, bound => 60, settle => 90 },
    { id => 'F18', name => 'kafka link: reports are lost x10',
        setup => \&with_proxy, cleanup => \&pass, fault => \&lost_reports,
        after => \&duplicates },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
