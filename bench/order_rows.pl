#!/usr/bin/perl
# order_rows.pl events FIRST COUNT SALE     records for kcat -K '|'
# order_rows.pl sql FIRST COUNT TABLES      the same rows as a bulk INSERT
#
# Both modes make the same orders from their number alone. The bulk INSERT
# writes TABLES_orders and TABLES_order_events, 1,000 orders a statement and
# two statements a transaction, which is what a careful person would write by
# hand. Needs perl-base only.
use strict;
use warnings;

my ($mode, $first, $count, $name) = @ARGV;
die "usage: order_rows.pl events|sql FIRST COUNT NAME\n" unless defined $name;
my $start = 1_700_000_000_000;
my $per_statement = 1000;

# A UUIDv7 whose time grows by one millisecond each 8 orders; the last bits
# are mixed as random ones would be.
sub id {
    my ($n) = @_;
    my $mixed = ($n * 2654435761) & 0xffffffff;
    return sprintf '%012x7%03x8%03x%08x%04x', $start + int($n / 8), $n & 0xfff,
        $mixed & 0xfff, $mixed, $n & 0xffff;
}

sub digest {
    my ($n, $salt) = @_;
    return sprintf '%08x%08x%08x%08x',
        map { ($n * 2246822519 + $salt * $_ * 3266489917) & 0xffffffff } 1 .. 4;
}

sub event {
    my ($n) = @_;
    my $hex = id($n);
    my $id = join '-', unpack 'A8 A4 A4 A4 A12', $hex;
    return qq($id|{"v":1,"order_id":"$id","sale_id":"$name",)
        . qq("variant":"default","user_id":"user-$n","quantity":1,)
        . qq("unit_price":1000,"currency":"KRW","epoch":1,"seq":@{[$n + 1]},)
        . qq("key_digest":"@{[digest($n, 1)]}",)
        . qq("body_digest":"@{[digest($n, 2)]}",)
        . qq("reserved_at":$start,"pay_by":@{[$start + 600000]},)
        . qq("request_id":"@{[digest($n, 3)]}","traceparent":""}\n);
}

sub order_values {
    my ($n) = @_;
    my $key = digest($n, 1);
    return "(x'@{[id($n)]}','bench','default','user-$n',1,1000,"
        . "'PENDING_PAYMENT',1,1,@{[$n + 1]},x'$key',x'$key',"
        . "x'@{[digest($n, 2)]}',NULL,'@{[digest($n, 3)]}',"
        . "'2023-11-14 22:13:20.000','2033-11-14 22:23:20.000',NOW(3),NOW(3))";
}

sub event_values {
    my ($n) = @_;
    return "(x'@{[id($n)]}',1,'','PENDING_PAYMENT','orderd:1','accepted',"
        . "NOW(3))";
}

sub bulk {
    print "SELECT 'begin', CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED);\n";
    for (my $at = $first; $at < $first + $count; $at += $per_statement) {
        my $end = $at + $per_statement - 1;
        $end = $first + $count - 1 if $end >= $first + $count;
        print "START TRANSACTION;\nINSERT INTO ${name}_orders (id, sale_id,"
            . " variant, user_id, quantity, unit_price, state, units_live,"
            . " epoch, seq, key_digest, key_live, body_digest,"
            . " reject_reason, request_id, reserved_at, pay_by, created_at,"
            . " updated_at) VALUES ",
            join(',', map { order_values($_) } $at .. $end),
            ";\nINSERT INTO ${name}_order_events (order_id, version,"
            . " from_state, to_state, actor, reason, at) VALUES ",
            join(',', map { event_values($_) } $at .. $end), ";\nCOMMIT;\n";
    }
    print "SELECT 'end', CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED);\n";
}

if ($mode eq 'events') {
    print event($_) for $first .. $first + $count - 1;
}
elsif ($mode eq 'sql') {
    bulk();
}
else {
    die "order_rows.pl: unknown mode $mode\n";
}
