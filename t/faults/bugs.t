# Each seeded bug, built in by its flag, is caught by the test that is named
# here: the test fails with the bug and passes without it. Builds only what a
# row needs, into build/bugs/<name>.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Util qw(build_dir read_file repository run_command temp_dir);
use Test::More;
use Time::HiRes qw(time);

# What is built and run => the flag without SPEEDY_BUG_ => the test that fails.
my @suites = (
    'unit/shop/scripts_test' => [
        NO_LIMIT              => 'refusals',
        REPLAY_AFTER_SOLD_OUT => 'a_replay_comes_before_every_refusal',
        NO_COOL_DOWN          => 'units_that_come_back_onto_zero_cool_down',
        ACK_WITHOUT_GATE      => 'the_ack_needs_the_gate_of_its_epoch',
        NO_FENCING_TOKEN      => 'an_older_leader_is_refused',
        NO_NONCE              => 'a_late_load_finds_another_fence',
        RENEW_NOT_LOADED      => 'nothing_renews_what_is_not_loaded',
        RELEASE_NOT_LOADED    => 'a_release_waits_for_its_ledger',
        RELEASE_RAISES        => 'a_release_lowers_and_never_raises',
    ],
    'unit/orderd/apply_test' => [
        NO_EPOCH_CHECK           => 'a_stale_epoch_is_rejected',
        EPOCH_READ_BEFORE_UPDATE => 'the_epoch_is_compared_in_the_update',
        NO_OFFSET_CAS            => 'a_zombie_writes_nothing',
    ],
    'unit/stockd/race_test' => [
        SNAPSHOT_BEFORE_UPDATE => 'an_order_after_the_snapshot_is_refused',
        NO_LOG_BARRIER         => 'the_log_is_read_before_the_snapshot',
    ],
    't/060-stores.t' => [
        RELEASE_ON_FAILED_PRODUCE => 'nothing is given back',
        ACK_SKIPPED => 'an event of another epoch is never accepted',
    ],
    't/070-event.t' => [
        NO_KEY_DIGEST_IN_EVENT => 'the event carries the digest of user and key',
    ],
);
my $module = 'ngx_http_speedy_module.so';
my ($build_seconds, $test_seconds) = (300, 180);

chdir repository() or die 'no repository';
chomp(my $jobs = `nproc`);
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

# What a failed test keeps goes with this one. A /tmp for every user: mariadbd
# is another one.
my $temp = temp_dir('bugs');
chmod 01777, $temp;
$ENV{TMPDIR} = $temp;
$ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';

sub build {
    my ($name, $suite) = @_;
    my $dir = "build/bugs/$name";
    my @flags = $suite =~ /\.t$/ ? () : ('FAILPOINTS=1');
    push @flags, "BUGS=SPEEDY_BUG_$name" if $name ne 'none';
    my $target = $suite =~ /\.t$/ ? $module : $suite;
    my ($status, $out, $err) = run_command($build_seconds,
        'make', '-s', "-j$jobs", "B=$dir", @flags, "$dir/$target");
    diag("make $dir/$target: $status\n$out$err") if $status;
    return !$status;
}

# Exit status, the names of the tests that failed, and all that was said.
sub run_suite {
    my ($suite, $dir) = @_;
    local $ENV{SPEEDY_BUILD} = $dir;
    my @command = $suite =~ /\.t$/ ? ($^X, '-It/lib', $suite) : ("$dir/$suite");
    my ($status, $out, $err) = run_command($test_seconds, @command);
    return ($status, { map { $_ => 1 } $out =~ /^not ok \d+ - (.*?)\s*$/mg },
        $out . $err);
}

sub sound {
    my ($suite) = @_;
    my ($status, undef, $said) = (build('none', $suite) ? () : 1);
    ($status, undef, $said) = run_suite($suite, repository() . '/build/bugs/none')
        if !defined $status;
    is($status, 0, "$suite passes without a bug") or diag($said // '');
    return;
}

sub caught {
    my ($suite, $name, $test) = @_;
    my $begun = time;
    my $what = "SPEEDY_BUG_$name is caught by $suite: $test";
    return fail($what) if !build($name, $suite);
    my $built = time;
    my ($status, $failed, $said)
        = run_suite($suite, repository() . "/build/bugs/$name");
    ok($status && $failed->{$test}, $what)
        or diag("exit $status, failed: @{[sort keys %$failed]}\n$said");
    note(sprintf 'built in %.1f s, run in %.1f s', $built - $begun, time - $built);
    return;
}

my %row;
while (my ($suite, $bugs) = splice @suites, 0, 2) {
    sound($suite);
    while (my ($name, $test) = splice @$bugs, 0, 2) {
        $row{$name} = 1;
        caught($suite, $name, $test);
    }
}

my %seeded;
for my $file (glob '{lua,ngx_module,daemons/*}/*.{lua,c,h}') {
    $seeded{$_} = 1 for (read_file($file) // '') =~ /\bSPEEDY_BUG_(\w+)/g;
}
is_deeply([sort keys %row], [sort keys %seeded], 'every seeded bug has its row');
done_testing();
