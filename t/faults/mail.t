# The mail server fails in every way, and neither a purchase nor a sign-up
# notices.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Mail;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault->run($s, Speedy::Fault::Mail->rows);
done_testing();
