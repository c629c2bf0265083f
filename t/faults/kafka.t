# Kafka fails: killed, stopped for longer than a record's time, reports lost.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Kafka;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Kafka->rows);
done_testing();
