package Speedy::Gateway;

# A second gateway of a stack: another nginx, with workers and shared memory of
# its own, by the stack's configuration on other ports.

use strict;
use warnings;
use Speedy::Util qw(free_port read_file spawn stop_process wait_for write_file);

=head1 SYNOPSIS

    my $g = Speedy::Gateway->start($stack);
    $stack->buy($sale, user => 'u1', key => 'k1', url => $g->url);

=cut

sub start {
    my ($class, $s) = @_;
    my $dir = $s->dir;
    my ($port, $ops) = (free_port(), free_port());
    my $conf = read_file("$dir/etc/nginx.conf");
    for ([$s->url, $port], [$s->ops_url, $ops]) {
        my ($old) = $_->[0] =~ /:(\d+)$/;
        $conf =~ s/127\.0\.0\.1:$old\b/127.0.0.1:$_->[1]/g;
    }
    $conf =~ s{$dir/run/nginx\.pid}{$dir/run/second.pid};
    $conf =~ s{$dir/log/(error|access)\.log}{$dir/log/second-$1.log}g;
    write_file("$dir/etc/second.conf", $conf);
    my $self = bless { url => "http://127.0.0.1:$port", ops => "http://127.0.0.1:$ops" },
        $class;
    $self->{pid} = spawn(
        name => 'second nginx', stdout => "$dir/log/second.log",
        cmd => ['/usr/sbin/nginx', '-e', "$dir/log/second-error.log",
            '-p', "$dir/", '-c', "$dir/etc/second.conf", '-g', 'daemon off;']);
    wait_for {
        return $s->http('GET', '/healthz', url => $self->{ops})->{status} == 200;
    } 15, 'the second gateway';
    return $self;
}

sub url  { return $_[0]{url} }
sub stop { return stop_process($_[0]{pid}, 'QUIT', 20) }

1;
