# The supervisor of the development stack: what dies comes back, what is held
# stays down, `env` always names living processes, and an upgraded nginx is
# followed, not doubled. Every system test leans on it.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Util qw(free_port read_file repository spawn stop_process temp_dir
    wait_for write_file);
use IO::Socket::INET;
use Test::More;

my $dir  = temp_dir('supervisor');
my $port = free_port();
mkdir "$dir/$_" for qw(run run/services log etc);
write_file("$dir/env.static", "SPEEDY_URL=http://127.0.0.1:$port\n");

sub service {
    my ($name, @lines) = @_;
    write_file("$dir/$name.new", join '', map { "$_\n" } @lines);
    rename "$dir/$name.new", "$dir/run/services/$name" or die $!;
}

# The value in `env`; undef when the key is missing.
sub env_of {
    my ($key) = @_;
    return -e "$dir/env" && read_file("$dir/env") =~ /^$key=(.*)$/m ? $1 : undef;
}

sub living {
    my $pid = env_of($_[0]) or return;
    return kill(0, $pid) ? $pid : undef;
}

sub other_than {
    my ($key, $old) = @_;
    my $pid = living($key);
    return defined $pid && $pid != $old ? $pid : undef;
}

sub answers {
    my $sock = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 2)
        or return 0;
    print {$sock} "GET / HTTP/1.0\r\n\r\n";
    return (<$sock> // '') =~ / 200 /;
}

my $perl = 'arg /usr/bin/perl';
service('sleeper', 'stage 1', $perl, 'arg -e', 'arg sleep 1 while 1');
service('fails',   'stage 1', $perl, 'arg -e', 'arg exit 3');
service('stubborn', 'stage 1', 'grace 1', $perl, 'arg -e',
    'arg $SIG{TERM} = "IGNORE"; sleep 1 while 1');
service('shows', 'stage 1', 'env WORD=a=b c', $perl, 'arg -e',
    'arg $| = 1; print "$ENV{WORD}|@ARGV\n"; sleep 1 while 1', 'arg two words');

my $supervisor = spawn(
    name => 'supervisor',
    cmd  => [repository() . '/dev.d/supervisor', $dir],
    stderr => "$dir/log/supervisor.log",
);

my $first = wait_for { living('PID_SLEEPER') } 5, 'first start';
is(env_of('PID_SUPERVISOR'), $supervisor, 'env names the supervisor');
is(env_of('SPEEDY_URL'), "http://127.0.0.1:$port", 'env keeps its fixed part');

ok((wait_for { -s "$dir/log/shows.log" } 5, 'its log'), 'output is logged');
is(read_file("$dir/log/shows.log"), "a=b c|two words\n",
    'arguments and environment go through no shell');

kill 'KILL', $first;
my $second = wait_for { other_than('PID_SLEEPER', $first) } 2, 'a new pid';
ok($second, 'what was killed is back within 2 s');

write_file("$dir/run/hold-sleeper", '');
kill 'TERM', $second;
wait_for { (env_of('PID_SLEEPER') // 'x') eq '' } 2, 'an empty pid';
pass('a dead process has no pid in env');
ok(!(Speedy::Util::try_for { living('PID_SLEEPER') } 1),
    'held: not started again');
unlink "$dir/run/hold-sleeper";
ok((wait_for { living('PID_SLEEPER') } 2, 'a start'), 'and started when let go');

my $tries = () = read_file("$dir/log/supervisor.log") =~ /fails: started/g;
cmp_ok($tries, '>=', 2, 'one that always fails is tried again');
cmp_ok($tries, '<=', 20, '... but not in a busy loop');

# nginx as a daemon, and its upgrade.
write_file("$dir/etc/nginx.conf", <<"CONF");
pid $dir/run/nginx.pid;
error_log $dir/log/error.log notice;
events { }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server { listen 127.0.0.1:$port; return 200 ok; }
}
CONF
service('nginx', 'stage 3', 'signal QUIT', "pidfile $dir/run/nginx.pid",
    'arg /usr/sbin/nginx', "arg -e", "arg $dir/log/error.log", 'arg -c',
    "arg $dir/etc/nginx.conf");
wait_for { answers() } 5, 'nginx';
my $master = wait_for { living('PID_NGINX') } 2, 'the master';
is($master, read_file("$dir/run/nginx.pid") + 0, 'env names the master');

kill 'USR2', $master;
my $upgraded = wait_for { other_than('PID_NGINX', $master) } 5, 'a new master';
kill 'QUIT', $master;
wait_for { !kill 0, $master } 5, 'the end of the old master';
is(living('PID_NGINX'), $upgraded, 'after an upgrade the new master stays');
ok(answers(), '... and answers');

kill 'USR2', $upgraded;
my $bad = wait_for { other_than('PID_NGINX', $upgraded) } 5, 'a third master';
kill 'KILL', $bad;
is((wait_for { other_than('PID_NGINX', $bad) } 5, 'the old one'), $upgraded,
    'a new master that dies leaves the old one in charge');

kill 'KILL', $upgraded;
ok((wait_for { other_than('PID_NGINX', $upgraded) && answers() } 4, 'nginx'),
    'a killed master is replaced, its workers do not keep the port');

my @pids = grep { $_ } map { env_of($_) }
    qw(PID_SLEEPER PID_STUBBORN PID_SHOWS PID_NGINX);
ok(stop_process($supervisor, 'TERM', 15), 'the supervisor stops by SIGTERM');
is_deeply([grep { kill 0, $_ } @pids], [], 'and so did all of its processes');
like(read_file("$dir/log/supervisor.log"), qr/stubborn: .*SIGKILL/,
    'one that does not stop in its time is killed');

done_testing();
