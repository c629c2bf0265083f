package Speedy::Nginx::Runner;

# Runs the blocks of a t/*.t file against nginx: our own small stand-in for
# Test::Nginx::Socket, on Test::Base's parser and filters. What sections mean
# is told in Speedy::Nginx. Each check is one test of the plan, as there; what
# only must not happen (complaints in logs) is a test of its own when it does.

use Test::Base;
use Speedy::Nginx::Client;
use Speedy::Nginx::Server;
use Speedy::Util
    qw(free_port temp_dir wait_for try_for write_file nap keep_temp_dir);
use Speedy::Nginx::TcpServer;

our @EXPORT_RUNNER = qw(
    run_tests repeat_each no_long_string no_shuffle no_root_location log_level
    master_on master_off workers worker_connections timeout server_root
    server_port server_port_for_client server_addr html_dir env_to_nginx
    add_block_preprocessor add_cleanup_handler bail_out
);

my %set = (
    repeat => 1, log_level => 'info', master => 'on', workers => 1,
    connections => 256, timeout => 3, root_location => 1,
);
my @preprocessors;
my @cleanup;
my @env;
my ($root, $port, $server);

sub export_to {
    my ($class, $caller, @args) = @_;
    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for @EXPORT_RUNNER,
        grep { /^\w+$/ && defined &{$_} } @Test::Base::EXPORT;
    plan(@args) if @args;
    return;
}

sub repeat_each (@)       { $set{repeat} = shift if @_; $set{repeat} }
sub no_long_string ()     { }
sub no_shuffle ()         { }
sub no_root_location ()   { $set{root_location} = 0 }
sub log_level (@)         { $set{log_level} = shift if @_; $set{log_level} }
sub master_on ()          { $set{master} = 'on' }
sub master_off ()         { $set{master} = 'off' }
sub workers (@)           { $set{workers} = shift if @_; $set{workers} }
sub worker_connections (@) { $set{connections} = shift if @_ }
sub timeout (@)           { $set{timeout} = shift if @_; $set{timeout} }
sub env_to_nginx (@)      { push @env, @_ }
sub add_block_preprocessor (&) { push @preprocessors, shift }
sub add_cleanup_handler (&)    { push @cleanup,       shift }
sub server_addr ()             { '127.0.0.1' }
sub bail_out (@)               { Test::More::BAIL_OUT("@_") }

sub server_root () { $root ||= $ENV{TEST_NGINX_SERVROOT} || temp_dir('nginx') }
sub server_port () { $port ||= $ENV{TEST_NGINX_PORT}     || free_port() }
sub server_port_for_client () { server_port() }
sub html_dir ()               { server_root() . '/html' }

sub expand {
    my ($text) = @_;
    return '' if !defined $text;
    my %own = (
        SERVER_PORT => server_port(), PORT     => server_port(),
        SERVER_ROOT => server_root(), HTML_DIR => html_dir(),
    );
    $text =~ s/\$ServerPort\b/server_port()/ge;
    $text =~ s{\$(\{)?TEST_NGINX_([A-Z0-9_]+)\}?}{
        $own{$2} // $ENV{"TEST_NGINX_$2"}
            // die "\$TEST_NGINX_$2 is not in the environment\n"
    }gex;
    return $text;
}

