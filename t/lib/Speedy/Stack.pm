package Speedy::Stack;

# A whole stack of a system test: ./dev up in a directory of its own, the means
# to ask it, to break it and to judge it, and its orderly end.

use strict;
use warnings;
use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP ();
use Speedy::FaultProxy;
use Speedy::Load;
use Speedy::Redis;
use Speedy::Util qw(
    run_command read_file write_file temp_dir keep_temp_dir wait_for try_for
    scan_log alive repository free_port
);

=head1 SYNOPSIS

    use lib 't/lib';
    use Test::More;
    use Speedy::Stack;
    use Speedy::Util qw(wait_for);

    my $s = Speedy::Stack->up;
    my $sale = $s->new_sale(stock => 1000, limit => 1);
    my $load = $s->load(sale => $sale, shoppers => 300,
        arrival => 'steady:300', duration => '10s');
    wait_for { $load->answers(status => 202) > 50 } 20, 'orders';
    $s->kill_9('redis');
    my $sum = $load->finish(120);
    ok($s->settled($sale, 60), 'nothing is under way any more');
    $s->audit_ok($load->log);
    done_testing();

=head1 METHODS

=over

=item up(demo => 0, env => {NAME => VALUE}, seconds => 300)

C<SPEEDY_DEV_DIR=TMP SPEEDY_DEMO=0 ./dev up --detach>; dies with its words when
it fails. SPEEDY_BUILD is handed on. At the end of the test: C<./dev down>, the
search of every log (see C<complaints>), the directory removed, or kept and
named when the test has failed.

=item dir, env(), env('NAME'), url, ops_url

C<env> is read anew each time; without a name a hash.

=item dev(SECONDS, WORDS...), ctl(WORDS...), ctl_json(WORDS...), ctl_try(WORDS...)

C<ctl> returns the text that speedyctl printed and dies when it fails;
C<ctl_json> adds --json and decodes; C<ctl_try> returns (status, out, err).

=item sql(STATEMENT, VALUES...)

As the account that reads everything. Each C<?> takes a value, quoted. A list
of rows, each a list; in scalar context the first value of the first row.

=item sql_root(STATEMENT)

As MariaDB's root, by the socket (SET GLOBAL, KILL, SHUTDOWN).

=item redis(WORD, ...), redis_client

As the administrator: any command (FLUSHALL, DEBUG, CLIENT KILL).

=item pid(NAME), kill_9(NAME), signal(NAME, SIGNAL), stop(NAME), cont(NAME)

Names as in C<env> after PID_, in any case: redis, kafka, mariadb, nginx,
stockd_1. C<stop> and C<cont> are SIGSTOP and SIGCONT. C<workers> lists nginx's.

=item restarted(NAME, OLD_PID, SECONDS)

Waits for another living process of that name; its pid.

=item hold(NAME), unhold(NAME)

The supervisor does not start it again until C<unhold>.

=item new_sale(id =>, product =>, stock =>, limit =>, hold =>, 'opens-at' =>, ...)

Makes the product when it has none, makes the sale and waits until its gate is
there (C<wait> => 0: does not). Returns the sale's id. The other options are
those of C<speedyctl sale create>; C<price> is the product's.

=item token(USER, role => USER), tokens(FIRST, LAST)

A token; a file with a token a line for these user ids (kept for later calls).

=item load(sale => ID, shoppers => N, ...)

Speedy::Load->start with url, users and tokens filled in. C<first> is the first
user's id (1).

=item buy(SALE, user =>, key =>, variant => 'default', quantity => 1, url =>, headers =>)

One purchase. Returns {status, headers, json, code, order_id}.

=item http(METHOD, PATH, token =>, json =>, headers =>, url =>, timeout => 10)

HTTP::Tiny's answer with C<json> decoded where it is JSON, and its C<code>.

=item settled(SALE, SECONDS)

Waits until no order of the sale is pending in Redis, the gate is open or the
sale over, and every order of the ledger is in MySQL. False when it stays so.

=item audit(CLIENT_LOG, ...), audit_ok(CLIENT_LOG, ...)

speedyctl audit with these client logs: (status, text). C<audit_ok> is a test
of its own (Test::More) that waits up to 30 s for a clean audit.

=item proxy(NAME, ...)

