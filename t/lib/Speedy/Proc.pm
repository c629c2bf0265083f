package Speedy::Proc;

# What a process has of the machine.

use strict;
use warnings;
use Exporter qw(import);
use Speedy::Util qw(read_file);

our @EXPORT_OK = qw(usage worst);

# usage(PID): {fds, threads, rss} with rss in KiB; undef when it is gone.
sub usage {
    my ($pid) = @_;
    my $status = read_file("/proc/$pid/status") or return;
    my @fds = glob "/proc/$pid/fd/*";
    my ($threads) = $status =~ /^Threads:\s+(\d+)/m;
    my ($rss) = $status =~ /^VmRSS:\s+(\d+)/m;
    return if !$rss;
    return { fds => scalar @fds, threads => $threads, rss => $rss };
}

# worst(PID, ...): the greatest of each.
sub worst {
    my %most = (fds => 0, threads => 0, rss => 0);
    for my $u (grep { $_ } map { usage($_) } @_) {
        for my $name (keys %most) {
            $most{$name} = $u->{$name} if $u->{$name} > $most{$name};
        }
    }
    return \%most;
}

1;
