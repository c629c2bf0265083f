# stockd's leader dies, or wakes up when another leads.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Stockd;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Stockd->rows('F36'));
done_testing();