Puts a faultproxy in front of redis, mysql and kafka (any of them) and returns
it (Speedy::FaultProxy; pairs have these names). The unix sockets are moved and
the proxy listens in their place; connections that stand are cut, so that all
goes through it. For Kafka the broker is restarted with a second listener, and
nginx and the daemons are pointed at the proxy. Redis and MariaDB, when they
are started again, take their socket back: C<proxy> once more after that. A
further call keeps what earlier ones named, and starts a new proxy in C<pass>.

=item edit(FILE, sub { ... })

Changes a file of etc/ ($_ is its text); C<reload> (nginx) or C<kill_9> applies.

=item reload

SIGHUP to nginx; waits until workers of the new configuration are there.

=item complaints

Lines of all logs with [alert], [emerg], C<open socket left> or a sanitizer's
report; C<allow(PATTERN, ...)> lets some pass.

=back

=cut

my $live;

sub up {
    my ($class, %o) = @_;
    my $self = bless {
        dir => temp_dir('stack'), root => repository(), allowed => [],
        env => { SPEEDY_DEMO => $o{demo} ? 1 : 0, %{ $o{env} // {} } },
    }, $class;
    $self->{env}{SPEEDY_DEV_DIR} = $self->{dir};
    $self->{up} = 1;
    $live = $self;
    Speedy::Util::at_end(sub { $self->end($_[0]) });
    my ($status, $out, $err) = $self->dev($o{seconds} // 300, 'up', '--detach');
    croak "./dev up failed ($status):\n$out$err" if $status;
    return $self;
}

sub dir { return $_[0]{dir} }

sub dev {
    my ($self, $seconds, @words) = @_;
    local @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} };
    return run_command($seconds, "$self->{root}/dev", @words);
}

sub env {
    my ($self, $name) = @_;
    my $text = read_file("$self->{dir}/env") // '';
    my %env = $text =~ /^(\w+)=(.*)$/mg;
    return defined $name ? $env{$name} : \%env;
}

sub url     { return $_[0]->env('SPEEDY_URL') }
sub ops_url { return $_[0]->env('SPEEDY_OPS_URL') }

# --- asking ---------------------------------------------------------------

sub ctl_try { my ($self, @words) = @_; return $self->dev(60, 'ctl', @words) }

sub ctl {
    my ($self, @words) = @_;
    my ($status, $out, $err) = $self->ctl_try(@words);
    croak "speedyctl @words: exit $status: $out$err" if $status;
    chomp $out;
    return $out;
}

sub ctl_json {
    my ($self, @words) = @_;
    return JSON::PP::decode_json($self->ctl(@words, '--json'));
}

sub secret {
    my ($path) = @_;
    my $text = read_file($path) // die "$path: $!\n";
    $text =~ s/\n\z//;
    return $text;
}

sub mysql_run {
    my ($self, $text, @options) = @_;
    my $file = write_file("$self->{dir}/run/test.sql", $text, 0600);
    my ($status, $out, $err) = run_command(60, 'mariadb', @options,
        '--batch', '--skip-column-names', '--default-character-set=utf8mb4',
        '-e', "source $file");
    croak "sql: $err" if $status;
    return map {
        [map { $_ eq 'NULL' ? undef : $_ } split /\t/, $_, -1]
    } split /\n/, $out;
}

sub sql {
    my ($self, $statement, @values) = @_;
    my $e = $self->env;
    $statement =~ s/\?/
        my $v = shift @values;
        defined $v ? "'" . $v =~ s{(['\\])}{\\$1}gr . "'" : 'NULL'
    /gex;
    my $conf = write_file("$self->{dir}/run/test.cnf", join('',
        "[client]\nuser=$e->{MYSQL_USER}\n",
        'password="' . secret($e->{MYSQL_PASSWORD_FILE}) . "\"\n",
        "socket=$e->{MYSQL_SOCKET}\n"), 0600);
    my @rows = $self->mysql_run($statement, "--defaults-file=$conf",
        $e->{MYSQL_DATABASE});
    return wantarray ? @rows : @rows ? $rows[0][0] : undef;
}

sub sql_root {
    my ($self, $statement) = @_;
    my $e = $self->env;
    my $socket = -e "$e->{MYSQL_SOCKET}.real" ? "$e->{MYSQL_SOCKET}.real"
                                              : $e->{MYSQL_SOCKET};
    my $admin = getpwuid $>;
    my @rows = $self->mysql_run($statement, '--no-defaults',
        "--socket=$socket", "--user=$admin", $e->{MYSQL_DATABASE});
    return wantarray ? @rows : @rows ? $rows[0][0] : undef;
}

# Past a proxy, and as `default`, who may do everything.
sub redis_client {
    my ($self) = @_;
    my $e = $self->env;
    return $self->{redis} ||= Speedy::Redis->client(
        "127.0.0.1:$e->{REDIS_PORT}",
        user => 'default', password => secret("$self->{dir}/secrets/redis-admin"));
}

sub redis {
    my ($self, @words) = @_;
    # The connection may be one of a server that is gone by now.
    my ($reply, $error) = $self->redis_client->try(@words);
    ($reply, $error) = $self->redis_client->try(@words)
        if $error && $error =~ /closed|send|reset/i;
    croak "redis @words: $error" if $error;
    return $reply;
}

# --- processes ------------------------------------------------------------

sub pid {
    my ($self, $name) = @_;
    my $pid = $self->env('PID_' . uc $name);
    return $pid && $pid > 0 ? $pid : undef;
}

sub signal {
    my ($self, $name, $signal) = @_;
    my $pid = $self->pid($name) // croak "no process $name";
    kill($signal, $pid) or croak "kill $signal $name ($pid): $!";
    return $pid;
}

sub kill_9 {
    my ($self, $name) = @_;
    my $pid = $self->signal($name, 'KILL');
    wait_for { return !alive($pid) } 10, "$name ($pid) to be gone";
    return $pid;
}

sub stop { my ($self, $name) = @_; return $self->signal($name, 'STOP') }
sub cont { my ($self, $name) = @_; return $self->signal($name, 'CONT') }

sub restarted {
    my ($self, $name, $old, $seconds) = @_;
    return wait_for {
        my $pid = $self->pid($name);
        return $pid && $pid != $old && alive($pid) ? $pid : 0;
    } $seconds // 10, "another $name than $old";
}

sub hold {
    my ($self, $name) = @_;
    write_file("$self->{dir}/run/hold-" . lc $name, '');
    return $self;
}

sub unhold {
    my ($self, $name) = @_;
    unlink "$self->{dir}/run/hold-" . lc $name;
    return $self;
}

sub workers {
    my ($self) = @_;
    my $master = $self->pid('nginx') or return;
    my $children = read_file("/proc/$master/task/$master/children") // '';
    return split ' ', $children;
}

sub reload {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->workers;
    $self->signal('nginx', 'HUP');
    wait_for { return grep { !$old{$_} } $self->workers } 10, 'new workers';
    return $self;
}

sub edit {
    my ($self, $file, $change) = @_;
    my $path = "$self->{dir}/etc/$file";
    local $_ = read_file($path) // croak "$path: $!";
    my $before = $_;
    $change->();
    croak "$path: nothing was changed" if $_ eq $before;
    my $mode = (stat $path)[2] & 07777;
    write_file("$path.new", $_, $mode);
    my @owner = (stat $path)[4, 5];
    chown @owner, "$path.new";
    rename "$path.new", $path or croak "$path: $!";
    return $self;
}

# --- sales and purchases --------------------------------------------------

my $serial = 0;

sub new_sale {
    my ($self, %o) = @_;
    my $id = delete $o{id} // sprintf 't%x-%d', $$, ++$serial;
    my $wait = delete $o{wait} // 1;
    my $price = delete $o{price} // 10000;
    my $product = delete $o{product};
    if (!defined $product) {
        $product = "p-$id";
        $self->ctl('product', 'add', '--id', $product, '--name', "Product $id",
            '--price', $price);
    }
    my %options = ('opens-at' => 'now', stock => 100, %o);
    $self->ctl('sale', 'create', '--id', $id, '--product', $product,
        map { ("--$_", $options{$_}) } sort keys %options);
    if ($wait) {
        wait_for { return $self->redis('EXISTS', "speedy:{$id}:gate") } 15,
            "the gate of sale $id";
    }
    return $id;
}

sub token {
    my ($self, $user, %o) = @_;
    return $self->ctl('token', '--user', $user, '--role', $o{role} // 'USER',
        defined $o{ttl} ? ('--ttl', $o{ttl}) : ());
}

sub tokens {
    my ($self, $first, $last) = @_;
    my $file = "$self->{dir}/tokens-$first-$last";
    if (!-s $file) {
        write_file($file,
            $self->ctl('token', '--users', "$first-$last", '--ttl', '2h') . "\n",
            0600);
    }
    return $file;
}

sub load {
    my ($self, %o) = @_;
    my $first = delete $o{first} // 1;
    my $n = $o{shoppers} // 100;
    my $last = $first + $n - 1;
    $o{tokens} //= $self->tokens($first, $last);
    return Speedy::Load->start(url => $self->url, shoppers => $n, %o);
}

sub http {
    my ($self, $method, $path, %o) = @_;
    my %headers = %{ $o{headers} // {} };
    $headers{Authorization} = "Bearer $o{token}" if defined $o{token};
    my $content = $o{content};
    if (defined $o{json}) {
        $content = JSON::PP->new->utf8->canonical->encode($o{json});
        $headers{'Content-Type'} //= 'application/json';
    }
    my $res = HTTP::Tiny->new(timeout => $o{timeout} // 10)->request(
        $method, ($o{url} // $self->url) . $path,
        { headers => \%headers, defined $content ? (content => $content) : () });
    $res->{json} = eval { JSON::PP::decode_json($res->{content}) }
        if ($res->{headers}{'content-type'} // '') =~ /json/;
    $res->{code} = $res->{json}{code} if ref $res->{json} eq 'HASH';
    return $res;
}

sub buy {
    my ($self, $sale, %o) = @_;
    my $user = $o{user} // 'u' . ++$serial;
    my $token = $o{token} // ($self->{tokens}{$user} //= $self->token($user));
    my $res = $self->http('POST', "/api/v1/sales/$sale/orders",
        token => $token, url => $o{url}, timeout => $o{timeout},
        headers => { 'Idempotency-Key' => $o{key} // 'k' . ++$serial . "-$$",
            %{ $o{headers} // {} } },
        json => { variant => $o{variant} // 'default',
            quantity => 0 + ($o{quantity} // 1) });
    $res->{order_id} = $res->{json}{order_id};
    return $res;
}

# --- judging --------------------------------------------------------------

sub settled {
    my ($self, $sale, $seconds) = @_;
    return try_for {
        return 0 if $self->redis('HLEN', "speedy:{$sale}:pend");
        return 0 if !$self->redis('EXISTS', "speedy:{$sale}:gate")
            && $self->redis('EXISTS', "speedy:{$sale}:resv");
        my $ledger = $self->redis('HKEYS', "speedy:{$sale}:resv");
        my @orders = grep { length == 16 } @$ledger;
        my $known = $self->sql(
            "SELECT COUNT(*) FROM orders WHERE sale_id = ? AND state IN
             ('PENDING_PAYMENT', 'PAY_READY', 'PAY_APPROVING', 'PAY_FAILED',
              'PAID', 'SHIPPED', 'DELIVERED', 'RETURN_REQUESTED',
              'RETURN_RECEIVED', 'REFUNDING', 'REFUND_STUCK')", $sale);
        return $known >= @orders;
    } $seconds // 30;
}

sub audit {
    my ($self, @logs) = @_;
    my ($status, $out, $err) = $self->dev(120, 'ctl', 'audit',
        map { ('--client-log', $_) } @logs);
    return ($status, $out . $err);
}

sub audit_ok {
    my ($self, @logs) = @_;
    require Test::More;
    my ($status, $text);
    try_for {
        ($status, $text) = $self->audit(@logs);
        return $status == 0;
    } 30;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::is($status, 0, 'the audit is clean')
        || Test::More::diag($text);
}

# --- faults ---------------------------------------------------------------

sub proxy {
    my ($self, @names) = @_;
    my $e = $self->env;
    my %pairs;
    # What goes through the proxy already stays with it.
    $self->{proxied}{$_} = 1 for @names;
    @names = sort keys %{ $self->{proxied} };
    $self->{proxy}->stop if $self->{proxy};

    my %socket = (redis => $e->{REDIS_SOCKET}, mysql => $e->{MYSQL_SOCKET});
    for my $name (grep { $socket{$_} } @names) {
        my $path = $socket{$name};
        my $real = "$path.real";
        # A second call finds our own socket in its place, unless the server
        # was started again and made a new one.
        my $ours = $self->{moved}{$name} && -e $real
            && !try_for { Speedy::Util::connect_to("unix:$path") } 0;
        rename $path, $real or croak "$path: $!" if !$ours;
        $self->{moved}{$name} = 1;
        $pairs{$name} = ["unix:$path", "unix:$real"];
    }
    if (grep { $_ eq 'kafka' } @names) {
        my $port = $self->{kafka_port} //= free_port();
        my $inner = $self->{kafka_inner} //= free_port();
        $pairs{kafka} = [$port, $inner];
        $self->kafka_listener($e->{KAFKA}, $port, $inner);
    }
    $self->{proxy} = Speedy::FaultProxy->start(%pairs);
    chmod 0777, $pairs{$_}[0] =~ s/^unix://r for grep { $socket{$_} } keys %pairs;
    $self->reconnect(\%pairs, $e->{KAFKA});
    return $self->{proxy};
}

# The broker's second listener, whose advertised port is the proxy's.
sub kafka_listener {
    my ($self, $broker, $port, $inner) = @_;
    return if $self->{kafka_moved};
    $self->edit('server.properties', sub {
        s/^(listeners=.*)$/$1,PROXIED:\/\/127.0.0.1:$inner/m;
        s/^(advertised\.listeners=.*)$/$1,PROXIED:\/\/127.0.0.1:$port/m;
        $_ .= "\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,"
            . "CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT\n"
            . "inter.broker.listener.name=PLAINTEXT\n";
    });
    my $old = $self->kill_9('kafka');
    $self->restarted('kafka', $old, 30);
    my ($own) = $broker =~ /(\d+)$/;
    wait_for {
        my ($status) = run_command(10, "$self->{root}/dev.d/kafka-admin",
            $own, 'ready');
        return $status == 0;
    } 60, 'Kafka with a second listener';
    return;
}

# Whatever stood before the proxy goes: it would pass beside it.
sub reconnect {
    my ($self, $pairs, $broker) = @_;
    if ($pairs->{kafka} && !$self->{kafka_moved}++) {
        my $port = $pairs->{kafka}[0];
        $self->edit($_, sub { s/\Q$broker\E/127.0.0.1:$port/g })
            for qw(nginx.conf speedy.conf);
        $self->reload;
    }
    $self->redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        if $pairs->{redis};
    if ($pairs->{mysql}) {
        for my $row ($self->sql_root(
            'SELECT id FROM information_schema.processlist
             WHERE user NOT IN ("root", "system user", "event_scheduler")
             AND id <> CONNECTION_ID()'))
        {
            eval { $self->sql_root("KILL $row->[0]") };
        }
    }
    if ($pairs->{kafka}) {
        for my $name (grep { /^PID_(?:STOCKD|ORDERD)/ } sort keys %{ $self->env }) {
            my $short = lc $name =~ s/^PID_//r;
            my $old = $self->signal($short, 'TERM');
            $self->restarted($short, $old, 20);
        }
    }
    return;
}

# --- the end --------------------------------------------------------------

sub allow { my ($self, @patterns) = @_; push @{ $self->{allowed} }, @patterns; return $self }

sub complaints {
    my ($self) = @_;
    my @bad;
    for my $log (sort glob("$self->{dir}/log/*")) {
        next if !-f $log;
        my $name = $log =~ s{.*/}{}r;
        push @bad, map { "$name: $_" } scan_log($log, @{ $self->{allowed} });
    }
    return @bad;
}

sub end {
    my ($self, $status) = @_;
    return if !delete $self->{up};
    # SIGSTOPped processes of a test that died must be able to stop.
    for my $name (grep { /^PID_/ } keys %{ $self->env }) {
        my $pid = $self->env($name);
        kill 'CONT', $pid if $pid && $pid =~ /^[1-9]\d*$/;
    }
    my ($down, $out, $err) = $self->dev(120, 'down');
    my @bad = $self->complaints;
    push @bad, "./dev down: exit $down: $out$err" if $down;
    print STDERR map { "# $_\n" } @bad;
    if (@bad || $status) {
        keep_temp_dir($self->{dir});
    }
    $? = 1 if @bad && !$status;
    return;
}

1;
