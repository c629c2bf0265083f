package Speedy::Module;

# What the module's HTTP tests share: a real Redis and a real Kafka behind it,
# a configuration that uses them, and sales put into Redis by hand, as stockd
# would write them.

use strict;
use warnings;
use Exporter qw(import);
use Speedy::Kafka;
use Speedy::Redis;
use Speedy::Token ();
use HTTP::Tiny;
use JSON::PP ();
use Speedy::Util qw(temp_dir write_file build_dir build_file free_port spawn
    stop_process wait_for connect_to scan_log read_file);

our @EXPORT_OK = qw(gateway redis kafka sale forget_sale bearer run_id
    gateway_http gateway_config keys_dir buy redis_now user_units
    nginx_start nginx_stop nginx_log purchase metric freeze);

=head1 SYNOPSIS

    use Speedy::Module qw(gateway sale bearer buy gateway_http);
    gateway();                                # before `use Speedy::Nginx`'s run
    sale('s1', stock => { default => 5 }, limit => 2);
    buy('s1', user => 'u1', key => 'k1')      # text for `--- more_headers`

=head1 FUNCTIONS

=over

=item gateway(kafka => 1, redis_conf => [])

Starts both, makes the keys; redis() and kafka() are the servers.

=item gateway_http(%directives)

The http part of the configuration; a directive's name without C<speedy_> to
its value replaces or adds one, undef takes it away.

=item gateway_config()

A server's part: the purchase, live stock, /me (who am I), /metrics.

=item sale($id, stock => {VARIANT => LEFT}, state, opens_at, closes_at, limit,
      hold_ms, epoch, price, held, notice, log => [users], gate => 0,
      listed => 'live')

=item bearer(%options of Speedy::Token::token), buy($sale, user, key, ...)

Header lines.

=item nginx_start(http => {directives}, config => TEXT, workers => 1,
      listen => parameters)

An nginx of the test's own, for tests that break what is behind it; returns a
handle {port, pid, dir}. nginx_stop($n, SIGNAL) ends it (QUIT) and returns the
lines of its log that must not be there; nginx_log($n) is the whole log.

=item purchase($n, $sale, user => , key => , quantity => , variant => ,
      headers => {})

One purchase; {status, headers, code, order_id, ... of the body}.

=item freeze($server)

SIGSTOP to redis() or kafka(), and the wait until each thread of it stands.

=item metric($n, $name)

A number of /metrics, by the name with its labels.

=back

=cut

my ($redis, $kafka, $dir);
my $key = 'k' x 40;

sub redis    { return $redis }
sub kafka    { return $kafka }
sub keys_dir { return $dir }

sub gateway {
    my (%o) = @_;
    $dir = temp_dir('keys');
    write_file("$dir/current",  $key,     0400);
    write_file("$dir/previous", 'p' x 40, 0400);
    write_file("$dir/oldest",   'o' x 40, 0400);
    write_file("$dir/password", "secret\n", 0400);
    $redis = Speedy::Redis->start(
        conf => $o{redis_conf},
        acl  => [
            'user default on nopass ~* &* +@all',
            'user speedy on >secret ~speedy:* resetchannels -@all +info +time'
                . ' +eval +evalsha +script|load +exists +hget +hset +hmget'
                . ' +hgetall +hdel +hexists +hincrby +rpush +llen +lrange'
                . ' +get +zcard +zrange',
        ],
    );
    if ($o{kafka} // 1) {
        $kafka = Speedy::Kafka->start(topics => { 'speedy.orders' => 2 });
    }
    return;
}

sub gateway_http {
    my (%o) = @_;
    my $brokers = $kafka ? $kafka->brokers : '127.0.0.1:1';
    my %all = (
        zone                => 'speedy=4m',
        redis               => 'unix:' . $redis->socket,
        redis_user          => 'speedy',
        redis_password_file => "$dir/password",
        kafka               => $brokers,
        jwt_key             => "k1 HS256 $dir/current",
        sessions            => 'off',
        %o,
    );
    my $text = '';
    for my $name (sort keys %all) {
        next if !defined $all{$name};
        my @values = ref $all{$name} ? @{ $all{$name} } : $all{$name};
        $text .= "    speedy_$name $_;\n" for @values;
    }
    return $text . <<'CONF';
    log_format told '$status $speedy_code $speedy_user $speedy_role $speedy_order_id';
    access_log logs/told.log told;
CONF
}

