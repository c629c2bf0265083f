package Speedy::Util;

# What every part of the test library needs: free ports, processes that end
# with the test, waiting for a condition within a bound, and the search of
# logs for what must never stand in them.

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Errno qw(EINTR);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(
    build_dir build_file free_port nap wait_for try_for spawn alive
    stop_process reap run_command read_file write_file connect_to scan_log
    temp_dir keep_temp_dir repository
);

my %children;     # pid -> what it is
my %temp_dirs;    # path -> 1, removed at the end unless kept
my $owner = $$;
my @at_end;

=head1 FUNCTIONS

=over

=item repository()

The top of the source tree.

=cut

sub repository { return abs_path(dirname(__FILE__) . '/../../..') }

=item build_dir()

C<SPEEDY_BUILD> (default C<build> in the repository), as an absolute path.

=item build_file($name)

A file of the build; dies with the remedy when it does not exist.

=cut

sub build_dir {
    my $dir = $ENV{SPEEDY_BUILD} || repository() . '/build';
    $dir = repository() . "/$dir" if $dir !~ m{^/} && !-d $dir;
    return abs_path($dir) || $dir;
}

sub build_file {
    my ($name) = @_;
    my $file = build_dir() . "/$name";
    croak "$file is missing: run make first" if !-e $file;
    return $file;
}

=item free_port()

A TCP port on 127.0.0.1 that was free a moment ago, never the same twice in
one test.

=cut

my %given;

sub free_port {
    for (1 .. 100) {
        my $s = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1',
            LocalPort => 0,
            Listen    => 1,
        ) or croak "no free port: $!";
        my $port = $s->sockport;
        close $s;
        return $port if !$given{$port}++;
    }
    croak 'no free port';
}

=item nap($seconds)

The pause between two looks at a condition. Not for waiting: see C<wait_for>.

=item wait_for { condition } $seconds, $what

Returns the condition's true value; dies when it stays false for C<$seconds>.
An exception inside counts as false and is told at the end.

=item try_for { condition } $seconds

The same, but returns false instead of dying.

=cut

sub nap { select undef, undef, undef, $_[0]; return }

sub try_for (&;$) {
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // 10);
    while (1) {
        my $value = eval { $condition->() };
        return $value if $value;
        return        if time >= $end;
        nap(0.02);
    }
}

sub wait_for (&;$$) {
    my ($condition, $seconds, $what) = @_;
    $seconds //= 10;
    my $value = &try_for($condition, $seconds);
    my $error = $@;
    return $value if $value;
    croak sprintf 'waited %s s in vain for %s%s', $seconds,
        $what // 'a condition', $error ? ": $error" : '';
}

=item spawn(cmd => [...], name => ..., stdout => FILE, stderr => FILE,
      stdin => FILE, env => {...}, dir => DIR)

Starts a process that ends with the test. Returns its pid.

=cut

my %ended;

sub spawn {
    my (%o) = @_;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        eval {
            my $out = $o{stdout} // '/dev/null';
            my $err = $o{stderr} // $out;
            open STDIN,  '<',  $o{stdin} // '/dev/null' or die "stdin: $!";
            open STDOUT, '>>', $out or die "$out: $!";
            open STDERR, '>>', $err or die "$err: $!";
            @ENV{ keys %{ $o{env} } } = values %{ $o{env} } if $o{env};
            $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
            chdir $o{dir} or die "$o{dir}: $!" if $o{dir};
            exec { $o{cmd}[0] } @{ $o{cmd} };
        };
        print STDERR "cannot start $o{cmd}[0]: $@ $!\n";
        POSIX::_exit(127);
    }
    delete $ended{$pid};    # of an earlier child
    $children{$pid} = $o{name} // $o{cmd}[0];
    return $pid;
}

=item run_command($seconds, @command)

Runs to the end, within a bound. Returns (exit status, stdout, stderr); a
process that was killed has 128 + signal, one over time 124.

=cut

