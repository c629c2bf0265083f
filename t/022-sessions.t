# Ended sessions: refused everywhere within a second, through the loss of
# Redis, reloads and dead workers; and nobody let in when nobody knows.

use strict;
use warnings;
use lib 't/lib';
use HTTP::Tiny;
use JSON::PP ();
use Speedy::Module qw(bearer freeze gateway gateway_config metric nginx_log
    nginx_start nginx_stop redis run_id);
use Speedy::Util qw(read_file try_for wait_for write_file);
use Test::More;
use Time::HiRes qw(time);

gateway(kafka => 0);

my %http = (sessions => '100ms', sessions_max_age => '3s', redis_timeout => '500ms');
my $config = gateway_config() . <<'CONF';
        location = /mine { speedy_auth user; speedy_jwks; }
        location = /who { speedy_auth off; proxy_set_header X-Speedy-User "$speedy_user$speedy_session";
            proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo; }
        add_header X-Worker $pid always;
        add_header X-Session $speedy_session always;
        add_header X-Bearer $speedy_bearer always;
CONF
my $version = 0;

sub loaded {
    redis()->cmd('SET', 'speedy:sessions:version', 'v' . ++$version);
    redis()->cmd('SET', 'speedy:sessions:loaded', run_id());
    return;
}

sub end {
    redis()->cmd('ZADD', 'speedy:sessions:ended', map { ((time + 960) * 1000, $_) } @_);
    redis()->cmd('SET', 'speedy:sessions:version', 'v' . ++$version);
    return;
}

sub ask {
    my ($n, $sid, $path) = @_;
    my ($token) = bearer(sub => 'u1', sid => $sid) =~ /: (.*)/;
    return ask_with($n, $token, $path);
}

