package Speedy::Fault::Orderd;

# Rows of orderd: F22 F23 F24. F22 and F23 need a build with failpoints.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Util qw(alive read_file run_command wait_for write_file);
use Test::More ();
use Time::HiRes qw(time);

# F22: whichever instance comes by dies there, at each place twice.
sub kill_at_each {
    my ($run) = @_;
    my $s = $run->stack;
    my $deaths = 0;
    for my $round (1 .. 2) {
        for my $place (qw(after_fetch mid_txn before_commit after_commit)) {
            my %pid = map { $_ => $s->pid($_) } qw(orderd_1 orderd_2);
            write_file($s->{failpoints}, "orderd.$place=kill\n");
            my $died = wait_for {
                return (grep { !alive($pid{$_}) } sort keys %pid)[0];
            } 30, "a death at $place";
            $deaths++;
            $run->from_now if $deaths == 1;
            Test::More::is(read_file($s->{failpoints}) =~ s/\s+//gr, '',
                "$died was killed at $place");
            $s->restarted($died, $pid{$died}, 10);
        }
    }
    $run->note("$deaths deaths");
    return;
}

sub partitions {
    my ($s, $instance) = @_;
    return scalar $s->sql("SELECT COUNT(*) FROM leases WHERE name LIKE
        'orderd:speedy.orders:%' AND owner LIKE ?", "$instance %");
}

# F23: it stands still with a batch in its hands until the other one has every
# partition, then wakes up and tries to write it.
sub zombie {
    my ($run) = @_;
    my $s = $run->stack;
    my $hit = $s->dir . '/run/pause.hit';
    my $log = $s->dir . '/log/orderd_1.log';
    my $at = -s $log;
    wait_for { return partitions($s, 'orderd_1') } 20, 'partitions of orderd_1';
    write_file($s->{failpoints}, 'orderd.after_fetch=pause:'
        . $s->dir . "/run/pause\n");
    wait_for { return (read_file($log, $at) // '') =~ /failpoint: pause/ } 20,
        'orderd_1 with a batch';
    $s->stop('orderd_1');
    write_file($s->{failpoints}, '');
    unlink $hit;
    my $since = time;
    wait_for { return partitions($s, 'orderd_2') == 12 } 20,
        'orderd_2 to take over';
    $run->note(sprintf 'taken over after %.1f s', time - $since);
    $run->lasts(2);
    $at = -s $log;
    unlink $hit;
    $s->cont('orderd_1');
    $run->from_now;
    wait_for { return partitions($s, 'orderd_1') == 6
        && partitions($s, 'orderd_2') == 6 } 30, 'half of them each';
    my ($said) = grep { /lost|zombie|lease/i }
        split /\n/, read_file($log, $at) // '';
    Test::More::ok($said, 'the zombie noticed');
    return;
}

sub awake {
    my ($run) = @_;
    my $s = $run->stack;
    write_file($s->{failpoints}, '');
    unlink $s->dir . '/run/pause.hit';
    eval { $s->cont('orderd_1') };
    return;
}

# F24: what cannot be read is put aside, and what stands behind it is not held
# up.
sub poison {
    my ($run) = @_;
    my $s = $run->stack;
    my $sale = $run->sale;
    my %bad = (
        garbage => "\x00\xff not JSON at all",
        array => '[1, 2, 3]',
        version => '{"v":99,"order_id":"0190b0a0-0000-7000-8000-000000000001"}',
        missing => qq({"v":1,"sale_id":"$sale"}),
        huge => '{"v":1,"pad":"' . 'x' x 500_000 . '"}',
        empty => ' ',
    );
    my $before = $s->sql('SELECT COUNT(*) FROM dead_letters');
    for my $name (sort keys %bad) {
        my $file = write_file($s->dir . "/run/poison-$name", $bad{$name});
        for my $part (0, 5) {
            my ($status, $out, $err) = run_command(20, 'kcat', '-P',
                '-b', $s->env('KAFKA'), '-t', 'speedy.orders', '-p', $part,
                '-k', "poison-$name", $file);
            die "kcat: $err" if $status;
        }
    }
    $run->from_now;
    my $want = $before + 2 * keys %bad;
    Test::More::ok(
        (wait_for {
            return $s->sql('SELECT COUNT(*) FROM dead_letters') == $want;
        } 20, 'dead letters'), 'each became a dead letter');
    $run->note($want - $before . ' dead letters');
    for my $row ($s->sql('SELECT id FROM dead_letters
        WHERE resolved_at IS NULL'))
    {
        $s->ctl('dead-letter', 'dismiss', $row->[0], '--reason', 'a test');
    }
    return;
}

my @rows = (
    { id => 'F22', name => 'orderd: kill -9 at four places of a batch, x2',
        fault => \&kill_at_each, seconds => 25, smoke => 15, cleanup => \&awake },
    { id => 'F23', name => 'orderd: stopped with a batch, replaced, awake',
        fault => \&zombie, cleanup => \&awake },
    { id => 'F24', name => 'orderd: records that cannot be read',
        fault => \&poison },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
