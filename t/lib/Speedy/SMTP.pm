package Speedy::SMTP;

# A scripted mail server: answers each mail as the test says, and keeps a
# record of what it was told. It wants STARTTLS and a login, as real ones do.

use strict;
use warnings;
use Carp qw(croak);
use Fcntl qw(:flock);
use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP ();
use Speedy::Util qw(free_port nap read_file temp_dir write_file);
use Time::HiRes qw(sleep time);

=head1 SYNOPSIS

    my $smtp = Speedy::SMTP->new(cert => FILE, key => FILE);
    $smtp->start;
    $smtp->script('a@example.com', 'rcpt 450 4.2.1', 'ok');
    $smtp->mode('auth 535 5.7.8');
    ...
    my @seen = $smtp->seen(rcpt => 'a@example.com');

=head1 METHODS

=over

=item new(cert => FILE, key => FILE, port => N), port

=item start, stop

Listens; does not listen. What was recorded stays.

=item script(ADDRESS, ACTIONS...)

What happens to the mails to this address, one after the other; the last one
stays. Without a script: C<ok>. Actions: C<ok>, C<rcpt CODE TEXT> and C<body
CODE TEXT> (a refusal at that point), C<drop> (the mail is read to its end, then
the connection is closed), C<stall> (the same, but nothing is said), C<hold
SECONDS> (taken, but said so later), C<mute> (the address is never answered).

=item mode(TEXT)

Of every connection: C<greet CODE TEXT>, C<auth CODE TEXT>, C<notls> (STARTTLS
is not offered), C<forged> (C<forged_cert> and C<forged_key> are shown), or ""
(none).

=item seen(KEY => VALUE, ...)

The records with these values, each a hash: C<time>, C<connection>, C<event>
(connect, login, taken, refused, dropped, stalled, muted), C<rcpt>,
C<message_id>, C<said>. C<taken> stands for a mail that a reader would find.

=back

=cut

sub new {
    my ($class, %o) = @_;
    my $dir = temp_dir('smtp');
    mkdir "$dir/script" or croak "$dir/script: $!";
    write_file("$dir/mode", '');
    write_file("$dir/log", '');
    return bless { %o, dir => $dir, port => $o{port} // free_port() }, $class;
}

sub port { return $_[0]{port} }

sub start {
    my ($self) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 50, ReuseAddr => 1)
        or croak "port $self->{port}: $!";
    my $parent = $$;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{CHLD} = 'IGNORE';
        setpgrp 0, 0;
        $self->serve($listener, $parent);
        POSIX::_exit(0);
    }
    close $listener;
    $self->{pid} = $pid;
    Speedy::Util::at_end(sub { $self->stop });
    return $self;
}

# With its connections.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'KILL', -$pid or kill 'KILL', $pid;
    local $?;
    waitpid $pid, 0;
    return;
}

sub script {
    my ($self, $address, @actions) = @_;
    write_file("$self->{dir}/script/$address", join "\n", @actions);
    return;
}

sub mode {
    my ($self, $mode) = @_;
    write_file("$self->{dir}/mode.new", $mode);
    rename "$self->{dir}/mode.new", "$self->{dir}/mode";
    return;
}

