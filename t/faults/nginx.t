# The gateway fails: a worker dies or stands still, nginx is reloaded, upgraded,
# stopped.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Nginx;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
# A worker that was killed is told of as an alert.
$s->allow(qr/exited on signal 9/);
Speedy::Fault->run($s, Speedy::Fault::Nginx->rows);
done_testing();