sub configuration {
    my ($block) = @_;
    my %t = map { $_ => expand(scalar $block->$_) }
        qw(main_config http_config config);
    my $env  = join '', map { "env $_;\n" } @env;
    my $user = $> == 0 ? 'user root;' : '';
    my $temp = join "\n    ", map { "${_}_temp_path temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $location = $set{root_location}
        ? 'location / { root html; index index.html index.htm; }' : '';
    return <<"CONF";
daemon off;
$user
master_process $set{master};
worker_processes $set{workers};
worker_shutdown_timeout 5s;
error_log logs/error.log $set{log_level};
pid logs/nginx.pid;
$env
$t{main_config}
events { worker_connections $set{connections}; }
http {
    access_log logs/access.log;
    default_type text/plain;
    keepalive_timeout 68;
    $temp
    $t{http_config}
    server {
        listen 127.0.0.1:@{[server_port()]};
        server_name localhost;
        client_max_body_size 30m;
        $t{config}
        $location
    }
}
CONF
}

sub write_user_files {
    my ($files) = @_;
    return if !defined $files;
    my @list;
    if (ref $files) {
        @list = map { ref $_ ? $_ : die "user_files: a list of lists\n" }
            @$files;
    } else {
        my @parts = split /^>>>[ \t]*(\S+)[^\n]*\n/m, $files;
        shift @parts;
        while (@parts) {
            my ($name, $text) = splice @parts, 0, 2;
            push @list, [$name, $text // ''];
        }
    }
    for my $f (@list) {
        my $path = html_dir() . "/$f->[0]";
        require File::Basename;
        require File::Path;
        File::Path::make_path(File::Basename::dirname($path));
        write_file($path, @{$f}[1, 2]);
    }
    return;
}

sub at {
    my ($value, $i) = @_;
    return ref $value eq 'ARRAY' ? $value->[$i] : $value;
}

# The exchanges of a block: each a list of packets and of methods on one
# connection.
sub exchanges {
    my ($block) = @_;
    my $more = $block->more_headers;

    if (defined(my $raw = $block->raw_request)) {
        my @packets = map { ref $_ ? $_ : { value => $_ } }
            ref $raw eq 'ARRAY' ? @$raw : $raw;
        my $delay = $block->raw_request_middle_delay;
        $_->{delay_before} //= $delay
            for $delay ? @packets[1 .. $#packets] : ();
        my ($method) = ($packets[0]{value} // '') =~ /^(\S+)/;
        return { packets => \@packets, methods => [$method // 'GET'] };
    }

    if (defined(my $list = $block->pipelined_requests)) {
        my @reqs = map {
            my $last = $_ == $#$list;
            Speedy::Nginx::Client::build_request($list->[$_], at($more, $_),
                $last ? 'close' : 'keep-alive')
        } 0 .. $#$list;
        return {
            packets => [{ value => join '', map { $_->{bytes} } @reqs }],
            methods => [map { $_->{method} } @reqs],
        };
    }

    my $request = $block->request // return;
    my @requests = ref $request eq 'ARRAY' ? @$request : $request;
    return map {
        my $r = Speedy::Nginx::Client::build_packets(
            ref $requests[$_] eq 'ARRAY' ? $requests[$_] : [$requests[$_]],
            at($more, $_), 'close');
        { packets => $r->{packets}, methods => [$r->{method}] };
    } 0 .. $#requests;
}

sub check_headers {
    my ($name, $res, $text, $like) = @_;
    for my $line (split /\n+/, $text) {
        next if $line !~ /\S/;
        if (!$like && $line =~ /^\s*!\s*(\S+)\s*$/) {
            is($res->{headers}{ lc $1 } ? $res->{headers}{ lc $1 }[0] : undef,
                undef, "$name - header $1 is not there");
            next;
        }
        my ($key, $want) = split /:\s*/, $line, 2;
        $key =~ s/^\s+|\s+$//g;
        $want = expand($want);
        my $list = $res->{headers}{ lc $key };
        my $got = $list ? join ', ', @$list : '';
        if ($like) {
            like($got, qr/^(?:$want)$/s, "$name - header $key");
        } else {
            is($got, $want, "$name - header $key");
        }
    }
    return;
}

sub check_response {
    my ($block, $name, $res, $i) = @_;
    my $body = $res->{body} // '';
    my $status = $res->{status} // "no response ($res->{error})";

    if (defined(my $like = $block->error_code_like)) {
        like($status, qr/@{[at($like, $i)]}/, "$name - status like");
    } else {
        my $want = at(scalar $block->error_code, $i) // 200;
        $want =~ s/\s+//g;
        is($status, $want, "$name - status code")
            if defined $block->error_code || !defined $block->raw_request;
    }

    if (defined(my $want = $block->response_headers)) {
        check_headers($name, $res, at($want, $i) // '', 0);
    }
    if (defined(my $want = $block->response_headers_like)) {
        check_headers($name, $res, at($want, $i) // '', 1);
    }
    if (defined(my $want = $block->raw_response_headers_like)) {
        like($res->{head}, qr/@{[at($want, $i)]}/s, "$name - raw headers");
    }
    if (defined(my $want = $block->raw_response_headers_unlike)) {
        unlike($res->{head}, qr/@{[at($want, $i)]}/s, "$name - raw headers");
    }

    if (defined(my $want = at(scalar $block->response_body, $i))) {
        if (ref $want) {
            like($body, $want, "$name - response body");
        } else {
            is($body, expand($want), "$name - response body");
        }
    }
    if (defined(my $want = at(scalar $block->response_body_like, $i))) {
        $want = expand($want) if !ref $want;
        like($body, qr/$want/s, "$name - response body like");
    }
    if (defined(my $want = at(scalar $block->response_body_unlike, $i))) {
        unlike($body, qr/$want/s, "$name - response body unlike");
    }
    return;
}

sub patterns {
    my ($value) = @_;
    return () if !defined $value;
    return grep { ref $_ || length $_ }
        ref $value eq 'ARRAY' ? @$value
        : ref $value          ? $value
        :                       split /\n+/, $value;
}

sub found {
    my ($text, $pattern) = @_;
    return ref $pattern ? $text =~ $pattern : index($text, $pattern) >= 0;
}

sub check_log {
    my ($block, $name, $read) = @_;
    for my $p (patterns(scalar $block->error_log)) {
        my $ok = try_for { return found($read->(), $p) } 3;
        ok($ok, "$name - error log has: $p")
            or diag(join "\n", 'error log:', tail($read->()));
    }
    for my $p (patterns(scalar $block->no_error_log)) {
        my @hits = grep { found($_, $p) } split /\n/, $read->();
        ok(!@hits, "$name - error log is without: $p")
            or diag(join "\n", @hits[0 .. ($#hits < 4 ? $#hits : 4)]);
    }
    return;
}

sub tail {
    my @lines = split /\n/, $_[0];
    return @lines > 20 ? @lines[-20 .. -1] : @lines;
}

sub complain {
    my ($name, @bad) = @_;
    return if !@bad;
    fail("after $name - nginx has nothing to complain of");
    diag($_) for @bad;
    keep_temp_dir(server_root());
    return;
}

sub stop_server {
    my ($name) = @_;
    complain($server->{served} // $name, $server->stop)
        if $server && $server->pid;
    return;
}

sub ensure_server {
    my ($block, $name) = @_;
    my $conf = configuration($block);
    $server ||= Speedy::Nginx::Server->new(
        root => server_root(), port => server_port());
    mkdir server_root() . '/temp';

    if (defined $block->must_die) {
        stop_server($name);
        ok($server->fails($conf), "$name - nginx refuses to start");
        check_log($block, $name, sub { $server->messages });
        return 0;
    }
    if (!$server->running($conf)) {
        stop_server($name);
        if (!eval { $server->start($conf); 1 }) {
            fail("$name - nginx starts");
            diag($@);
            return 0;
        }
    }
    $server->allow(patterns(scalar $block->error_log));
    $server->{served} = $name;
    return 1;
}

sub run_block {
    my ($block) = @_;
    my $name = $block->name;

    $_->($block) for @preprocessors;
    write_user_files(scalar $block->user_files);
    ensure_server($block, $name) or return;

    for my $round (1 .. $set{repeat}) {
        my $from = $server->log_size;
        my $tcp = Speedy::Nginx::TcpServer->from_block($block, \&expand);
        my $i = 0;
        for my $x (exchanges($block)) {
            my @responses = Speedy::Nginx::Client::exchange(
                %$x,
                address => '127.0.0.1:' . server_port(),
                timeout => scalar($block->timeout) // $set{timeout},
            );
            next if defined $block->abort || defined $block->ignore_response;
            check_response($block, $name, $_, $i++) for @responses;
        }
        if ($tcp) {
            my $query = $tcp->finish;
            is($query, scalar $block->tcp_query, "$name - tcp_query")
                if defined $block->tcp_query;
            is(length($query // ''), $block->tcp_query_len + 0,
                "$name - tcp_query_len") if defined $block->tcp_query_len;
        }
        check_log($block, $name, sub { $server->log_since($from) });
    }
    return;
}

sub run_tests () {
    for my $block (blocks()) {
        eval { run_block($block); 1 } or do {
            fail($block->name . ' - runs');
            diag($@);
        };
    }
    stop_server('at the end');
    $_->() for @cleanup;
    return;
}

1;
