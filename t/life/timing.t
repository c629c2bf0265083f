# Nobody learns from a clock whether an address is known. Requests for two
# known addresses and an unknown one go in turn, with the limits raised; the
# known one against the unknown one differs by no more than the two known ones
# among themselves. Only differences within one run are compared.

use strict;
use warnings;
use lib 't/lib';
use List::Util qw(max min shuffle);
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(wait_for);
use Test::More;
use Time::HiRes qw(time);

my $chunks = 14;
my $s = Speedy::Stack->up;

$s->edit('speedy.conf', sub {
    s/^\[userd\]\n/[userd]\ncode_pause = 0ms\ncodes_an_hour = 1000000\nlogin_tries = 100\n/m;
});
for my $name (qw(userd_1 userd_2)) {
    my $old = $s->kill_9($name);
    $s->restarted($name, $old, 10);
}
my @known = map { Speedy::Shopper->new($s) } 1 .. 2;
wait_for { return Speedy::Shopper->new($s)->ask_code->{status} == 202 } 20, 'userd with raised limits';
$_->sign_up for @known;

sub median {
    my @v = sort { $a <=> $b } @_;
    return $v[ $#v / 2 ];
}

sub alike {
    my ($what, $each, $ask) = @_;
    my $unknown = Speedy::Shopper->new($s);
    my %who = (a => $known[0], b => $known[1], unknown => $unknown);
    $ask->($_) for values %who, values %who;
    my (@same, @other, %answers);
    for my $chunk (1 .. $chunks) {
        my %ms;
        for my $n (1 .. $each) {
            for my $name (shuffle keys %who) {
                my $begun = time;
                my $res = $ask->($who{$name});
                push @{ $ms{$name} }, 1000 * (time - $begun);
                $answers{"$res->{status} " . ($res->{code} // '')}++;
            }
        }
        my %m = map { $_ => median(@{ $ms{$_} }) } keys %ms;
        push @same, $m{a} - $m{b};
        push @other, $m{a} - $m{unknown};
    }
    is(scalar(keys %answers), 1, "$what: one answer: " . join ', ', keys %answers);
    my ($low, $high, $seen) = (min(@same), max(@same), median(@other));
    diag(sprintf '%s: known against known %.3f to %.3f ms (median %.3f), against unknown %.3f ms',
        $what, $low, $high, median(@same), $seen);
    cmp_ok($seen, '>=', $low, "$what: within the spread");
    cmp_ok($seen, '<=', $high, "$what: ... on both sides");
}

alike('asking for a new password', 15, sub { $_[0]->ask_code('reset') });
alike('asking for a code', 15, sub { $_[0]->ask_code('signup') });
# At most 100 tries are free of a delay, even with the limit raised.
alike('logging in', 6, sub { $_[0]->log_in(password => 'not this one') });

done_testing();
