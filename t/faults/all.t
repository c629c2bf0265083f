# Everything is killed at once and comes back in random order (SPEEDY_SEED
# repeats one).

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Stockd;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
$s->allow(qr/exited on signal 9/);
Speedy::Fault->run($s, Speedy::Fault::Stockd->rows('F37'));
done_testing();
