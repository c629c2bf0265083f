package Speedy::Redis;

# A private redis-server of a test, without persistence, and a small client.

use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use Speedy::Util qw(spawn stop_process alive wait_for temp_dir free_port
    write_file connect_to scan_log read_file);
use Time::HiRes qw(time);

=head1 SYNOPSIS

    my $redis = Speedy::Redis->start;              # default account, no password
    my $redis = Speedy::Redis->start(acl => ['user speedy on >secret ~speedy:* +@all']);
    $redis->socket; $redis->port; $redis->pid;
    $redis->cmd('SET', 'k', 'v');                  # dies on an error reply
    $redis->try('INCR', 'k');                      # (value, error)
    $redis->kill_9; $redis->restart;               # empty again, same addresses
    $redis->signal('STOP'); $redis->stop;

    my $c = Speedy::Redis->client("unix:$path", user => 'u', password => 'p');

=head1 METHODS

=over

=item start(acl => [lines], conf => [lines], binary => 'redis-server')

A server on a free port of 127.0.0.1 and on a unix socket, in a directory of
its own; waits until it answers. C<acl> lines go into an aclfile; leave
C<user default on nopass ~* &* +@all> in it, for this client uses it.

=item socket, port, pid, dir, log

=item cmd(WORD, ...), try(WORD, ...)

One command. An array reply is a reference, nil undef, integers are numbers,
status replies text. C<cmd> dies with an error reply; C<try> returns it second.

=item pipeline([WORD, ...], ...)

All at once; a list of replies, an error is a reference to its text.

=item kill_9, stop, restart, signal(NAME)

=item client(ADDRESS, user => , password => , timeout => 5)

Only the client, to any server.

=back

=cut

sub start {
    my ($class, %o) = @_;
    my $dir = temp_dir('redis');
    my $self = bless {
        dir => $dir, port => free_port(), socket_path => "$dir/redis.sock",
        binary => $o{binary} // 'redis-server', timeout => 5,
    }, $class;
    $self->{address} = "unix:$self->{socket_path}";
    my @conf = (
        'bind 127.0.0.1', "port $self->{port}", "unixsocket $dir/redis.sock",
        "dir $dir", 'save ""', 'appendonly no', 'maxmemory-policy noeviction',
        'lazyfree-lazy-server-del yes', 'databases 1', 'daemonize no',
        'enable-debug-command local', "logfile $dir/redis.log",
        @{ $o{conf} // [] },
    );
    if ($o{acl}) {
        write_file("$dir/acl", join '', map { "$_\n" } @{ $o{acl} });
        push @conf, "aclfile $dir/acl";
    }
    write_file("$dir/redis.conf", join '', map { "$_\n" } @conf);
    return $self->launch;
}

sub launch {
    my ($self) = @_;
    delete $self->{sock};
    $self->{pid} = spawn(
        name => 'redis', cmd => [$self->{binary}, "$self->{dir}/redis.conf"],
        stdout => "$self->{dir}/stdout");
    wait_for {
        die "redis-server ended: see $self->{dir}\n" if !alive($self->{pid});
        return $self->cmd('PING') eq 'PONG';
    } 10, 'redis-server';
    return $self;
}

sub client {
    my ($class, $address, %o) = @_;
    return bless { timeout => 5, %o, address => $address }, $class;
}

sub socket { return $_[0]{socket_path} }
sub port   { return $_[0]{port} }
sub pid    { return $_[0]{pid} }
sub dir    { return $_[0]{dir} }
sub log    { return read_file("$_[0]{dir}/redis.log") }

sub signal {
    my ($self, $signal) = @_;
    return kill $signal, $self->{pid};
}

sub kill_9 {
    my ($self) = @_;
    delete $self->{sock};
    return stop_process($self->{pid}, 'KILL', 5);
}

sub stop {
    my ($self) = @_;
    delete $self->{sock};
    return stop_process($self->{pid}, 'TERM', 5);
}

sub restart {
    my ($self) = @_;
    $self->kill_9;
    return $self->launch;
}

sub connection {
    my ($self) = @_;
    return $self->{sock} if $self->{sock};
    my $s = connect_to($self->{address}) or die "redis $self->{address}: $!\n";
    binmode $s;
    $self->{sock} = $s;
    $self->{in}   = '';
    if (defined $self->{password}) {
        $self->cmd('AUTH', $self->{user} // 'default', $self->{password});
    }
    return $s;
}

sub encode {
    return join '', map {
        my $words = $_;
        "*@{[scalar @$words]}\r\n",
            map { my $w = "$_"; utf8::encode($w) if utf8::is_utf8($w);
                '$' . length($w) . "\r\n$w\r\n" } @$words;
    } @_;
}

sub pipeline {
    my ($self, @commands) = @_;
    my $sock = $self->connection;
    $self->{end} = time + $self->{timeout};
    my @replies;
    my $ok = eval {
        local $SIG{PIPE} = 'IGNORE';
        print {$sock} encode(@commands) or die "redis: send: $!\n";
        $sock->flush;
        @replies = map { $self->reply } @commands;
        1;
    };
    if (!$ok) {
        my $error = $@;
        delete $self->{sock};    # its answers would be somebody else's
        die $error;
    }
    return @replies;
}

sub try {
    my ($self, @words) = @_;
    my ($reply) = eval { $self->pipeline([@words]) };
    return (undef, "$@") if $@;
    return ref $reply eq 'SCALAR' ? (undef, $$reply) : ($reply, undef);
}

sub cmd {
    my ($self, @words) = @_;
    my ($reply) = $self->pipeline([@words]);
    croak "redis: $words[0]: $$reply" if ref $reply eq 'SCALAR';
    return $reply;
}

sub more {
    my ($self) = @_;
    my $left = $self->{end} - time;
    die "redis: no answer in $self->{timeout} s\n"
        if $left <= 0 || !IO::Select->new($self->{sock})->can_read($left);
    my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
    die "redis: connection closed\n" if !$n;
    return;
}

sub line {
    my ($self) = @_;
    $self->more while $self->{in} !~ /\r\n/;
    $self->{in} =~ s/\A(.*?)\r\n//s;
    return $1;
}

sub reply {
    my ($self) = @_;
    my ($type, $rest) = $self->line =~ /\A(.)(.*)\z/s;
    return $rest         if $type eq '+';
    return \(my $e = $rest) if $type eq '-';
    return 0 + $rest     if $type eq ':';
    return undef         if $rest < 0;
    return [map { $self->reply } 1 .. $rest] if $type eq '*';
    $self->more while length $self->{in} < $rest + 2;
    my $value = substr $self->{in}, 0, $rest + 2, '';
    return substr $value, 0, $rest;
}

1;
