# docs/openapi.yaml against the running shop: schemathesis makes requests, good
# and bad ones, from what the description allows and forbids, and no answer may
# have a status, a type or a body that is not described, nor be a server's
# error. Its version is pinned in t/openapi/requirements.txt; it is fetched from
# PyPI once, into SPEEDY_CACHE_DIR (or build/).

use strict;
use warnings;
use lib 't/lib';
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use POSIX qw(strftime);
use Speedy::Desk;
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(read_file repository run_command temp_dir wait_for write_file);
use Test::More;
use Time::HiRes qw(time);

my $root = repository();
my $seed = 20240601;
my $seconds = $ENV{SPEEDY_LONG} ? 600 : 60;

# A made venv is renamed into its place, so one that was cut off is not used.
sub tool {
    my $wanted = read_file("$root/t/openapi/requirements.txt");
    my $cache = $ENV{SPEEDY_CACHE_DIR} || "$root/build";
    my $venv = "$cache/schemathesis-" . substr sha256_hex($wanted), 0, 12;
    return $venv if -x "$venv/bin/schemathesis";
    diag('fetching schemathesis from PyPI');
    system 'mkdir', '-p', $cache;
    my $new = "$venv.$$";
    for my $step (
        [60, '/usr/bin/python3', '-m', 'venv', $new],
        [300, "$new/bin/python", '-m', 'pip', 'install', '-q', '--no-input',
            '--disable-pip-version-check', '--timeout', 15, '--retries', 2,
            '-r', "$root/t/openapi/requirements.txt"],
    ) {
        my ($limit, @command) = @$step;
        my ($status, $out, $err) = run_command($limit, @command);
        next if $status == 0;
        system 'rm', '-rf', $new;
        die $status == 124 ? "schemathesis: no answer from PyPI in $limit s\n"
            : "schemathesis cannot be fetched from PyPI (exit $status):\n$out$err";
    }
    # Scripts of a venv name its directory: they are called by its python.
    rename $new, $venv or system 'rm', '-rf', $new;
    return $venv;
}

my $venv = tool();
my $s = Speedy::Stack->up;

# One client asks more than people do; what is limited by address or token in
# nginx is tested elsewhere.
$s->edit('nginx.conf', sub { s/rate=\d+r\/[sm]/rate=100000r\/s/g; s/burst=\d+/burst=100000/g });
$s->reload;

# --- what there is to ask for

my $open = $s->new_sale(stock => 1_000_000, limit => 1_000_000, price => 100);
my $later = $s->new_sale(stock => 10, wait => 0, 'opens-at' =>
    strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time + 86_400));
my $over = $s->new_sale(stock => 10);
$s->ctl('sale', 'close', $over);
my ($p, $q, $leaver) = map { Speedy::Shopper->new($s)->sign_up } 1 .. 3;
my $session = $p->log_in->{json}{session_id};
$_->log_in for $p, $q, $leaver;
my $address = $p->http('POST', '/api/v1/users/me/addresses', json => {
    recipient => 'Shopper', phone => '010-1234-5678', postcode => '04524',
    line1 => 'Sejong-daero 110' });
is($address->{status}, 201, 'an address') or diag $address->{content};
my $order = $s->buy($open, token => $p->{access}, key => 'first');
is($order->{status}, 202, 'an order') or diag $order->{content};
my $boss = Speedy::Desk->new($s, role => 'OWNER');
is($boss->log_in->{status}, 201, 'an owner logs in');
my $boss2 = Speedy::Desk->new($s, role => 'OWNER');
is($boss2->log_in->{status}, 201, 'another one');
my $clerk = Speedy::Desk->new($s, role => 'VIEWER');

my $mail = $s->sql("SELECT LOWER(HEX(id)) FROM mails LIMIT 1");
my $dir = temp_dir('openapi');
my %known = (
    sale => [$open, $later, $over], product => ["p-$open", "p-$later"],
    variant => ['default'], order => [$order->{order_id}],
    address => [$address->{json}{id}], session => [$session], user => [$q->{id}],
    staff => [$clerk->{id}],
    mail => [$mail =~ s/^(.{8})(.{4})(.{4})(.{4})/$1-$2-$3-$4-/r],
    email => [$p->{email}], password => [$p->{password}],
    current_password => ['not this one'], postcode => ['04524'],
    phone => ['010-1234-5678'], recipient => ['Shopper'], line1 => ['Sejong-daero'],
    product_id => ["p-$open"],
);

sub roles {
    my ($list) = read_file("$root/dev.d/build.sh") =~ /^ROLES=\(([^)]*)\)/m;
    return split ' ', $list;
}

# Operations of a daemon that this stack does not have.
sub absent {
    my %here = map { $_ => 1 } roles();
    my $text = read_file("$root/docs/openapi.yaml");
    my (@names, $path);
    for (split /\n/, $text) {
        $path = $1 if /^  (\/\S+):/;
        push @names, $1 if /^      operationId: (\S+)/ && !$here{payd}
            && $path =~ m{^/pay/|/(?:payments?|refunds?)\b};
    }
    return @names;
}

my @operations;

