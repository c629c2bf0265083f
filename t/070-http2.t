# The purchase over HTTP/2: one connection, many streams, streams reset.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway sale redis kafka bearer nginx_start nginx_stop
    freeze);
use Speedy::Util qw(run_command connect_to try_for spawn stop_process);
use Test::More;

plan skip_all => 'curl without HTTP/2'
    if (run_command(5, 'curl', '-V'))[1] !~ /HTTP2/;

gateway();
sale('s', stock => { default => 100 }, limit => 100);
my $n = nginx_start(listen => 'http2');

sub curl {
    my ($key, @more) = @_;
    return ('curl', '-s', '--http2-prior-knowledge', '-m', 10, '-w', "\n%{http_code} %{http_version}",
        '-H', bearer(), '-H', 'Content-Type: application/json', '-H', "Idempotency-Key: $key",
        @more, "http://127.0.0.1:$n->{port}/api/v1/sales/s/orders");
}
my $body = '{"variant":"default","quantity":1}';

like((run_command(10, curl('a', '-d', $body)))[1], qr/"state":"ACCEPTED".*\n202 2/, 'accepted');
like((run_command(10, curl('a', '-d', $body)))[1], qr/\n202 2/, 'replayed');
like((run_command(10, curl('b', '-X', 'POST', '-H', 'Transfer-Encoding: chunked', '-d', $body)))[1],
    qr/\n202 2/, 'a body without a length');
like((run_command(10, curl('c', '-X', 'POST')))[1], qr/"code":"length_required".*\n411 2/s, 'no body');
like((run_command(10, curl('d', '-I')))[1], qr/\n405 2/, 'HEAD');

# A client that leaves with its stream parked.

freeze(kafka());
my $pid = spawn(name => 'curl', cmd => [curl('gone', '-d', $body)]);
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') == 1 } 5), 'reserved');
stop_process($pid, 'KILL');
kafka()->signal('CONT');
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') == 0 } 10), 'the order proceeds');
like((run_command(10, curl('gone', '-d', $body)))[1], qr/\n202 2/, 'and is found by the retry');

is(join("\n", nginx_stop($n)), '', 'an orderly end');
done_testing();
