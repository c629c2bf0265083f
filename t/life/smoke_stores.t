# Smoke rows of the fault matrix: orderd, MariaDB, Kafka.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Kafka;
use Speedy::Fault::Mariadb;
use Speedy::Fault::Orderd;
use Test::More;

my $s = Speedy::Fault->up_with_failpoints;
Speedy::Fault->run($s, { seconds => 10 }, Speedy::Fault::Orderd->rows('F22'),
    Speedy::Fault::Mariadb->rows('F25'), Speedy::Fault::Kafka->rows(qw(F16 F18)));
done_testing();
