# Redis fails: killed, emptied, set back, stopped; the line to it is cut in
# every way. It is rebuilt without an operator.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Redis;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Redis->rows);
done_testing();
