#!/usr/bin/perl
# Every C unit test (t/unit/*/*_test.c) as one subtest: the binaries that
# `make unit-build` left in the build directory SPEEDY_BUILD.
use strict;
use warnings;
use Test::More;

my $build = $ENV{SPEEDY_BUILD} // 'build';
my @sources = glob 't/unit/*/*_test.c';
plan tests => 2 * @sources;

$ENV{ASAN_OPTIONS} //= 'detect_leaks=1:exitcode=99';
$ENV{UBSAN_OPTIONS} //= 'halt_on_error=1:print_stacktrace=1';

for my $source (@sources) {
    my ($name) = $source =~ m{t/unit/(.+)\.c$};
    my $binary = "$build/unit/$name";
    ok(-x $binary, "$name is built") or do {
        fail("$name runs");
        next;
    };
    # A test that hangs is a failed test: timeout's status is 124.
    my $output = qx{timeout -k 5 120 '$binary' 2>&1};
    my $status = $?;
    is($status, 0, "$name passes") or diag($output);
}
