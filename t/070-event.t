# The record of an order in Kafka: byte for byte what daemons/shop/event.c
# documents, with digests that are computed here anew. orderd knows an order's
# key by its event alone, so a retry after a rebuild depends on it.

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw(sha256);
use JSON::PP ();
use Speedy::Module qw(gateway gateway_config sale redis kafka nginx_start
    nginx_stop purchase);
use Speedy::Util qw(run_command);
use Test::More;

gateway();
sale('s', stock => { 270 => 5, default => 5 }, limit => 5, epoch => 7,
    price => 12900, seq_base => 41);
my $n = nginx_start(config => gateway_config()
        . 'add_header X-Request-Id $request_id always;');
my $trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
my $other = '00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00';

# Every record so far, oldest first.
sub records {
    my ($status, $out, $err) = run_command(30, 'kcat', '-C', '-q', '-e',
        '-b', kafka()->brokers, '-t', 'speedy.orders', '-o', 'beginning',
        '-f', "%T\t%k\t%s\n");
    die "kcat: $err" if $status;
    return sort { $a->{time} <=> $b->{time} }
        map { my ($time, $key, $value) = split /\t/, $_, 3;
        { time => $time, key => $key, value => $value } } split /\n/, $out;
}

sub records_of {
    my ($order) = @_;
    return grep { $_->{key} eq $order } records();
}

sub digest { return substr sha256(join "\0", @_), 0, 16 }
sub bytes  { return pack 'H*', $_[0] =~ tr/-//dr }

sub ledger {
    my ($order) = @_;
    my $packed = redis()->cmd('HGET', 'speedy:{s}:resv', bytes($order));
    my %e;
    @e{qw(quantity price epoch reserved_at pay_by seq key body user variant)} =
        unpack 'N (a6)5 a16 a16 C/a C/a', $packed;
    $e{$_} = unpack 'Q>', "\0\0$e{$_}" for qw(price epoch reserved_at pay_by seq);
    return \%e;
}

# What the record of an answer must be, from what the client sent and got; only
# the times are the ledger's.
sub event {
    my ($r, %o) = @_;
    my $e = ledger($r->{order_id});
    return sprintf '{"v":1,"order_id":"%s","sale_id":"s","variant":"%s",'
        . '"user_id":"%s","quantity":%d,"unit_price":12900,"currency":"KRW",'
        . '"epoch":7,"seq":%d,"key_digest":"%s","body_digest":"%s",'
        . '"reserved_at":%d,"pay_by":%d,"request_id":"%s","traceparent":"%s"}',
        $r->{order_id}, $o{variant}, $o{user}, $o{quantity}, $o{seq},
        unpack('H*', digest('speedy-key', $o{user}, $o{key})),
        unpack('H*', digest('speedy-body', $o{variant}, $o{quantity})),
        $e->{reserved_at}, $e->{pay_by}, $r->{headers}{'x-request-id'},
        $o{trace} // '';
}

# --- an order with all that a client may send

my %first = (user => 'u-1', key => 'k"\\/{}1', variant => '270', quantity => 2);
my $r = purchase($n, 's', %first, headers => { traceparent => $trace });
is($r->{status}, 202, 'a purchase');
my @got = records_of($r->{order_id});
is(scalar @got, 1, 'one record, its key is the order id');
my $value = $got[0]{value};
my $event = JSON::PP::decode_json($value);
is($event->{key_digest},
    unpack('H*', digest('speedy-key', $first{user}, $first{key})),
    'the event carries the digest of user and key');
is($event->{body_digest}, unpack('H*', digest('speedy-body', '270', 2)),
    'and that of variant and quantity');
is($value, event($r, %first, seq => 42, trace => $trace),
    'the record is exactly this event');
like($r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'of this request');

my $e = ledger($r->{order_id});
is_deeply([@{$event}{qw(user_id variant quantity unit_price epoch seq)}],
    [@{$e}{qw(user variant quantity price epoch seq)}], 'the ledger says so, too');
is($event->{key_digest}, unpack('H*', $e->{key}), 'the same digest of the key');
is($event->{body_digest}, unpack('H*', $e->{body}), 'and of the body');
is($event->{pay_by} - $event->{reserved_at}, 600_000, 'a hold of ten minutes');

# --- the next ones

for my $case (['no trace'], ['a malformed trace', traceparent => '"' x 55],
    ['a short trace', traceparent => '00-4bf92f'])
{
    my ($name, @header) = @$case;
    my %o = (user => 'u2', key => $name =~ tr/ /-/r, variant => 'default',
        quantity => 1);
    my $next = purchase($n, 's', %o, headers => {@header});
    my ($record) = records_of($next->{order_id});
    is($record->{value}, event($next, %o, seq => ++$e->{seq}), $name);
}

# --- replays

my $count = () = records();
my $again = purchase($n, 's', %first);
is($again->{order_id}, $r->{order_id}, 'the same key again');
is(scalar(() = records()), $count, 'is no record when Kafka has the order');

redis()->cmd('HSET', 'speedy:{s}:pend', bytes($r->{order_id}), 1);
$again = purchase($n, 's', %first, headers => { traceparent => $other });
is($again->{status}, 202, 'the same key of a pending order');
is($again->{headers}{'idempotent-replayed'}, 'true');
@got = records_of($r->{order_id});
is(scalar @got, 2, 'is produced again');
is($got[0]{value}, $value, 'the first one is as it was');
is($got[1]{value}, event($again, %first, seq => 42, trace => $other),
    'the second differs in request and trace alone');

is(join("\n", nginx_stop($n)), '', 'an orderly end');
done_testing();
