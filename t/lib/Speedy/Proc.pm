package Speedy::Proc;

# What a process has of the machine.

use strict;
use warnings;
use Exporter qw(import);
use Speedy::Util qw(read_file);

our @EXPORT_OK = qw(usage worst total);

# usage(PID): {fds, threads, rss, anon}, in KiB; undef when it is gone. `anon` is
# its own memory, without the zone that all workers share.
sub usage {
    my ($pid) = @_;
    my $status = read_file("/proc/$pid/status") or return;
    my @fds = glob "/proc/$pid/fd/*";
    my ($threads) = $status =~ /^Threads:\s+(\d+)/m;
    my ($rss) = $status =~ /^VmRSS:\s+(\d+)/m;
    my ($anon) = $status =~ /^RssAnon:\s+(\d+)/m;
    return if !$rss;
    return { fds => scalar @fds, threads => $threads, rss => $rss,
        anon => $anon };
}

# worst(PID, ...): the greatest of each.
sub worst {
    my %most = (fds => 0, threads => 0, rss => 0, anon => 0);
    for my $u (grep { $_ } map { usage($_) } @_) {
        for my $name (keys %most) {
            $most{$name} = $u->{$name} if $u->{$name} > $most{$name};
        }
    }
    return \%most;
}

# total(NAME, PID, ...): one of them, summed up.
sub total {
    my ($name, @pids) = @_;
    my $sum = 0;
    $sum += $_->{$name} for grep { $_ } map { usage($_) } @pids;
    return $sum;
}

1;
