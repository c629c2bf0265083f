# The rush: 10,000 shoppers at the instant of the opening, 1,000 units; then
# with repeats of keys, new keys, three variants and a limit of two.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Rush;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);
subtest 'one each' => sub {
    my $sum = Speedy::Rush->run($s, shoppers => 10_000, stock => 1000);
    is_deeply($sum->{final}, { 202 => 1000, '409 sold_out' => 9000 },
        '1,000 have one, 9,000 are told sold_out');
};
subtest 'repeats, three variants, two each' => sub {
    Speedy::Rush->run($s, shoppers => 10_000, stock => 1000, limit => 2,
        variants => [qw(270 280 290)], same => 20, new => 20);
};
done_testing();
