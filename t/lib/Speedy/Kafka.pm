package Speedy::Kafka;

# A private Kafka of a test: one KRaft node from the jars that ./dev up fetched.

use strict;
use warnings;
use Carp qw(croak);
use MIME::Base64 qw(encode_base64url);
use Speedy::Util qw(spawn stop_process alive wait_for temp_dir free_port
    write_file run_command repository read_file connect_to);

=head1 SYNOPSIS

    my $kafka = Speedy::Kafka->start(topics => { 'speedy.orders' => 4 });
    $kafka->brokers;                                   # 127.0.0.1:PORT
    my $kafka = Speedy::Kafka->start(proxied => $port);
    $kafka->proxy_target;    # a faultproxy listens on $port, forwards to this

=head1 METHODS

=over

=item libs()

The directory of the jars: SPEEDY_KAFKA_LIBS, else the newest
build/kafka/libs* (SPEEDY_CACHE_DIR/libs*). Dies with the remedy without.

=item start(topics => {NAME => PARTITIONS}, conf => [lines], heap => '256m',
      proxied => PORT)

Formats, starts, waits until the broker answers, makes the topics.
With C<proxied> there is a second listener, advertised as 127.0.0.1:PORT: who
bootstraps from PORT goes through the proxy for everything.

=item brokers, port, proxy_target, pid, dir, log

=item create_topic(NAME, PARTITIONS, KEY => VALUE...)

=item kill_9, stop, launch, restart, signal(NAME)

C<launch> starts it again on the same data; C<restart> is C<kill_9> and that.

=back

=cut

sub libs {
    return $ENV{SPEEDY_KAFKA_LIBS} if $ENV{SPEEDY_KAFKA_LIBS};
    my $cache = $ENV{SPEEDY_CACHE_DIR} || repository() . '/build/kafka';
    my ($dir) = sort { -M $a <=> -M $b }
        grep { -d && !/\.new$/ } glob "$cache/libs*";
    croak "no Kafka in $cache: run ./dev up once" if !$dir;
    return $dir;
}

sub java {
    my ($self) = @_;
    return (
        'java', '-Xms128m', "-Xmx$self->{heap}", '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1', '-cp', libs() . '/*'
    );
}

sub properties {
    my ($self, %o) = @_;
    my $controller = free_port();
    my $client     = "PLAINTEXT://127.0.0.1:$self->{port}";
    my @listen     = ($client, "CONTROLLER://127.0.0.1:$controller");
    my @advertise  = ($client);
    if ($o{proxied}) {
        push @listen,    "PROXIED://127.0.0.1:$self->{inner}";
        push @advertise, "PROXIED://127.0.0.1:$o{proxied}";
    }
    return (
        'process.roles=broker,controller',
        'node.id=1',
        'listeners=' . join(',', @listen),
        'advertised.listeners=' . join(',', @advertise),
        'listener.security.protocol.map='
            . join(',', map { "$_:PLAINTEXT" } qw(PLAINTEXT CONTROLLER PROXIED)),
        'inter.broker.listener.name=PLAINTEXT',
        'controller.listener.names=CONTROLLER',
        "controller.quorum.bootstrap.servers=127.0.0.1:$controller",
        "log.dirs=$self->{dir}/data",
        'auto.create.topics.enable=false',
        'offsets.topic.replication.factor=1',
        'offsets.topic.num.partitions=1',
        'transaction.state.log.replication.factor=1',
        'transaction.state.log.min.isr=1',
        'group.initial.rebalance.delay.ms=0',
        'broker.session.timeout.ms=3000',
        'broker.heartbeat.interval.ms=500',
        @{ $o{conf} // [] },
    );
}

sub start {
    my ($class, %o) = @_;
    my $dir  = temp_dir('kafka');
    my $self = bless {
        dir   => $dir,
        port  => free_port(),
        inner => free_port(),
        heap  => $o{heap} // '256m',
    }, $class;
    my $file = "$dir/server.properties";
    write_file($file, join '', map { "$_\n" } $self->properties(%o));

    # Kafka's tool takes an id that begins with a dash for an option.
    my $id = encode_base64url(join '', map { chr int rand 256 } 1 .. 16)
        =~ tr/-_/Aa/r;
    my ($status, $out, $err) = run_command(60, $self->java,
        'kafka.tools.StorageTool', 'format', '--standalone', '-t', $id,
        '-c', $file);
    croak "Kafka's storage was not formatted: $out$err" if $status;
    $self->launch;
    my $topics = $o{topics} // {};
    $self->create_topic($_, $topics->{$_}) for sort keys %$topics;
    return $self;
}

sub launch {
    my ($self) = @_;
    $self->{pid} = spawn(
        name   => 'kafka',
        stdout => "$self->{dir}/kafka.log",
        cmd => [$self->java, 'kafka.Kafka', "$self->{dir}/server.properties"],
    );
    wait_for {
        die "Kafka ended: see $self->{dir}/kafka.log\n"
            if !alive($self->{pid});
        return connect_to($self->{port}) && !$self->admin('ready');
    } 60, 'Kafka';
    return $self;
}

sub admin {
    my ($self, @words) = @_;
    my ($status, $out, $err) = run_command(20,
        repository() . '/dev.d/kafka-admin', $self->{port}, @words);
    $self->{said} = $out . $err;
    return $status;
}

sub create_topic {
    my ($self, $name, $partitions, @config) = @_;
    my @pairs;
    while (@config) { push @pairs, join '=', splice @config, 0, 2 }
    $self->admin('create', $name, $partitions, @pairs)
        and croak "topic $name: $self->{said}";
    wait_for { return !$self->admin('topic', $name) } 20, "leaders of $name";
    return;
}

sub brokers      { return "127.0.0.1:$_[0]{port}" }
sub port         { return $_[0]{port} }
sub proxy_target { return "127.0.0.1:$_[0]{inner}" }
sub pid          { return $_[0]{pid} }
sub dir          { return $_[0]{dir} }
sub log          { return read_file("$_[0]{dir}/kafka.log") }
sub signal  { my ($self, $signal) = @_; return kill $signal, $self->{pid} }
sub kill_9  { return stop_process($_[0]{pid}, 'KILL', 10) }
sub stop    { return stop_process($_[0]{pid}, 'TERM', 30) }
sub restart { my ($self) = @_; $self->kill_9; return $self->launch }

1;
