# The topic loses records that orderd had not read: it stops with an alarm and
# never skips; what the operator decides then costs no order.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Kafka;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Kafka->rows('F20'));
done_testing();
