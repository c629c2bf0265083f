package Speedy::Nginx::Server;

# An nginx of a test: its directory, its configuration, its start and orderly
# end, and what its logs say.

use strict;
use warnings;
use Carp qw(croak);
use File::Path qw(make_path remove_tree);
use Speedy::Util
    qw(spawn stop_process alive reap wait_for try_for read_file write_file
    connect_to scan_log);

=head1 METHODS

=over

=item new(root => DIR, port => PORT, env => {...})

=item start($conf)

Writes and starts; dies with the messages when nginx does not listen in 10 s.

=item fails($conf)

Starts what must not start. True when nginx exits with an error within 10 s.

=item stop()

QUIT; returns the complaints: it had to be killed, or lines in its logs.

=item log_size(), log_since($size), pid(), running()

=back

=cut

sub new {
    my ($class, %o) = @_;
    my $self = bless { env => {}, allowed => [], %o }, $class;
    $self->{binary} = $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
    make_path("$self->{root}/$_") for qw(conf logs html);
    return $self;
}

# libasan must be the first library of nginx when the module was built with it.
sub sanitizer_env {
    my ($self, $conf) = @_;
    my ($so) = $conf =~ /^\s*load_module\s+(\S+);/m;
    return {} if !$so;
    my $asan = $self->{asan}{$so} //= do {
        my $elf = read_file($so) // '';
        index($elf, '__asan_init') >= 0 ? 1 : 0;
    };
    return {} if !$asan;
    chomp(my $lib = `gcc -print-file-name=libasan.so`);
    my $log = "log_path=$self->{root}/logs/asan";
    return {
        LD_PRELOAD    => $lib,
        ASAN_OPTIONS  => "detect_leaks=0:$log",
        UBSAN_OPTIONS => "print_stacktrace=1:$log",
    };
}

sub launch {
    my ($self, $conf) = @_;
    my $root = $self->{root};
    unlink glob "$root/logs/*";
    write_file("$root/conf/nginx.conf", $conf);
    return $self->{pid} = spawn(
        name => 'nginx',
        cmd  => [
            $self->{binary}, '-p', "$root/", '-c', "$root/conf/nginx.conf",
            '-e', "$root/logs/error.log",
        ],
        stdout => "$root/logs/stderr",
        env    => { %{ $self->{env} }, %{ $self->sanitizer_env($conf) } },
    );
}

sub start {
    my ($self, $conf) = @_;
    my $pid = $self->launch($conf);
    my $up  = try_for {
        return 1 if !alive($pid);
        -s "$self->{root}/logs/nginx.pid" && connect_to($self->{port});
    }
    10;
    if (!$up || !alive($pid)) {
        my $said = $self->messages;
        stop_process($pid, 'KILL', 5);
        delete $self->{pid};
        die "nginx does not start:\n$said\n";
    }
    $self->{conf}    = $conf;
    $self->{allowed} = [];
    return $self;
}

sub fails {
    my ($self, $conf) = @_;
    my $pid    = $self->launch($conf);
    my $status = reap($pid, 10);
    stop_process($pid, 'QUIT', 5) if !defined $status;
    delete $self->{pid};
    delete $self->{conf};
    return defined $status && $status != 0;
}

# What is told before the error log is open goes to stderr only.
sub messages {
    my ($self) = @_;
    return join '', map { read_file("$self->{root}/logs/$_") // '' }
        qw(error.log stderr);
}

sub running {
    my ($self, $conf) = @_;
    return $self->{pid} && $self->{conf} eq $conf && alive($self->{pid});
}

sub pid { return $_[0]{pid} }

sub allow { my ($self, @p) = @_; push @{ $self->{allowed} }, @p; return }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my @bad;
    if (!alive($pid)) {
        my $status = reap($pid, 0) // 'unknown';
        push @bad, "nginx had ended by itself (status $status)";
    } elsif (!stop_process($pid, 'QUIT', 10)) {
        push @bad, 'nginx did not quit within 10 s and was killed';
    }
    delete $self->{conf};
    push @bad, map { scan_log($_, @{ $self->{allowed} }) }
        glob "$self->{root}/logs/*";
    return @bad;
}

sub log_size { return -s "$_[0]{root}/logs/error.log" || 0 }

sub log_since {
    my ($self, $size) = @_;
    return read_file("$self->{root}/logs/error.log", $size) // '';
}

1;