sub run_command {
    my ($seconds, @cmd) = @_;
    my $dir = File::Temp->newdir;
    my $pid = spawn(cmd => \@cmd, stdout => "$dir/out", stderr => "$dir/err");
    my $status = reap($pid, $seconds);
    if (!defined $status) {
        stop_process($pid, 'KILL', 5);
        $status = 124;
    }
    return ($status, read_file("$dir/out") // '', read_file("$dir/err") // '');
}

=item alive($pid)

=item reap($pid, $seconds)

Waits for a child; its exit status, or undef when it still runs.

=item stop_process($pid, $signal, $seconds)

Sends the signal (TERM), waits, and kills it when that was in vain. True when
it went by the signal.

=cut

sub reap {
    my ($pid, $seconds) = @_;
    return $ended{$pid} if exists $ended{$pid};
    my $status;
    try_for {
        my $got = waitpid $pid, WNOHANG;
        return if $got == 0;
        $status = $got < 0 ? 255 : $? & 127 ? 128 + ($? & 127) : $? >> 8;
        1;
    }
    $seconds // 0;
    if (defined $status) {
        delete $children{$pid};
        $ended{$pid} = $status;
    }
    return $status;
}

sub alive {
    my ($pid) = @_;
    return 0 if !$pid;
    if ($children{$pid}) {
        local $?;
        return !defined reap($pid, 0);
    }
    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$fh> // '';
    return $stat =~ /\)\s+[ZX]/ ? 0 : 1;
}

sub stop_process {
    my ($pid, $signal, $seconds) = @_;
    local $?;
    return 1 if !$pid || exists $ended{$pid};
    kill $signal // 'TERM', $pid;
    kill 'CONT', $pid;
    return 1 if defined reap($pid, $seconds // 10);
    kill 'KILL', $pid;
    reap($pid, 5);
    return 0;
}

=item read_file($path), write_file($path, $text, $mode)

C<read_file> returns undef for a file that is not there.

=cut

sub read_file {
    my ($path, $from) = @_;
    open my $fh, '<:raw', $path or return;
    seek $fh, $from, 0 if $from;
    local $/;
    return scalar <$fh> // '';
}

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $fh, '>:raw', $path or croak "$path: $!";
    print {$fh} $text or croak "$path: $!";
    close $fh or croak "$path: $!";
    chmod $mode, $path if defined $mode;
    return $path;
}

=item connect_to($address)

A connected socket or undef: C<unix:PATH>, C<HOST:PORT> or a port.

=cut

sub connect_to {
    my ($address) = @_;
    if ($address =~ /^unix:(.*)/) {
        return IO::Socket::UNIX->new(Peer => $1);
    }
    $address = "127.0.0.1:$address" if $address =~ /^\d+$/;
    return IO::Socket::INET->new(
        PeerAddr => $address, Timeout => 5, Proto => 'tcp');
}

=item scan_log($path, @allowed)

The lines of a log that must not be there: [alert], [emerg], `open socket
left`, a sanitizer's report. Lines that match one of C<@allowed> are let pass.

=cut

my $bad_line = qr/
    \[alert\] | \[emerg\] | open\ socket\ left
    | (?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer
    | \bruntime\ error:
/x;

sub scan_log {
    my ($path, @allowed) = @_;
    my $text = read_file($path) // return;
    my @bad = grep { /$bad_line/ } split /\n/, $text;
    for my $pattern (@allowed) {
        @bad = grep {
            ref $pattern ? $_ !~ $pattern : index($_, $pattern) < 0
        } @bad;
    }
    return @bad;
}

=item temp_dir($name)

A directory that goes with the test.

=item keep_temp_dir($path)

Leaves it in place and says where.

=item Speedy::Util::at_end(sub { ... })

Runs before the processes are ended, last added first.

=back

=cut

sub temp_dir {
    my ($name) = @_;
    my $dir = File::Temp::tempdir(
        'speedy-' . ($name // 'test') . '-XXXXXX', TMPDIR => 1);
    $temp_dirs{$dir} = 1;
    return $dir;
}

sub keep_temp_dir {
    my ($dir) = @_;
    print STDERR "# kept: $dir\n" if delete $temp_dirs{$dir};
    return;
}

sub at_end { push @at_end, @_; return }

for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { exit 130 } if !$SIG{$signal};
}

END {
    if ($$ == $owner) {
        my $status = $?;
        for my $code (reverse @at_end) {
            eval { $code->($status); 1 } or do {
                print STDERR "# $@";
                $status ||= 1;
            };
            $status ||= $?;
        }
        stop_process($_, 'TERM', 10) for sort { $b <=> $a } keys %children;
        require File::Path;
        for my $dir (keys %temp_dirs) {
            if ($status) {
                keep_temp_dir($dir);
            } else {
                File::Path::remove_tree($dir, { safe => 0 });
            }
        }
        $? = $status;
    }
}

1;
