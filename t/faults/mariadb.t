# MariaDB fails: killed in the middle of commits, its answers lost, the line to
# it dead.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Mariadb;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Mariadb->rows);
done_testing();
