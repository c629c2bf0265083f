# An operator's day, by the commands of README.md: a product with an image, a
# sale that opens in ten seconds, its stream watched while shoppers buy it out,
# pause, resume, more stock, close, the report. Prints commands and output.
# SPEEDY_REPORT=FILE keeps the report's page.

use strict;
use warnings;
use lib 't/lib';
use Compress::Zlib ();
use POSIX qw(strftime);
use Speedy::Desk;
use Speedy::Stack;
use Speedy::Util qw(build_file read_file repository run_command spawn stop_process
    wait_for write_file);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
my $dir = $s->dir . '/run';
my $shop = $s->url;
my $ops = $s->ops_url;

# A square in two colours.
sub png {
    my ($side) = @_;
    my $chunk = sub {
        my ($name, $data) = @_;
        return pack('N', length $data) . $name . $data
            . pack('N', Compress::Zlib::crc32("$name$data"));
    };
    my $half = $side / 2;
    return "\x89PNG\r\n\x1a\n"
        . $chunk->('IHDR', pack('NNCCCCC', $side, $side, 8, 2, 0, 0, 0))
        . $chunk->('IDAT', Compress::Zlib::compress(join '', map {
            "\0" . "\x30\x60\xd0" x $half . "\xf0\xa0\x20" x $half } 1 .. $side))
        . $chunk->('IEND', '');
}

# A line of shell as an operator types it; its output.
sub type {
    my ($line, %o) = @_;
    my ($status, $out, $err) = run_command(60, 'sh', '-c',
        "cd '@{[repository()]}' && $line");
    my $shown = $out . $err;
    $shown =~ s/^(.{0,2000}).*/$1/s;
    diag("\$ $line\n$shown");
    is($status, $o{exit} // 0, $o{name} // $line);
    return $out;
}

# ./dev finds the stack by its directory.
$ENV{SPEEDY_DEV_DIR} = $s->dir;
$ENV{SPEEDY_BUILD} = Speedy::Util::build_dir();
write_file("$dir/shoe.png", png(400));

my $who = Speedy::Desk->new($s, login => 'kim', role => 'OPERATOR');
is($who->log_in->{status}, 201, 'kim logs in with password and authenticator');
write_file("$dir/token", "Authorization: Bearer $who->{access}", 0600);

type(q{./dev ctl product add --id runner --name '속도 운동화' --price 129000 }
    . q{--category shoes --description '가볍다' --reason 'spring drop'});
like(type("curl -sS -X POST -H \@$dir/token -H 'Content-Type: image/png' "
    . "--data-binary \@$dir/shoe.png '$ops/admin/products/runner/images?reason=photo'"),
    qr/"url":"\/images/, 'the image is kept');
like(type("curl -sS $shop/api/v1/products/runner"), qr/"images":\[\{"url"/,
    'and the product shows it');

my $opens = int(time) + 10;
my $at = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $opens);
type("./dev ctl sale create --id drop --product runner --stock 270=1200,280=800 "
    . "--limit 2 --opens-at $at --reason 'spring drop'");
my $stream = "$dir/stream";
my $curl = spawn(name => 'curl', stdout => $stream,
    cmd => ['curl', '-sS', '-N', "$shop/api/v1/sales/drop/stock/stream"]);
diag("\$ curl -N $shop/api/v1/sales/drop/stock/stream &");

my $tokens = $s->tokens(1, 3000);
my $line = build_file('bin/shoppers') . " --url $shop --sale drop --tokens $tokens "
    . "--variants 270=60,280=40 --arrival steady:250 --requests 3000 "
    . "--start-at ${opens}000 --retry-code sale_paused --give-up 40s --log $dir/client.log";
diag("\$ $line &");
my $buyers = spawn(name => 'shoppers', stdout => "$dir/shoppers", cmd => ['sh', '-c', $line]);

sub sold { return scalar(() = (read_file("$dir/client.log") // '') =~ /"status":202/g) }

wait_for { return sold() >= 500 } 40, 'five hundred orders';
cmp_ok(time, '>=', $opens, 'it opened by itself');
type("./dev ctl sale pause drop --reason 'a wrong size chart'");
wait_for { return (read_file($stream) // '') =~ /"state":"paused"/ } 5, 'the stream to tell';
type(q{./dev ctl sale notice drop '곧 다시 열립니다'});
wait_for { return (read_file($stream) // '') =~ /곧 다시/ } 5, 'the notice';
type('./dev ctl sale resume drop');
type('./dev ctl sale stock drop 280 +100');
is(Speedy::Util::reap($buyers, 90), 0, 'no answer contradicts an earlier one');
diag(read_file("$dir/shoppers"));
wait_for { return (read_file($stream) // '') =~ /"state":"sold_out"/ } 5, 'sold out';
type('./dev ctl sale show drop');
type("./dev ctl sale close drop --reason 'sold out'");
wait_for { return (read_file($stream) // '') =~ /"state":"ended"/ } 5, 'the end';
stop_process($curl, 'TERM', 5);
my @events = split /\n\n/, read_file($stream);
my $told = @events;
diag(join "\n\n", "the stream, $told events:", @events[0 .. 4], '...', @events[-3 .. -1]);

my $page = $ENV{SPEEDY_REPORT} || "$dir/report.html";
my $report = type("./dev ctl sale report drop --html $page --wait 10s");
like($report, qr/^conserved +yes$/m, 'every unit is accounted for');
like($report, qr/^offered +2100 units \(2000 at first, 100 added/m,
    '2,000 were offered, and a hundred more');
is($s->sql("SELECT SUM(quantity) FROM orders WHERE sale_id = 'drop'"), 2100,
    'and 2,100 ordered');
like(read_file($page), qr/<svg.*Every unit is accounted for/s, 'the page');
type('./dev ctl audit');
done_testing();
