package Speedy::FaultProxy;

# A faultproxy of a test and the line to its control socket.

use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::UNIX;
use JSON::PP ();
use Speedy::Util
    qw(spawn stop_process alive wait_for temp_dir build_file read_file);

=head1 SYNOPSIS

    my $proxy = Speedy::FaultProxy->start(
        redis => ["unix:$dir/proxy.sock", "unix:$real"],
        kafka => ["127.0.0.1:$p", $kafka->proxy_target]);
    $proxy->set('drop_reply 1 match EVALSHA redis');
    $proxy->set('drop_reply all match kafka:0 kafka');   # Produce
    $proxy->set('pass');
    wait_for { $proxy->stats->{redis}{dropped} } 10, 'a cut';

=head1 METHODS

=over

=item start(NAME => [LISTEN, TO], ...)

Addresses are HOST:PORT, PORT or unix:PATH.

=item set("MODE [arguments] [NAME]")

Dies with the proxy's words when it refuses. The modes are told at the head of
t/faultproxy/main.c.

=item stats

{NAME => {mode, left, open, total, up, down, dropped}}

=item stop, pid

=back

=cut

sub start {
    my ($class, %pairs) = @_;
    my $dir = temp_dir('proxy');
    my @args;
    for my $name (sort keys %pairs) {
        push @args, '--pair', "$name=$pairs{$name}[0],$pairs{$name}[1]";
    }
    my $self = bless { dir => $dir, control => "$dir/control" }, $class;
    my @cmd = (build_file('bin/faultproxy'), '--control', "unix:$dir/control");
    $self->{pid} = spawn(
        name => 'faultproxy', stdout => "$dir/log", cmd => [@cmd, @args]);
    wait_for {
        die 'faultproxy ended: ' . (read_file("$dir/log") // '')
            if !alive($self->{pid});
        return $self->stats;
    } 5, 'faultproxy';
    return $self;
}

sub ask {
    my ($self, $line) = @_;
    my $s = IO::Socket::UNIX->new(Peer => $self->{control})
        or die "faultproxy: $!\n";
    print {$s} "$line\n";
    local $SIG{ALRM} = sub { die "faultproxy: no answer\n" };
    alarm 5;
    my $answer = <$s> // '';
    alarm 0;
    chomp $answer;
    return $answer;
}

sub set {
    my ($self, $line) = @_;
    my $answer = $self->ask($line);
    croak "faultproxy: $line: $answer" if $answer ne 'ok';
    return $self;
}

sub stats {
    my ($self) = @_;
    my $answer = $self->ask('stats');
    $answer =~ s/^ok // or croak "faultproxy: stats: $answer";
    return JSON::PP::decode_json($answer);
}

sub pid  { return $_[0]{pid} }
sub stop { return stop_process($_[0]{pid}, 'TERM', 5) }

1;
