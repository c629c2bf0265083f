# Smoke row of the fault matrix: a worker of nginx is killed (its reloads are in
# reload.t).

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Nginx;
use Speedy::Stack;
use Test::More;

my $s = Speedy::Stack->up;
$s->allow(qr/exited on signal 9/);
Speedy::Fault->run($s, { seconds => 8 }, Speedy::Fault::Nginx->rows('F1'));
done_testing();
