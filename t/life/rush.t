# A rush in small: 2,000 shoppers at the instant of the opening, 200 units.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Rush;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);
Speedy::Rush->run($s, shoppers => 2000, stock => 200);
done_testing();
