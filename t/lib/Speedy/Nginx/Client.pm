package Speedy::Nginx::Client;

# The client of the block runner: builds requests from sections, sends them in
# packets, reads responses by length, chunks or end of connection.

use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use IO::Select;
use Speedy::Util qw(connect_to nap);
use Time::HiRes qw(time);

sub parse_more_headers {
    my ($text) = @_;
    my $out = '';
    my $chunked;
    for my $line (split /\n+/, $text // '') {
        next if $line =~ /^\s*#/;
        my ($name, $value) = split /:\s*/, $line, 2;
        $value //= '';
        $value =~ s/\r$//;
        $chunked = 1 if lc $name eq 'transfer-encoding' && $value eq 'chunked';
        $out .= "$name: $value\r\n";
    }
    return ($out, $chunked);
}

# One request out of its text: request line, then the body.
sub build_request {
    my ($text, $more, $connection) = @_;
    my ($first, $body) = split /\n/, $text, 2;
    my ($headers, $chunked) = parse_more_headers($more);
    my ($method, $url, $version) = split ' ', $first // '';
    die "a request needs a request line\n" if !$method;
    $url     //= '/';
    $version //= 'HTTP/1.1';
    $body    //= '';
    $body =~ s/^\s+|\s+$//g if !$chunked;

    my $head = "$method $url $version\r\n";
    $head .= "Host: localhost\r\n" if $headers !~ /^Host:/mi;
    $head .= "Connection: $connection\r\n" if $headers !~ /^Connection/mi;
    $head .= $headers;
    if (!$chunked && length $body && $headers !~ /^Content-Length:/mi) {
        $head .= 'Content-Length: ' . length($body) . "\r\n";
    }
    return { bytes => "$head\r\n$body", method => $method };
}

# A request whose text is given in packets: built as a whole, then cut at the
# places where the packets end (what is added goes with its packet).
sub build_packets {
    my ($packets, $more, $connection) = @_;
    my @parts = map { ref $_ eq 'HASH' ? $_ : { value => $_ } } @$packets;
    my $text = join '', map { $_->{value} } @parts;
    my $req = build_request($text, $more, $connection);
    my $bytes = $req->{bytes};
    my @out;
    my $rest = 0;    # of the body, from its end

    for my $part (reverse @parts[ 1 .. $#parts ]) {
        my $n = length $part->{value};
        if ($part == $parts[-1]) {
            (my $trimmed = $part->{value}) =~ s/\s+$//;
            $n = length $trimmed if $bytes !~ /^Transfer-Encoding: chunked/mi;
        }
        $n = length $bytes if $n > length $bytes;
        unshift @out, { %$part, value => substr $bytes, length($bytes) - $n };
        substr($bytes, length($bytes) - $n) = '';
    }
    unshift @out, { %{ $parts[0] }, value => $bytes };
    return { packets => \@out, method => $req->{method} };
}

=head1 FUNCTIONS

=over

=item exchange(address => ..., packets => [...], methods => [...],
      timeout => SECONDS, abort => BOOL)

Sends the packets on one connection and reads as many responses as there are
methods. Returns a list of hashes: status, head (text), headers (lower-case
name => list), body, complete; and C<error> in the last when there is none.

=back

=cut

sub exchange {
    my (%o) = @_;
    my $sock = connect_to($o{address}) or return { error => "connect: $!" };
    my $end  = time + $o{timeout};
    my $in   = '';
    my $eof;

    $sock->blocking(0);
    binmode $sock;
    for my $packet (@{ $o{packets} }) {
        nap($packet->{delay_before}) if $packet->{delay_before};
        my $error = send_all($sock, $packet->{value}, $end, \$in, \$eof);
        last if $error;
    }

    my @responses;
    my @methods = @{ $o{methods} };
    while (@methods) {
        my $res = parse_response(\$in, $methods[0], $eof);
        if ($res) {
            shift @methods if $res->{status} >= 200;
            push @responses, $res if $res->{status} >= 200;
            next;
        }
        last if $eof;
        my $left = $end - time;
        if ($left <= 0) {
            push @responses, { error => 'timeout', rest => $in };
            last;
        }
        read_some($sock, $left, \$in, \$eof);
    }
    if (@methods && $eof) {
        push @responses, { error => 'closed', rest => $in };
    }
    if ($o{until_close}) {
        read_some($sock, $end - time, \$in, \$eof) while !$eof && time < $end;
    }
    close $sock;
    return @responses;
}

sub send_all {
    my ($sock, $bytes, $end, $in, $eof) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $sock, $bytes;
        if (defined $n) {
            substr($bytes, 0, $n) = '';
        } elsif ($! == EAGAIN) {
            return 'timeout' if time >= $end;
            # The server may answer before it has read everything.
            read_some($sock, 0, $in, $eof);
            IO::Select->new($sock)->can_write(0.1);
        } elsif ($! != EINTR) {
            return "send: $!";
        }
    }
    return;
}

sub read_some {
    my ($sock, $seconds, $in, $eof) = @_;
    return if !IO::Select->new($sock)->can_read($seconds > 0 ? $seconds : 0);
    my $n = sysread $sock, $$in, 65536, length $$in;
    return if !defined $n && ($! == EAGAIN || $! == EINTR);
    $$eof = 1 if !$n;
    return;
}

# Takes one whole response off the front of $$in, or returns nothing.
sub parse_response {
    my ($in, $method, $eof) = @_;
    $$in =~ /\A(.*?\r?\n)\r?\n/s or return;
    my ($head, $skip) = ($1, $+[0]);
    my ($status) = $head =~ m{\AHTTP/\d\.\d (\d+)} or return;
    my %headers;
    while ($head =~ /^([^:\r\n]+):[ \t]*(.*?)\r?$/mg) {
        push @{ $headers{ lc $1 } }, $2;
    }
    my $res = {
        status => $status, head => $head, headers => \%headers, body => '',
    };
    my $rest = substr $$in, $skip;

    if ($method eq 'HEAD' || $status =~ /^1|^204|^304/) {
        $$in = $rest;
    } elsif (($headers{'transfer-encoding'}[0] // '') =~ /chunked/i) {
        my $body = unchunk(\$rest) // return;
        $res->{body} = $body;
        $$in = $rest;
    } elsif (defined(my $n = $headers{'content-length'}[0])) {
        return if length $rest < $n && !$eof;
        $res->{cut} = 1 if length $rest < $n;
        $res->{body} = substr $rest, 0, $n, '';
        $$in = $rest;
    } else {
        return if !$eof;
        $res->{body} = $rest;
        $$in = '';
    }
    return $res;
}

sub unchunk {
    my ($rest) = @_;
    my $body   = '';
    my $text   = $$rest;
    while ($text =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r?\n//) {
        my $n = hex $1;
        if ($n == 0) {
            $text =~ s/\A(?:[^\r\n]+\r?\n)*\r?\n// or return;
            $$rest = $text;
            return $body;
        }
        return if length $text < $n + 2;
        $body .= substr $text, 0, $n, '';
        $text =~ s/\A\r?\n//;
    }
    return;
}

1;