sub seen {
    my ($self, %want) = @_;
    my @all;
    for my $line (split /\n/, read_file("$self->{dir}/log") // '') {
        my $r = JSON::PP::decode_json($line);
        push @all, $r
            if !grep { ($r->{$_} // '') ne $want{$_} } keys %want;
    }
    return @all;
}

# --- the server's process ---------------------------------------------------

sub serve {
    my ($self, $listener, $parent) = @_;
    my $n = 0;
    while (1) {
        my $in = '';
        vec($in, fileno $listener, 1) = 1;
        return if getppid() != $parent;
        next if select($in, undef, undef, 1) <= 0;
        my $client = $listener->accept or next;
        $n++;
        next if fork;
        close $listener;
        local $SIG{ALRM} = 'DEFAULT';
        alarm 300;
        $self->{connection} = "$$-$n";
        eval { $self->talk($client) };
        POSIX::_exit(0);
    }
}

sub note {
    my ($self, $event, %more) = @_;
    open my $fh, '>>', "$self->{dir}/log" or die;
    flock $fh, LOCK_EX;
    print {$fh} JSON::PP->new->canonical->encode({ time => time,
        connection => $self->{connection}, event => $event, %more }), "\n";
    close $fh;
    return;
}

# The first action is used up unless it is the last one.
sub action {
    my ($self, $address) = @_;
    my $file = "$self->{dir}/script/$address";
    open my $fh, '+<', $file or return 'ok';
    flock $fh, LOCK_EX;
    my @lines = map { chomp; $_ } <$fh>;
    my $first = @lines > 1 ? shift @lines : $lines[0];
    seek $fh, 0, 0;
    truncate $fh, 0;
    print {$fh} join "\n", @lines;
    close $fh;
    return $first // 'ok';
}

sub say_line {
    my ($self, $text) = @_;
    my $s = $self->{socket};
    print {$s} "$text\r\n";
    $s->flush;
    return;
}

sub talk {
    my ($self, $client) = @_;
    my ($what, $reply) = split / /, read_file("$self->{dir}/mode") // '', 2;
    $self->{socket} = $client;
    $client->autoflush(1);
    $self->note('connect');
    if (($what // '') eq 'greet') {
        $self->say_line($reply);
        return;
    }
    $self->say_line('220 localhost ESMTP');
    while (defined(my $line = readline $self->{socket})) {
        $line =~ s/\r?\n\z//;
        my ($verb) = $line =~ /^(\w+)/;
        my $do = $self->can('on_' . lc($verb // ''));
        if (!$do) {
            $self->say_line('502 5.5.1 no');
            next;
        }
        $self->$do($line) or last;
    }
    return;
}

sub on_ehlo {
    my ($self) = @_;
    if ((read_file("$self->{dir}/mode") // '') eq 'notls') {
        $self->say_line('250 localhost');
        return 1;
    }
    $self->say_line($self->{tls}
        ? "250-localhost\r\n250-AUTH PLAIN LOGIN\r\n250-SIZE 1000000\r\n250 ENHANCEDSTATUSCODES"
        : "250-localhost\r\n250 STARTTLS");
    return 1;
}

sub on_starttls {
    my ($self) = @_;
    my $forged = (read_file("$self->{dir}/mode") // '') eq 'forged'
        ? 'forged_' : '';
    $self->say_line('220 2.0.0 go');
    $self->{socket} = IO::Socket::SSL->start_SSL($self->{socket},
        SSL_server => 1, SSL_cert_file => $self->{"${forged}cert"},
        SSL_key_file => $self->{"${forged}key"}) or return 0;
    $self->{socket}->autoflush(1);
    $self->{tls} = 1;
    return 1;
}

sub on_auth {
    my ($self, $line) = @_;
    my ($what, $reply) = split / /, read_file("$self->{dir}/mode") // '', 2;
    if ($line =~ /^AUTH PLAIN$/i) {
        $self->say_line('334 ');
        readline $self->{socket};
    }
    if (($what // '') eq 'auth') {
        $self->note('refused', said => $reply);
        $self->say_line($reply);
        return 1;
    }
    $self->note('login');
    $self->say_line('235 2.7.0 welcome');
    $self->{login} = 1;
    return 1;
}

sub on_mail {
    my ($self) = @_;
    $self->say_line($self->{login} ? '250 2.1.0 well' : '530 5.7.0 login first');
    return 1;
}

# A refusal of this mail at this point?
sub refuse {
    my ($self, $where) = @_;
    return 0 if $self->{action} !~ /^$where (.+)/;
    $self->note('refused', said => $1, rcpt => $self->{rcpt},
        message_id => $self->{message_id});
    $self->say_line($1);
    return 1;
}

sub on_rcpt {
    my ($self, $line) = @_;
    ($self->{rcpt}) = $line =~ /<([^>]*)>/;
    $self->{message_id} = undef;
    $self->{action} = $self->action($self->{rcpt});
    return 1 if $self->refuse('rcpt');
    if ($self->{action} eq 'mute') {
        $self->note('muted', rcpt => $self->{rcpt});
        nap(600);
    }
    $self->say_line('250 2.1.5 well');
    return 1;
}

sub on_data {
    my ($self) = @_;
    $self->say_line('354 go on');
    my $text = '';
    while (1) {
        my $line = readline $self->{socket};
        return 0 if !defined $line;
        last if $line eq ".\r\n";
        $text .= $line =~ s/^\.//r;
    }
    my ($id) = $text =~ /^Message-ID: <([^>]+)>/m;
    $self->{message_id} = $id;
    return 1 if $self->refuse('body');
    my %mail = (rcpt => $self->{rcpt}, message_id => $id);
    if ($self->{action} eq 'drop') {
        $self->note('dropped', %mail);
        $self->{socket}->close;
        return 0;
    }
    if ($self->{action} eq 'stall') {
        $self->note('stalled', %mail);
        nap(600);
    }
    $self->note('taken', %mail);
    sleep $1 if $self->{action} =~ /^hold ([\d.]+)/;
    $self->say_line('250 2.0.0 taken');
    return 1;
}

sub on_quit { my ($self) = @_; $self->say_line('221 2.0.0 bye'); return 0 }
sub on_rset { my ($self) = @_; $self->say_line('250 2.0.0 well'); return 1 }

1;