sub check {
    my ($what, $prefix, $skip, %o) = @_;
    my $name = $what =~ s/\W+/-/gr;
    my $known = write_file("$dir/$name.json", JSON::PP->new->utf8->encode(
        { %known, %{ $o{known} // {} } }));
    my $away = $skip =~ /^=/ ? $skip : join ',', $skip, absent();
    my ($status, $list, $err) = run_command(30, "$venv/bin/python",
        "$root/t/openapi/split.py", "$root/docs/openapi.yaml", $known, $prefix,
        $away, "$dir/$name.yaml");
    is($status, 0, "$what: the description is read") or diag $err;
    my $these = JSON::PP::decode_json($list);
    # A path in full before those with parameters.
    @operations = sort { $b->{like} !~ /\[/ <=> $a->{like} !~ /\[/ } @operations, @$these;
    write_file("$dir/$name.toml", <<"TOML" . ($o{toml} // ''));
request-timeout = 20
max-stream-events = 3
[cache]
enabled = false
[phases.coverage]
unexpected-methods = ["GET", "PUT", "POST", "PATCH", "OPTIONS", "TRACE"]
TOML
    my $limit = $o{seconds} // $seconds;
    my $since = time;
    ($status, my $out, $err) = run_command($limit + 90, "$venv/bin/python", '-m',
        'schemathesis.cli', '--config-file', "$dir/$name.toml", 'run', "$dir/$name.yaml",
        '--url', $o{url}, '--seed', $seed, '--max-time', $limit, '--workers', 1,
        '--phases', 'examples,coverage,fuzzing', '--max-examples', 40,
        '--checks', 'not_a_server_error,status_code_conformance,'
            . 'content_type_conformance,response_schema_conformance',
        '--suppress-health-check', 'all', '--warnings', 'off', '--no-color',
        '--continue-on-failure', '--generation-database', 'none',
        '-H', "Authorization: Bearer $o{token}");
    write_file("$ENV{SPEEDY_OPENAPI_LOG}/$name.log", $out) if $ENV{SPEEDY_OPENAPI_LOG};
    my ($summary) = $out =~ /=+ SUMMARY =+\n(.*)/s;
    diag(sprintf "%s: %d operations, %.0f s\n%s", $what, scalar @$these, time - $since,
        $summary // "no summary\n$out$err");
    is($status, 0, "$what: as described") or diag $out;
    return;
}

sub with_cookie {
    my ($scheme, $who) = @_;
    my ($value) = $who->{cookie} =~ /=(.*)/;
    return (toml => "[auth.openapi.$scheme]\napi_key = \"$value\"\n");
}

my @shop = (url => $s->url);
my @desk = (url => $s->ops_url);
# Generated requests take ids from answers, so the own session's, too.
my @ending = qw(endMe endSessions endSession logOut);
check('for shoppers', '!/admin', join(',', @ending, 'refreshSession'), @shop,
    token => $p->{access});
is($p->http('GET', '/api/v1/users/me')->{status}, 200, 'the token was good to the end');
check('a refresh', '!/admin', '=refreshSession', @shop, token => $q->{access},
    seconds => 10, with_cookie('refresh', $q));
check('leaving', '!/admin', '=' . join(',', @ending), @shop,
    token => $leaver->{access}, known => { password => [$leaver->{password}] },
    seconds => 15);
check('for operators', '/admin', 'staffLogOut,staffRefreshSession', @desk,
    token => $boss->{access});
is($boss->http('GET', '/admin/staff')->{status}, 200, 'the owner\'s token, too');
check('an operator\'s refresh', '/admin', '=staffRefreshSession', @desk,
    token => $boss2->{access}, seconds => 10, with_cookie('staffRefresh', $boss2));
check('an operator leaves', '/admin', '=staffLogOut', @desk,
    token => $boss2->{access}, seconds => 10);


# --- what was met

sub met {
    my %seen;
    $s->signal('nginx', 'USR1');    # its buffers are written first
    $s->http('GET', '/api/v1/products/the-last-one');
    my $log;
    wait_for {
        $log = read_file($s->env('NGINX_ACCESS_LOG'));
        return $log =~ /the-last-one/;
    } 10, 'the log';
    for (split /\n/, $log) {
        my ($method, $path, $status) =
            /"method":"(\w+)","uri":"([^"]*)","status":(\d+)/ or next;
        my ($op) = grep { $_->{method} eq lc $method && $path =~ $_->{like} } @operations;
        $seen{ $op->{name} }{$status}++ if $op;
    }
    return \%seen;
}

my $seen = met();
my %all;
for my $statuses (values %$seen) {
    $all{$_} += $statuses->{$_} for keys %$statuses;
}
diag(join ', ', map { "$_: $all{$_}" } sort keys %all);
# Mailed codes, versions and images are not guessed.
my @never = grep { !grep { /^[23]/ } keys %{ $seen->{$_} } }
    sort map { $_->{name} } @operations;
diag('refused only: ' . join ', ', @never);
cmp_ok(scalar @never, '<=', @operations / 3, 'most operations were done, not only refused');
$s->audit_ok;
done_testing();