sub ask_with {
    my ($n, $token, $path) = @_;
    my $r = HTTP::Tiny->new(timeout => 10)->get(
        "http://127.0.0.1:$n->{port}" . ($path // '/mine'),
        { headers => $token ? { Authorization => $token } : {} });
    $r->{code} = (eval { JSON::PP::decode_json($r->{content}) } // {})->{code};
    return $r;
}

sub workers {
    my ($n) = @_;
    return split ' ', read_file("/proc/$n->{pid}/task/$n->{pid}/children") // '';
}

sub reload {
    my ($n) = @_;
    my %old = map { $_ => 1 } workers($n);
    kill 'HUP', $n->{pid};
    wait_for { my @w = workers($n); return @w && !grep { $old{$_} } @w } 15, 'only new workers';
    return;
}

# The answers of each worker there, by status.
sub all_workers {
    my ($n, $sid) = @_;
    my %seen;
    wait_for {
        my $r = ask($n, $sid);
        $seen{ $r->{headers}{'x-worker'} } = $r->{status};
        return !grep { !$seen{$_} } workers($n);
    } 10, 'an answer of each worker';
    return join ' ', @seen{ workers($n) };
}

my $n = nginx_start(http => \%http, config => $config, workers => 2, listen => 'reuseport');

subtest 'before anybody has said which ended' => sub {
    my $r = ask($n, 'a');
    is("$r->{status} $r->{code}", '503 unavailable', 'nobody is let in');
    is($r->{headers}{'retry-after'}, 1, 'but told to come again');
    is($r->{headers}{'x-bearer'}, undef, 'nor is anybody known to limits');
    is(ask_with($n)->{code}, 'token_missing', 'a token is still asked for first');
    is(ask_with($n, undef, '/who')->{status}, 200, 'what is open stays open');
    redis()->cmd('SET', 'speedy:sessions:loaded', 'f' x 40);
    redis()->cmd('SET', 'speedy:sessions:version', 'v0');
    my $commands = metric($n, 'redis_commands_total');
    wait_for { return metric($n, 'redis_commands_total') >= $commands + 6 } 5, 'looks';
    is(ask($n, 'a')->{status}, 503, 'the list of another Redis is none');
    loaded();
    ok((try_for { ask($n, 'a')->{status} == 200 } 1), 'let in within a second');
};

subtest 'a session ends' => sub {
    wait_for { return all_workers($n, 'a') eq '200 200' } 5, 'both workers';
    my $r = ask($n, 'a');
    is($r->{headers}{'x-session'}, 'a', '$speedy_session');
    is($r->{headers}{'x-bearer'}, 'u1', '$speedy_bearer');
    is(ask($n, 'a', '/me')->{content}, "user=u1 role=USER\n", 'alive');
    my ($token) = bearer(sub => 'u1', sid => 'a') =~ /: (.*)/;
    is(ask_with($n, $token)->{status}, 200, 'its token') for 1 .. 4;
    end('a', 'x1');
    ok((try_for { all_workers($n, 'a') eq '401 401' } 1), 'refused within a second by each worker');
    $r = ask_with($n, $token);
    is("$r->{status} $r->{code}", '401 session_ended', 'also a token that is cached');
    like($r->{headers}{'www-authenticate'}, qr/^Bearer realm="speedy", error="invalid_token"$/, 'challenged');
    is($r->{headers}{'x-session'}, undef, 'no $speedy_session');
    is($r->{headers}{'x-bearer'}, undef, 'no $speedy_bearer');
    is(ask_with($n, $token, '/who')->{content}, "user= role=\n", 'nobody where no token is asked for');
    is(ask($n, $_)->{status}, 200, "another session: $_") for qw(b A aa x10);
};

subtest 'every gateway, within a second' => sub {
    my @more = map { nginx_start(http => { %http, sessions => '500ms' }, config => $config, workers => 2, listen => 'reuseport') } 1 .. 2;
    wait_for { return all_workers($_, 'alive') eq '200 200' } 5, 'it to know' for @more;
    my $worst = 0;
    for my $round (1 .. 8) {
        my $sid = "gone-$round";
        ask($_, $sid) for ($n, @more) x 4;
        my $began = time;
        end($sid);
        # The last request that was let in, wherever.
        while (time - $began < 1.2) {
            for my $gateway ($n, @more) {
                my $asked = time;
                my $status = ask($gateway, $sid)->{status};
                $worst = $asked - $began if $status == 200 && $asked - $began > $worst;
            }
        }
        is(all_workers($_, $sid), '401 401', "$sid is refused") for $n, @more;
    }
    cmp_ok($worst, '<', 1, sprintf 'three gateways of two workers, 8 sessions: let in for %.0f ms at worst', 1000 * $worst);
    is(join("\n", nginx_stop($_)), '', 'an orderly end') for @more;
};

subtest 'the list is read when it has changed' => sub {
    wait_for { return all_workers($n, 'alive') eq '200 200' } 5, 'both';
    my $polls = metric($n, 'sessions_polls_total');
    my $loads = metric($n, 'sessions_loads_total');
    wait_for { return metric($n, 'sessions_polls_total') >= $polls + 10 } 5, 'looks';
    is(metric($n, 'sessions_loads_total'), $loads, 'not otherwise');
    end('one-more');
    wait_for { return metric($n, 'sessions_loads_total') == $loads + 2 } 5, 'one each';
    # userd writes all of it anew and gives it, by chance, the same version.
    redis()->cmd('DEL', 'speedy:sessions:ended');
    ok((try_for { ask($n, 'a')->{status} == 200 } 2), 'another length is a change, too');
    end('a');
    wait_for { return all_workers($n, 'a') eq '401 401' } 2, 'ended again';
};

subtest 'a reload and a dead worker cost nobody anything' => sub {
    freeze(redis());
    my %answers;
    reload($n);
    $answers{ ask($n, 'alive')->{status} }++ for 1 .. 10;
    is_deeply(\%answers, { 200 => 10 }, 'a fresh worker knows at once, Redis standing still');
    is(all_workers($n, 'a'), '401 401', 'who has ended, too');
    redis()->signal('CONT');
    my ($victim) = workers($n);
    kill 'KILL', $victim;
    wait_for { my @w = workers($n); return @w == 2 && !grep { $_ == $victim } @w } 5, 'another worker';
    is(all_workers($n, 'alive'), '200 200', 'the one in its place knows, too');
    %answers = ();
    for (1 .. 5) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            kill 'HUP', $n->{pid};
            require POSIX;
            POSIX::_exit(0);
        }
        $answers{ ask($n, 'alive')->{status} }++ for 1 .. 40;
        waitpid $pid, 0;
    }
    is_deeply(\%answers, { 200 => 200 }, 'five reloads under load');
    wait_for { my @w = workers($n); return @w == 2 } 10, 'the old workers to leave';
};

