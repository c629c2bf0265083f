package Speedy::Nginx::TcpServer;

# The one-shot server of --- tcp_listen: takes a connection, reads a query (as
# long as tcp_query_len or tcp_query asks), answers with tcp_reply, closes.

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Speedy::Util qw(nap read_file reap stop_process temp_dir write_file);

sub from_block {
    my ($class, $block, $expand) = @_;
    my $listen = $block->tcp_listen;
    return if !defined $listen;
    $listen = $expand->($listen);
    $listen =~ s/^\s+|\s+$//g;

    my $socket;
    if ($listen =~ /^\d+$/) {
        $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $listen,
            Listen => 8, ReuseAddr => 1);
    } else {
        unlink $listen;
        $socket = IO::Socket::UNIX->new(Local => $listen, Listen => 8);
    }
    die "tcp_listen $listen: $!\n" if !$socket;

    my $self = bless {
        out => temp_dir('tcp') . '/query', socket => $socket,
        seconds => $block->timeout // 5,
    }, $class;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        eval { $self->serve($block); 1 } or warn $@;
        POSIX::_exit(0);
    }
    close $socket;
    $self->{pid} = $pid;
    return $self;
}

sub serve {
    my ($self, $block) = @_;
    return if !IO::Select->new($self->{socket})->can_read($self->{seconds});
    my $client = $self->{socket}->accept or return;
    my $want = $block->tcp_query_len // length($block->tcp_query // '') || 1;
    my $query = '';
    while (length $query < $want) {
        last if !IO::Select->new($client)->can_read($self->{seconds});
        sysread $client, $query, 65536, length $query or last;
    }
    write_file($self->{out}, $query);

    my $reply = $block->tcp_reply // '';
    $reply = $reply->($query) if ref $reply eq 'CODE';
    my $delay = $block->tcp_reply_delay;
    nap($delay) if $delay;
    for my $part (ref $reply eq 'ARRAY' ? @$reply : $reply) {
        syswrite $client, $part;
    }
    if (defined $block->tcp_no_close) {
        IO::Select->new($client)->can_read($self->{seconds});
    }
    return;
}

# What was asked, or undef when nobody came.
sub finish {
    my ($self) = @_;
    local $?;
    stop_process($self->{pid}, 'TERM', 1)
        if !defined reap($self->{pid}, $self->{seconds});
    return read_file($self->{out});
}

1;
