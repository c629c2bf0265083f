# orderd fails: killed at each place of a batch, replaced while it stands
# still, fed with what nobody can read.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Orderd;
use Test::More;

my $s = Speedy::Fault->up_with_failpoints;
Speedy::Fault->run($s, Speedy::Fault::Orderd->rows);
done_testing();