subtest 'Redis is gone' => sub {
    wait_for { return all_workers($n, 'a') eq '401 401' } 5, 'all at rest';
    redis()->kill_9;
    my $began = time;
    is(all_workers($n, 'a'), '401 401', 'the last list serves');
    is(all_workers($n, 'alive'), '200 200', 'for those who live, too');
    reload($n);
    is(ask($n, 'alive')->{status}, 200, 'a fresh worker has it')
        if time - $began < 2;
    wait_for { return ask($n, 'alive')->{status} == 503 } 5, 'the end of its time';
    cmp_ok(time - $began, '>=', 2.5, 'not before speedy_sessions_max_age');
    is(all_workers($n, 'a'), '503 503', 'then nobody is let in');
    ok((try_for { metric($n, 'sessions_known') == 0 } 3), 'and the metrics say so');
    redis()->restart;
    wait_for { return metric($n, 'redis_up') == 2 } 10, 'the connections';
    is(ask($n, 'alive')->{status}, 503, 'a Redis without the list changes nothing');
    end('a');
    loaded();
    ok((try_for { all_workers($n, 'alive') eq '200 200' } 2), 'with it all is well');
    is(all_workers($n, 'a'), '401 401', 'for those who should');
    redis()->cmd('FLUSHALL');
    my $lost = time;
    is(all_workers($n, 'a'), '401 401', 'emptied: the last list serves');
    loaded();
    end('a');
    wait_for { return metric($n, 'sessions_known') == 2 } 5, 'a new one';
    is(all_workers($n, 'a'), '401 401', 'until there is a new one');
    redis()->cmd('SCRIPT', 'FLUSH');
    my $polls = metric($n, 'sessions_polls_total');
    wait_for { return metric($n, 'sessions_polls_total') > $polls + 4 } 5, 'the script to be sent anew';
    redis()->cmd('DEL', 'speedy:sessions:ended');
    redis()->cmd('SET', 'speedy:sessions:ended', 'text');
    wait_for { return nginx_log($n) =~ /ended sessions with "(?:ERR|WRONGTYPE)/ } 5, 'the complaint';
    is(ask($n, 'a')->{status}, 401, 'a key of another type: the last list');
    redis()->cmd('DEL', 'speedy:sessions:ended');
    loaded();
    ok((try_for { all_workers($n, 'alive') eq '200 200' } 5), 'and it goes on');
};

subtest 'very many' => sub {
    my $small = nginx_start(config => $config,
        http => { %http, zone => 'one=1m', sessions_max_age => '60s', redis_timeout => '5s' });
    my @some = map {"sid-$_"} 1 .. 70_000;
    while (my @page = splice @some, 0, 5000) {
        redis()->cmd('ZADD', 'speedy:sessions:ended', map { ((time + 960) * 1000, $_) } @page);
    }
    my $began = time;
    end('the-last');
    wait_for { return all_workers($n, 'the-last') eq '401 401' } 5, 'the last of them';
    cmp_ok(time - $began, '<', 1.5, sprintf '70,001 sessions: known after %.0f ms', 1000 * (time - $began));
    is(ask($n, "sid-$_")->{status}, 401, "sid-$_") for 1, 35_000, 70_000;
    is(ask($n, 'sid-70001')->{status}, 200, 'and no other');
    ok((try_for { metric($n, 'sessions_ended') == 140_002 } 3), 'counted by each worker');
    wait_for { return nginx_log($small) =~ /do not fit "speedy_zone"/ } 5, 'the warning';
    ok((try_for { ask($small, 'the-last')->{status} == 401 } 2), 'a zone too small: no harm while Redis is there');
    reload($small);
    ok((try_for { ask($small, 'sid-77')->{status} == 401 } 3), 'nor after a reload, once it answered');
    is(ask($small, 'alive')->{status}, 200, 'for those who live');
    redis()->cmd('DEL', 'speedy:sessions:ended');
    end('few');
    ok((try_for { ask($n, 'sid-1')->{status} == 200 } 2), 'the list shrinks');
    is(join("\n", nginx_stop($small)), '', 'an orderly end');
};

is(join("\n", grep { !/exited on signal 9/ } nginx_stop($n)), '', 'an orderly end');

my $off = nginx_start(config => $config);
is(ask($off, 'few')->{status}, 200, 'off: a token is good until it expires');
is(join("\n", nginx_stop($off)), '', 'an orderly end');
done_testing();
