package Speedy::Streams;

# Many readers of an event stream in one process, as EventSource would read:
# each keeps the id of its last event and `retry`, and comes back with them.

use strict;
use warnings;
use IO::Select;
use JSON::PP ();
use Speedy::Util qw(connect_to);
use Time::HiRes qw(time);

=head1 SYNOPSIS

    my $s = Speedy::Streams->open($port, '/api/v1/sales/s/stock/stream',
        readers => 200, reconnect => 1, headers => { 'Last-Event-ID' => $id },
        sent => sub {...});
    $s->until(5, 'all know', sub { $_->{state} eq 'paused' });   # every reader
    $s->read_for(0.3);
    $s->readers;    # list of {status, headers, events, comments, bytes, retry,
                    # id, state, left, notice, open, opened, ended, times}
    $s->close;

C<events> is a list of {event, id, data, at}; state, left (variant to units)
and notice are what the last events said; C<opened> counts connections that
brought a status; C<ended> is when the stream ended last, C<back> when its
first event came after that.

=cut

sub open {
    my ($class, $port, $path, %o) = @_;
    my $self = bless { port => $port, path => $path, %o, readers => [],
        select => IO::Select->new, by => {} }, $class;
    for (1 .. $o{readers} // 1) {
        my $r = { events => [], comments => 0, opened => 0, bytes => 0, left => {} };
        push @{ $self->{readers} }, $r;
        $self->connect($r);
    }
    return $self;
}

sub readers { return @{ $_[0]{readers} } }

sub connect {
    my ($self, $r) = @_;
    my $sock = connect_to($self->{port}) or do {
        $r->{due} = time + 0.2;
        return;
    };
    my %h = (%{ $self->{headers} // {} },
        defined $r->{id} ? ('Last-Event-ID' => $r->{id}) : ());
    my $head = join '', map {"$_: $h{$_}\r\n"} sort keys %h;
    syswrite $sock, "GET $self->{path} HTTP/1.1\r\nHost: a\r\n$head\r\n";
    $sock->blocking(0);
    @$r{qw(sock raw text open status)} = ($sock, '', '', 1, undef);
    delete $r->{due};
    $self->{by}{ fileno $sock } = $r;
    $self->{select}->add($sock);
    return;
}

sub read_for {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    do { $self->turn($end - time) } while time < $end;
    return;
}

# until(SECONDS, WHAT, CODE): CODE must be true for every reader, in $_.
sub until {
    my ($self, $seconds, $what, $code) = @_;
    my $end = time + $seconds;
    while (1) {
        my @not = grep { local $_ = $_; !$code->() } $self->readers;
        return 1 if !@not;
        if (time >= $end) {
            Test::More::diag(@not . " readers: not $what; one has "
                    . JSON::PP->new->canonical->encode({ map { $_ => $not[0]{$_} }
                    qw(status state left notice open) }));
            return 0;
        }
        $self->turn(0.05);
    }
}

sub turn {
    my ($self, $wait) = @_;
    my $now = time;
    for my $r ($self->readers) {
        $self->connect($r) if $r->{due} && $r->{due} <= $now;
    }
    $wait = 0.05 if $wait > 0.05;
    $wait = 0 if $wait < 0;
    if (!$self->{select}->count) {
        select undef, undef, undef, $wait;
        return;
    }
    for my $sock ($self->{select}->can_read($wait)) {
        my $r = $self->{by}{ fileno $sock };
        my $n = sysread $sock, $r->{raw}, 65536, length $r->{raw};
        next if !defined $n && $!{EAGAIN};
        if ($n) {
            $r->{bytes} += $n;
            $self->take($r);
        } else {
            $self->drop($r);
        }
    }
    return;
}

sub drop {
    my ($self, $r) = @_;
    $self->{select}->remove($r->{sock});
    delete $self->{by}{ fileno $r->{sock} };
    close delete $r->{sock};
    $r->{open} = 0;
    $r->{ended} = time;
    delete $r->{back};
    $r->{due} = time + ($r->{retry} // 1000) / 1000 if $self->{reconnect};
    return;
}

sub take {
    my ($self, $r) = @_;
    if (!defined $r->{status}) {
        return if $r->{raw} !~ s/\A(HTTP\/1.1 (\d+).*?\r\n)\r\n//s;
        $r->{status} = $2;
        my $head = $1;
        $r->{headers} = { map { /^([^:]+): (.*?)\r$/ ? (lc $1 => $2) : () } split /\n/, $head };
        $r->{opened}++;
    }
    if (($r->{headers}{'transfer-encoding'} // '') eq 'chunked') {
        while ($r->{raw} =~ /\A([0-9a-f]+)\r\n/i) {
            my ($size, $at) = (hex $1, $+[0]);
            last if length $r->{raw} < $at + $size + 2;
            $r->{last_chunk} = 1 if !$size;
            $r->{text} .= substr $r->{raw}, $at, $size;
            substr $r->{raw}, 0, $at + $size + 2, '';
        }
    } else {
        $r->{text} .= $r->{raw};
        $r->{raw} = '';
    }
    while ($r->{text} =~ s/\A(.*?)\n\n//s) {
        $self->block($r, $1);
    }
    return;
}

sub block {
    my ($self, $r, $block) = @_;
    my %f;
    for my $line (split /\n/, $block) {
        if ($line =~ /^:/) { $r->{comments}++; next }
        my ($name, $value) = $line =~ /^(\w+): ?(.*)$/ or die "no SSE: $line\n";
        $f{$name} = $value;
    }
    $r->{retry} = $f{retry} if defined $f{retry};
    $r->{id} = $f{id} if defined $f{id};
    return if !defined $f{data};
    my $data = JSON::PP::decode_json($f{data});
    my $e = { event => $f{event}, id => $f{id}, data => $data, at => time };
    push @{ $r->{events} }, $e;
    $r->{back} = $e->{at} if $r->{ended} && !$r->{back};
    $r->{state} = $data->{state} if $f{event} eq 'state';
    $r->{notice} = $data->{notice} if $f{event} eq 'notice';
    $r->{left} = { map { $_->{variant} => $_->{left} } @{ $data->{variants} } }
        if $f{event} eq 'stock';
    return;
}

sub close {
    my ($self) = @_;
    $self->{reconnect} = 0;
    $self->drop($_) for grep { $_->{sock} } $self->readers;
    return;
}

1;
