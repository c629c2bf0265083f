# The security defects of the system that this one replaces, each tried here
# as somebody with bad intentions would.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(read_file run_command wait_for);
use Test::More;

my $s = Speedy::Stack->up;
my $victim = Speedy::Shopper->new($s)->sign_up;
$victim->log_in;

subtest 'the code is not in the response' => sub {
    my $p = Speedy::Shopper->new($s);
    my $res = $p->ask_code;
    my $code = $p->code;
    unlike("$res->{content} @{[ %{ $res->{headers} } ]}", qr/$code/, 'of the request');
    $res = $p->confirm('000000' eq $code ? '000001' : '000000');
    unlike($res->{content}, qr/$code/, 'nor of a wrong try');
};

subtest 'sign-up asks for a confirmed address, and for this very one' => sub {
    my ($p, $q) = map { Speedy::Shopper->new($s) } 1 .. 2;
    my $account = $p->account;
    delete $account->{verification};
    my $res = $s->http('POST', '/api/v1/users', json => $account);
    is($res->{status}, 400, 'none given');
    $p->ask_code;
    $p->code;
    is($p->create(verification => 'A' x 43)->{code}, 'verification_invalid', 'a guess');
    $q->ask_code;
    $q->confirm(scalar $q->code);
    is($p->create(verification => $q->{verification})->{code},
        'verification_invalid', 'the proof of another address');
    is($s->sql('SELECT COUNT(*) FROM users'), 1, 'and nobody was signed up');
};

subtest 'tries and mails are limited' => sub {
    my $p = Speedy::Shopper->new($s);
    $p->ask_code;
    my $code = $p->code;
    my %codes;
    for my $n (1 .. 1000) {
        my $wrong = sprintf '%06d', ($code + $n) % 1_000_000;
        $codes{ $p->confirm($wrong)->{code} }++;
    }
    diag(join ', ', map { "$_ $codes{$_}" } sort keys %codes);
    is($s->sql('SELECT MAX(tries) FROM verifications'), 5, 'five of 1,000 were judged');
    isnt($p->confirm($code)->{status}, 200, 'then the right one does not help');
    my $res = $p->ask_code;
    is($res->{status}, 429, 'a second mail at once is refused');
    ok($res->{headers}{'retry-after'}, '... with the time to wait');
};

subtest 'codes are not predictable' => sub {
    my @codes = map {
        my $p = Speedy::Shopper->new($s);
        $p->ask_code;
        scalar $p->code;
    } 1 .. 12;
    my %seen;
    $seen{$_}++ for @codes;
    is(scalar(keys %seen), 12, 'twelve codes differ');
    my %steps;
    $steps{ ($codes[$_] - $codes[ $_ - 1 ]) % 1_000_000 }++ for 1 .. $#codes;
    is(scalar(keys %steps), 11, '... and so do their distances');
};

subtest 'no token, no entry; and nobody says who they are' => sub {
    my @routes = (
        ['GET', '/api/v1/users/me'], ['GET', '/api/v1/orders'],
        ['GET', '/api/v1/sessions'], ['DELETE', '/api/v1/users/me'],
        ['GET', '/api/v1/users/me/addresses'], ['POST', '/api/v1/sales/x/orders'],
    );
    for my $route (@routes) {
        my ($method, $path) = @$route;
        my %headers = (
            'X-Speedy-User' => $victim->{id}, 'X_Speedy_User' => $victim->{id},
            'X-Speedy-Role' => 'OWNER', 'X-Speedy-Session' => $victim->{session},
            'X-User-Id' => $victim->{id},
        );
        my $res = $s->http($method, $path, headers => \%headers,
            json => $method eq 'GET' ? undef : {});
        is($res->{status}, 401, "$method $path");
        my $mine = $s->http($method, $path, headers => \%headers,
            token => $s->token('somebody'), json => $method eq 'GET' ? undef : {});
        unlike($mine->{content}, qr/\Q$victim->{email}\E|\Q$victim->{id}\E/,
            '... and a token of another shows nothing of the victim');
    }
};

subtest 'the user comes from the token, not from the address' => sub {
    for my $path ("/api/v1/users/$victim->{id}", "/api/v1/users/$victim->{id}/addresses") {
        my $res = $s->http('GET', $path, token => $s->token('somebody'));
        is($res->{status}, 404, "GET $path");
    }
};

subtest 'what is internal stays inside' => sub {
    for my $path (qw(/internal/replays /internal/mails/00000000-0000-7000-8000-000000000000/render
        /admin/users /admin/staff /metrics /healthz /test /actuator/env /.git/config /api/v1/../internal/replays
        /internal%2freplays //internal/replays)) {
        my $res = $s->http('POST', $path, token => $s->token('root', role => 'OWNER'), json => {});
        like($res->{status}, qr/^(?:400|401|403|404|405)$/, "POST $path: $res->{status}");
    }
};

subtest 'no page prints a secret' => sub {
    my @secrets = map { read_file($_) =~ s/\s+\z//r } glob "$s->{dir}/secrets/*";
    my $any = join '|', map { quotemeta } grep { length >= 16 } @secrets;
    my @sockets = glob "$s->{dir}/run/*_[0-9].sock";
    my ($answered, @telling) = (0);
    for my $socket (@sockets) {
        for my $page (qw(healthz readyz metrics)) {
            my (undef, $out) = run_command(10, 'curl', '-sf', '-m', '5',
                '--unix-socket', $socket, "http://localhost/$page");
            $answered++ if length $out;
            push @telling, "$socket $page" if $out =~ /$any/;
        }
    }
    is($answered, 3 * @sockets, 'every daemon answers its three pages');
    is_deeply(\@telling, [], '... and none with a secret');
    my $metrics = $s->http('GET', '/metrics', url => $s->ops_url);
    is($metrics->{status}, 200, 'the gateway tells its figures');
    unlike($metrics->{content}, qr/$any/, '... and no secret');
};

subtest 'nobody learns whether an address is known' => sub {
    my $stranger = Speedy::Shopper->new($s);
    for my $purpose (qw(signup reset)) {
        my $known = Speedy::Shopper->new($s, email => $victim->{email})->ask_code($purpose);
        my $unknown = Speedy::Shopper->new($s)->ask_code($purpose);
        # The victim's sign-up asked for a code a moment ago.
        is_deeply([@{$known}{qw(status content)}], [@{$unknown}{qw(status content)}],
            "$purpose: the same answer") if $purpose eq 'reset';
        is($unknown->{status}, 202, "$purpose of a stranger: taken");
    }
    my $known = $s->http('POST', '/api/v1/sessions',
        json => { email => $victim->{email}, password => 'not this one' });
    my $unknown = $s->http('POST', '/api/v1/sessions',
        json => { email => $stranger->{email}, password => 'not this one' });
    my ($a, $b) = map { { %{ $_->{json} }, request_id => undef } } $known, $unknown;
    is_deeply($a, $b, 'a wrong password and an unknown address answer alike');
};

subtest 'no token stands in for another' => sub {
    my ($refresh) = $victim->{cookie} =~ /=(.*)/;
    is($s->http('GET', '/api/v1/users/me', token => $refresh)->{status}, 401,
        'a refresh token is no access token');
    my $res = $s->http('POST', '/api/v1/sessions/refresh',
        headers => { Cookie => "speedy_refresh=$victim->{access}" });
    is($res->{status}, 401, 'an access token is no refresh token');
};

done_testing();