sub gateway_config {
    return <<'CONF';
        speedy_auth user;
        location ~ ^/api/v1/sales/[^/]+/orders$ {
            client_max_body_size 4k;
            speedy_purchase;
        }
        location = /me {
            if ($speedy_user) { add_header X-Seen 1; }
            proxy_set_header X-Speedy-User $speedy_user;
            proxy_set_header X-Speedy-Role $speedy_role;
            proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
        }
        location = /echo {
            speedy_auth off;
            return 200 "user=$http_x_speedy_user role=$http_x_speedy_role\n";
        }
        location ~ ^/api/v1/sales/[^/]+/stock$ {
            speedy_auth off;
            speedy_stock;
        }
        location ~ ^/api/v1/sales/[^/]+/stock/stream$ {
            speedy_auth off;
            speedy_stock_stream;
        }
        location = /metrics { speedy_auth off; speedy_status; }
CONF
}

sub run_id {
    my ($id) = $redis->cmd('INFO', 'server') =~ /run_id:(\w+)/;
    return $id;
}

sub redis_now {
    my $t = $redis->cmd('TIME');
    return $t->[0] * 1000 + int($t->[1] / 1000);
}

sub sale {
    my ($id, %o) = @_;
    my $now   = redis_now();
    my $stock = $o{stock} // { default => 10 };
    my $k     = sub { "speedy:{$id}:$_[0]" };
    my $run   = run_id();
    $redis->cmd('DEL', map { $k->($_) } qw(gate stock resv user pend log));
    $redis->cmd('HSET', 'speedy:sales', ':complete', $o{complete} // $run,
        $id, $o{listed} // 'live');
    $redis->cmd('HDEL', 'speedy:sales', $id)
        if exists $o{listed} && !defined $o{listed};
    $redis->cmd('HSET', $k->('stock'), %$stock);
    my @gate = (
        run_id => $run, epoch => $o{epoch} // 1, state => $o{state} // 'ACTIVE',
        opens_at  => $o{opens_at}  // $now - 1000,
        closes_at => $o{closes_at} // 0,
        limit     => $o{limit}     // 1,
        hold_ms   => $o{hold_ms}   // 600_000,
        seq_base  => $o{seq_base}  // 0,
        notice    => $o{notice}    // '',
        (map { ("price:$_" => $o{price} // 1000, "held:$_" => $o{held} // 0) }
            keys %$stock),
    );
    $redis->cmd('HSET', $k->('gate'), @gate) if $o{gate} // 1;
    $redis->cmd('RPUSH', $k->('log'), @{ $o{log} }) if $o{log};
    return;
}

sub forget_sale {
    my ($id) = @_;
    $redis->cmd('DEL', map {"speedy:{$id}:$_"} qw(gate stock resv user pend log));
    $redis->cmd('HDEL', 'speedy:sales', $id);
    return;
}

sub user_units {
    my ($id, $user) = @_;
    my $packed = $redis->cmd('HGET', "speedy:{$id}:user", $user) // return 0;
    return unpack 'N', $packed;
}

sub nginx_start {
    my (%o) = @_;
    my $n = { dir => temp_dir('nginx'), port => free_port() };
    mkdir "$n->{dir}/$_" for qw(logs temp);
    my $config = $o{config} // gateway_config();
    $config =~ s/\$TEST_NGINX_SERVER_PORT/$n->{port}/g;
    my $user = $> == 0 ? 'user root;' : '';
    my $temp = join ' ', map { "${_}_temp_path temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $http = gateway_http(%{ $o{http} // {} });
    write_file("$n->{dir}/nginx.conf", <<"CONF");
daemon off; $user worker_processes @{[$o{workers} // 1]};
worker_shutdown_timeout 8s;
error_log logs/error.log info; pid logs/nginx.pid;
load_module @{[build_file('ngx_http_speedy_module.so')]};
events { worker_connections 1024; }
http {
    $temp
$http
    server {
        listen 127.0.0.1:$n->{port} @{[$o{listen} // ""]} backlog=1024;
$config
    }
}
CONF
    my %env = %{ $o{env} // {} };
    my $nm = `nm -D @{[build_file('ngx_http_speedy_module.so')]} 2>/dev/null`;
    if ($nm =~ /__asan_init/) {
        chomp($env{LD_PRELOAD} = `gcc -print-file-name=libasan.so`);
        $env{ASAN_OPTIONS} = "detect_leaks=0:log_path=$n->{dir}/logs/asan";
    }
    $n->{pid} = spawn(
        name => 'nginx', env => \%env, stdout => "$n->{dir}/logs/out",
        cmd  => ['/usr/sbin/nginx', '-p', $n->{dir}, '-e', 'logs/error.log',
            '-c', 'nginx.conf'],
    );
    wait_for { connect_to($n->{port}) } 15, "nginx in $n->{dir}";
    return $n;
}

sub nginx_log { return read_file("$_[0]{dir}/logs/error.log") // '' }

sub nginx_stop {
    my ($n, $signal) = @_;
    my $orderly = stop_process($n->{pid}, $signal // 'QUIT', 15);
    return (
        ($orderly ? () : 'nginx did not end in time'),
        scan_log("$n->{dir}/logs/error.log"),
        map { "$_: " . read_file($_) } glob "$n->{dir}/logs/asan*",
    );
}

sub freeze {
    my ($server) = @_;
    $server->signal('STOP');
    my $pid = $server->pid;
    wait_for {
        for my $file (glob "/proc/$pid/task/*/stat") {
            my $stat = read_file($file) // next;
            return 0 if $stat !~ /\) T /;
        }
        return 1;
    } 5, 'every thread to stop';
    return;
}

sub purchase {
    my ($n, $sale, %o) = @_;
    my $http = HTTP::Tiny->new(timeout => $o{timeout} // 10, keep_alive => 0);
    my ($token) = bearer(sub => $o{user} // 'u1') =~ /: (.*)/;
    my $r = $http->post(
        "http://127.0.0.1:$n->{port}/api/v1/sales/$sale/orders", {
            headers => {
                'Content-Type'    => 'application/json',
                'Idempotency-Key' => $o{key} // 'k1',
                Authorization     => $token,
                %{ $o{headers} // {} },
            },
            content => sprintf('{"variant":"%s","quantity":%d}',
                $o{variant} // 'default', $o{quantity} // 1),
        });
    my $body = eval { JSON::PP::decode_json($r->{content}) } // {};
    return { %$body, status => $r->{status}, headers => $r->{headers} };
}

sub metric {
    my ($n, $name) = @_;
    my $text = HTTP::Tiny->new->get("http://127.0.0.1:$n->{port}/metrics")
        ->{content};
    my ($sum, $seen) = (0, 0);
    while ($text =~ /^speedy_(\S+) (\d+)$/mg) {
        my ($full, $value) = ($1, $2);
        (my $bare = $full) =~ s/\{.*//;
        next if $full ne $name && $bare ne $name;
        $sum += $value;
        $seen = 1;
    }
    return $seen ? $sum : undef;
}

sub bearer {
    my (%o) = @_;
    return 'Authorization: Bearer ' . Speedy::Token::token(key => $key, %o);
}

sub buy {
    my (%o) = @_;
    my $type = exists $o{type} ? $o{type} : 'application/json';
    return join "\n", bearer(sub => $o{user} // 'u1', %{ $o{token} // {} }),
        defined $type ? "Content-Type: $type" : (),
        'Idempotency-Key: ' . ($o{key} // 'key-1');
}

1;
