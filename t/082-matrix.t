# Every operation × every kind of token, at nginx.conf.example, with daemons
# behind it that tell whom they take the caller for. A location, a route or an
# operation without its rule fails here. The whole shop's: t/life/matrix.t.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Example;
use Speedy::Matrix;
use Speedy::Util qw(read_file wait_for);
use Test::More;

my @operations = Speedy::Matrix::operations();
my @routes = Speedy::Matrix::routes();
cmp_ok(scalar @operations, '>', 25, 'operations');
cmp_ok(scalar @routes, '>', 25, 'routes of daemons');
is(join("\n", Speedy::Matrix::disagreements(routes => \@routes)), '',
    'openapi, locations and routes agree');

# The check itself: what is forgotten is found.
my $conf = read_file('nginx.conf.example');
my $says = sub {
    my ($change, $pattern, $name, %o) = @_;
    local $_ = $conf;
    $change->();
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @wrong = Speedy::Matrix::disagreements(conf => $_, routes => \@routes, %o);
    return like(join("\n", @wrong), $pattern, $name);
};
$says->(sub { s/(location = \/api\/v1\/users\/me \{)/location = \/api\/v1\/secrets { proxy_pass http:\/\/userd; }\n$1/ },
    qr/location 8080 = \/api\/v1\/secrets has no rule/, 'a location without a rule');
$says->(sub { s/(location = \/api\/v1\/users\/me \{)/location = \/api\/v1\/secrets { speedy_auth user; proxy_pass http:\/\/userd; }\n$1/ },
    qr/no operation leads to location 8080 = \/api\/v1\/secrets/, 'a location that is not in openapi');
$says->(sub { s/(location = \/api\/v1\/users\/me \{\s+speedy_auth) user/$1 off/ },
    qr{GET /api/v1/users/me asks for off, openapi for user}, 'a location that is open');
$says->(sub { s/limit_except POST \{\s+speedy_auth user;/limit_except POST {/ },
    qr{location 8080 = /api/v1/sessions has no rule}, 'methods without a rule');
$says->(sub { }, qr{openapi: GET /api/v1/hidden of userd is missing}, 'a route that is not in openapi',
    routes => [@routes, { daemon => 'userd', method => 'GET', path => '/api/v1/hidden', auth => 'user' }]);
$says->(sub { }, qr{openapi: GET /api/v1/users/me asks for user, userd for off}, 'a route that is open',
    routes => [{ daemon => 'userd', method => 'GET', path => '/api/v1/users/me', auth => 'off' }]);
$says->(sub { }, qr{openapi: GET /api/v1/orders has no x-speedy-auth}, 'an operation without a rule',
    operations => [{ method => 'GET', path => '/api/v1/orders', ops => '' }]);

# Limits are t/081-gateway.t's.
my $g = Speedy::Example->start(edit => sub { s/^\s*limit_(?:req|conn) .*;\n//mg });
$g->end_session('ended');
wait_for {
    return $g->http('GET', '/api/v1/orders', token => $g->token(sid => 'ended'))->{status} == 401;
} 5, 'the ended session';

my %lies = ('X-Speedy-User' => 'victim', 'X-Speedy-Role' => 'OWNER', 'X-Speedy-Session' => 'victim',
    'X_Speedy_User' => 'victim', 'X_Speedy_Role' => 'OWNER', 'X-SPEEDY-SALE' => 'victim');
my ($told, @believed) = (0);

sub ask {
    my ($op, %cell) = @_;
    my %t = %{ $cell{token} // {} };
    my $token = $cell{token} ? $g->token(role => $t{role}, sub => 'me', sid => $t{ended} ? 'ended' : 'mine',
        expired => $t{expired}, $t{forged} ? (bits => 'wrong') : ()) : undef;
    my $r = $g->http($op->{method}, Speedy::Matrix::concrete($op->{path}), ops => $op->{ops},
        defined $token ? (token => $token) : (), headers => { %lies, 'Content-Type' => 'application/json' },
        $op->{method} =~ /^P/ ? (content => '{}') : ());
    if ($r->{seen}) {
        $told++;
        my $who = join ' ', map { $r->{seen}{"x-speedy-$_"} // '-' } qw(user role session sale);
        my $want = $op->{auth} eq 'off' ? '- - - -' : "me $t{role} mine -";
        push @believed, "$op->{method} $op->{path}: $who" if $who ne $want || $r->{json}{head} =~ /victim|x_speedy/i;
    }
    return $r;
}

my $m = Speedy::Matrix->new(ask => \&ask);
for my $column (Speedy::Matrix::columns()) {
    my $before = $m->cells;
    is($m->column($column, @operations), 0, $column);
    diag(sprintf '%-11s %4d cells', $column, $m->cells - $before);
}
is(join("\n", $m->wrong), '', 'none is wrong');
is(join("\n", @believed), '', 'what a client says of itself is never believed');
cmp_ok($told, '>', 80, "by the daemons of $told cells");
diag(sprintf '%d operations, %d cells, %d wrong', scalar @operations, $m->cells, scalar $m->wrong);

# Paths beside the operations, in the spelling of an attacker.
for my $path ('/admin/staff', '/ADMIN/staff', '/admin', '/api/v1/../../admin/staff', '/api/v1/%2e%2e/%2e%2e/admin/staff',
    '//admin//staff', '/admin%2fstaff', '/internal/replays', '/./internal/mails/x/render', '/api/v1/users/me/../../../../internal/x',
    '/api/v1/users/u2', '/api/v1/users/', '/api/v1/users/ME', '/api/v1/healthz', '/healthz', '/readyz', '/metrics', '/nginx')
{
    my $r = $g->http('GET', $path, token => $g->token(role => 'OWNER'));
    is($r->{status}, 404, "the shop's listener has no $path");
    ok(!$r->{seen}, '... and asks nobody');
}
is(join("\n", $g->stop), '', 'an orderly end');
done_testing();
