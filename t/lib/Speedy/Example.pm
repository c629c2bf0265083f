package Speedy::Example;

# nginx.conf.example as it stands, with paths and ports of its own, a real
# Redis, and behind it daemons that tell what they were sent. And a reader of
# that file: which location asks for whose token.

use strict;
use warnings;
use HTTP::Tiny;
use IO::Socket::UNIX;
use JSON::PP ();
use Speedy::Redis;
use Speedy::Token ();
use Speedy::Util qw(build_file connect_to free_port read_file repository
    run_command scan_log spawn stop_process temp_dir wait_for write_file);

=head1 SYNOPSIS

    my $g = Speedy::Example->start(edit => sub { s/^#set_real/set_real/m });
    my $r = $g->http('GET', '/api/v1/users/me', token => $g->token(sub => 'u1'));
    $r->{status}; $r->{json}{code}; $r->{daemon}; $r->{seen}{'x-speedy-user'};
    $g->end_session('sid');
    $g->requests('userd_1');           # heads that this daemon was sent
    $g->break('userd', 'drop');        # reads a request and hangs up; 'gone'
    is(join("\n", $g->stop), '', 'an orderly end');

    my @locations = Speedy::Example::locations($text);

=head1 METHODS

=over

=item start(edit => sub {...}, workers => N, sessions => 0)

C<edit> gets the file's text in $_. Without C<sessions> nobody has written the
ended sessions yet.

=item http(METHOD, PATH, token, headers => {}, content, ops => 1,
      from => ADDRESS)

C<seen>: the headers that the daemon saw, by lower-case name (a list's values
are joined by ", "); C<daemon>: its name; C<body>: of the request.

=item end_session(SID...), sessions_loaded, token(%options of Speedy::Token)

=item break(ROLE, WHAT): each daemon of the role; WHAT is drop, gone or mend

=item reload, stop

=item locations(TEXT)

A list of {port, name, kind (=, ^~, ~, '' or @), pattern, auth, except
(methods), except_auth, text}; auth is undef when the location does not say.

=back

=cut

my @daemons = qw(orderd_1 orderd_2 userd_1 userd_2);

sub start {
    my ($class, %o) = @_;
    my $dir = temp_dir('example');
    my $self = bless { dir => $dir, port => free_port(), ops => free_port(),
        key => 'x' x 40, listening => {} }, $class;
    mkdir "$dir/$_" for qw(secrets run log temp);
    write_file("$dir/secrets/$_", $self->{key}, 0400)
        for qw(jwt-current redis-password);
    write_file("$dir/secrets/jwt-previous", 'y' x 40, 0400);
    $self->{redis} = Speedy::Redis->start(acl => [
        'user default on nopass ~* &* +@all',
        "user speedy on >$self->{key} ~speedy:* resetchannels -\@all +info"
            . ' +time +eval +evalsha +script|load +get +zcard +zrange'
            . ' +hget +hmget +hgetall +llen +lrange']);
    $self->sessions_loaded if $o{sessions} // 1;
    $self->daemon($_) for @daemons;
    write_file("$dir/nginx.conf", $self->render(%o));
    $self->launch;
    if ($o{sessions} // 1) {
        my $token = $self->token;
        wait_for {
            return $self->http('GET', '/api/v1/orders', token => $token)
                ->{status} == 200;
        } 10, 'the list of ended sessions';
    }
    return $self;
}

sub render {
    my ($self, %o) = @_;
    my $dir = $self->{dir};
    my $so = build_file('ngx_http_speedy_module.so');
    my $user = $> == 0 ? 'user root;' : '';
    my $temp = join ' ', map { "${_}_temp_path $dir/temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $socket = $self->{redis}->socket;
    local $_ = read_file(repository() . '/nginx.conf.example');
    s{^user .*;}{$user}m;
    s{^worker_rlimit_nofile .*\n}{}m;
    s{^worker_processes .*;}{'worker_processes ' . ($o{workers} // 1) . ';'}me;
    s{^pid .*;}{pid $dir/run/nginx.pid;}m;
    s{^load_module .*;}{load_module $so;}m;
    s/^http \{/http {\n    $temp/m;
    s{buffer=64k flush=1s}{}g;
    s{/etc/speedy/secrets/}{$dir/secrets/}g;
    s{/run/speedy/}{$dir/run/}g;
    s{/run/redis/redis\.sock}{$socket}g;
    s{/var/log/speedy/}{$dir/log/}g;
    s{/var/lib/speedy/}{$dir/}g;
    s{127\.0\.0\.1:8080}{127.0.0.1:$self->{port}}g;
    s{127\.0\.0\.1:8081}{127.0.0.1:$self->{ops}}g;
    s{127\.0\.0\.1:9092}{127.0.0.1:1}g;
    $o{edit}->() if $o{edit};
    return $_;
}

sub launch {
    my ($self) = @_;
    my %env;
    my $so = build_file('ngx_http_speedy_module.so');
    if (`nm -D $so 2>/dev/null` =~ /__asan_init/) {
        chomp($env{LD_PRELOAD} = `gcc -print-file-name=libasan.so`);
        $env{ASAN_OPTIONS} = "detect_leaks=0:log_path=$self->{dir}/log/asan";
    }
    $self->{pid} = spawn(
        name => 'nginx', env => \%env, stdout => "$self->{dir}/log/out",
        cmd => ['/usr/sbin/nginx', '-p', $self->{dir}, '-e', 'log/error.log',
            '-c', 'nginx.conf', '-g', 'daemon off;']);
    wait_for { connect_to($self->{port}) } 15, "nginx in $self->{dir}";
    return;
}

sub stop {
    my ($self) = @_;
    my $orderly = stop_process($self->{pid}, 'QUIT', 20);
    return (
        ($orderly ? () : 'nginx did not end in time'),
        scan_log("$self->{dir}/log/error.log"),
        map { "$_: " . read_file($_) } glob "$self->{dir}/log/asan*",
    );
}

sub workers {
    my ($self) = @_;
    my $pid = $self->{pid};
    return split ' ', read_file("/proc/$pid/task/$pid/children") // '';
}

sub reload {
    my ($self, $edit) = @_;
    if ($edit) {
        local $_ = read_file("$self->{dir}/nginx.conf");
        $edit->();
        write_file("$self->{dir}/nginx.conf", $_);
    }
    my %old = map { $_ => 1 } $self->workers;
    kill 'HUP', $self->{pid};
    # A worker of the old configuration takes connections until it leaves.
    wait_for {
        my @now = $self->workers;
        return @now && !grep { $old{$_} } @now;
    } 20, 'only new workers';
    return;
}

sub port  { return $_[0]{port} }
sub dir   { return $_[0]{dir} }
sub redis { return $_[0]{redis} }
sub log_text { return read_file("$_[0]{dir}/log/$_[1].log") // '' }

# --- the daemons

sub socket_of { return "$_[0]{dir}/run/$_[1].sock" }

sub daemon {
    my ($self, $name) = @_;
    my $path = $self->socket_of($name);
    unlink $path;
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 128)
        // die "$path: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        local $SIG{CHLD} = 'IGNORE';
        local $SIG{TERM} = 'DEFAULT';
        my $parent = getppid;
        while (1) {
            my $c = $listen->accept or next;
            my $child = fork // next;
            next if $child;
            close $listen;
            eval { serve($self, $name, $c) };
            require POSIX;
            POSIX::_exit(0);
        }
    }
    close $listen;
    $self->{listening}{$name} = $pid;
    $self->{owner} = $$;
    return;
}

sub serve {
    my ($self, $name, $c) = @_;
    my $dir = $self->{dir};
    my $buffer = '';
    while (1) {
        while ($buffer !~ /\r\n\r\n/) {
            return if !sysread $c, $buffer, 65536, length $buffer;
        }
        my ($head, $rest) = split /\r\n\r\n/, $buffer, 2;
        my $len = $head =~ /^content-length: *(\d+)/mi ? $1 : 0;
        while (length $rest < $len) {
            return if !sysread $c, $rest, 65536, length $rest;
        }
        my $body = substr $rest, 0, $len, '';
        $buffer = $rest;
        open my $log, '>>', "$dir/log/$name.requests" or return;
        syswrite $log, "$head\n\n";
        close $log;
        return if -e "$dir/run/drop";
        my $json = JSON::PP->new->canonical->latin1->encode(
            { daemon => $name, head => $head, body => $body });
        my $status = $head =~ /^x-want-status: (\d+)/mi ? $1 : 200;
        syswrite $c, "HTTP/1.1 $status Told\r\nContent-Type: application/json\r\n"
            . "X-Request-Id: of-the-daemon\r\nContent-Length: "
            . length($json) . "\r\n\r\n" . ($head =~ /^HEAD/ ? '' : $json);
    }
}

sub requests {
    my ($self, $name) = @_;
    return grep {length} split /\n\n/,
        (read_file("$self->{dir}/log/$name.requests") // '') =~ s/\r//gr;
}

sub break {
    my ($self, $role, $what) = @_;
    if ($what eq 'drop') {
        write_file("$self->{dir}/run/drop", '');
    } elsif ($what eq 'gone') {
        kill 'TERM', delete $self->{listening}{$role};
        unlink $self->socket_of($role);
    } else {
        unlink "$self->{dir}/run/drop";
        $self->daemon($_) for grep { !$self->{listening}{$_} } @daemons;
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != ($self->{owner} // 0);
    local $?;
    for my $pid (values %{ $self->{listening} }) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }
    return;
}

# --- asking

sub token {
    my ($self, %o) = @_;
    return Speedy::Token::token(key => $self->{key}, %o);
}

sub http {
    my ($self, $method, $path, %o) = @_;
    my %headers = %{ $o{headers} // {} };
    $headers{Authorization} = "Bearer $o{token}" if defined $o{token};
    my $port = $o{ops} ? $self->{ops} : $self->{port};
    my $r = HTTP::Tiny->new(timeout => $o{timeout} // 15, max_redirect => 0,
        $o{from} ? (local_address => $o{from}) : ())->request($method,
        "http://127.0.0.1:$port$path", { headers => \%headers,
            defined $o{content} ? (content => $o{content}) : () });
    $r->{json} = eval { JSON::PP::decode_json($r->{content}) };
    if (ref $r->{json} eq 'HASH' && defined $r->{json}{head}) {
        $r->{daemon} = $r->{json}{daemon};
        $r->{body}   = $r->{json}{body};
        for my $line (split /\r\n/, $r->{json}{head}) {
            my ($name, $value) = $line =~ /^([^:\s]+): *(.*)/ or next;
            my $old = $r->{seen}{ lc $name };
            $r->{seen}{ lc $name } = defined $old ? "$old, $value" : $value;
        }
    }
    return $r;
}

# --- ended sessions, as userd writes them

sub run_id {
    my ($self) = @_;
    my ($id) = $self->{redis}->cmd('INFO', 'server') =~ /run_id:(\w+)/;
    return $id;
}

my $version = 0;

sub sessions_loaded {
    my ($self) = @_;
    $self->{redis}->cmd('SET', 'speedy:sessions:version', ++$version);
    $self->{redis}->cmd('SET', 'speedy:sessions:loaded', $self->run_id);
    return;
}

sub end_session {
    my ($self, @sids) = @_;
    $self->{redis}->cmd('ZADD', 'speedy:sessions:ended',
        map { ((time + 960) * 1000, $_) } @sids);
    $self->{redis}->cmd('SET', 'speedy:sessions:version', ++$version);
    return;
}

# --- the file

sub tokens_of {
    my ($text) = @_;
    my @tokens;
    while ($text =~ /\G\s*(?:#[^\n]*\n|("(?:[^"\\]|\\.)*")|('(?:[^'\\]|\\.)*')|([{};])|((?:[^\s{};"']|(?<=\$)\{\w+\})+))/gc) {
        my $t = $1 // $2 // $3 // $4 // next;
        push @tokens, $t;
    }
    return @tokens;
}

# A block as a list of [words, block or undef].
sub blocks {
    my ($tokens) = @_;
    my (@out, @words);
    while (defined(my $t = shift @$tokens)) {
        return \@out if $t eq '}';
        if ($t eq ';')    { push @out, [[@words], undef];            @words = () }
        elsif ($t eq '{') { push @out, [[@words], blocks($tokens)]; @words = () }
        else              { push @words, $t =~ s/^(["'])(.*)\1$/$2/sr }
    }
    return \@out;
}

sub named {
    my ($block, $name) = @_;
    return grep { ($_->[0][0] // '') eq $name } @$block;
}

sub tree {
    my ($text) = @_;
    return blocks([tokens_of($text)]);
}

sub locations {
    my ($text) = @_;
    my ($http) = named(tree($text), 'http');
    my @out;
    for my $server (named($http->[1], 'server')) {
        my ($port) = (named($server->[1], 'listen'))[0][0][1] =~ /(\d+)$/;
        for my $l (named($server->[1], 'location')) {
            my (undef, @name) = @{ $l->[0] };
            my ($kind, $pattern) = @name == 2 ? @name
                : $name[0] =~ /^@/ ? ('@', $name[0]) : ('', $name[0]);
            my ($auth) = map { $_->[0][1] } named($l->[1], 'speedy_auth');
            my ($except) = named($l->[1], 'limit_except');
            my ($by) = $except
                ? map { $_->[0][1] } named($except->[1], 'speedy_auth') : ();
            push @out, { port => $port, name => "@name", kind => $kind,
                pattern => $pattern, auth => $auth, block => $l->[1],
                $except ? (except => [@{ $except->[0] }[1 .. $#{ $except->[0] }]],
                    except_auth => $by) : () };
        }
    }
    return @out;
}

# The location that nginx takes for a path.
sub location_of {
    my ($path, @locations) = @_;
    my ($best, $regex);
    for my $l (@locations) {
        return $l if $l->{kind} eq '=' && $path eq $l->{pattern};
        next if $l->{kind} !~ /^(?:\^~)?$/ || index($path, $l->{pattern}) != 0;
        $best = $l if !$best || length $l->{pattern} > length $best->{pattern};
    }
    return $best if $best && $best->{kind} eq '^~';
    ($regex) = grep { $_->{kind} eq '~' && $path =~ /$_->{pattern}/ } @locations;
    return $regex // $best;
}

# Whose token it asks for with this method.
sub rule_of {
    my ($l, $method) = @_;
    return $l->{auth} if !$l->{except} || grep { $_ eq $method } @{ $l->{except} };
    return $l->{except_auth} // $l->{auth};
}

1;
