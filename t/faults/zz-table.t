# The last of `./dev test faults`: the rows of this run as one table, and none
# of them missing.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Test::More;

my @rows = Speedy::Fault::results();
plan skip_all => 'no rows of this run: ./dev test faults' if !@rows;
diag("\n", Speedy::Fault::table(@rows));
my %seen = map { $_->{id} =~ s/[a-z]$//r => 1 } @rows;
my @wanted = map { "F$_" } 1 .. 4, 7 .. 12, 15 .. 18, 20, 22 .. 26, 35 .. 37;
is_deeply([grep { !$seen{$_} } @wanted], [], 'no row is missing');
is_deeply([map { $_->{id} } grep { $_->{verdict} ne 'ok' } @rows], [],
    'no row has failed');
Speedy::Fault::forget();
done_testing();
