# Smoke rows of the fault matrix: Redis is lost, set back, and its answers are.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Redis;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, { seconds => 10 },
    Speedy::Fault::Redis->rows(qw(F7a F8 F11)));
done_testing();
