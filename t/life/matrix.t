# The whole shop: every operation of docs/openapi.yaml × no token, an expired
# one, one of an ended session, another role's, another user's ids. Two people
# who signed up by mail, two gateways.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use JSON::PP ();
use Speedy::Gateway;
use Speedy::Matrix;
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Token ();
use Speedy::Util qw(wait_for);
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':encoding(UTF-8)'
    for Test::More->builder->output, Test::More->builder->failure_output;

my $s = Speedy::Stack->up;

sub body {
    return (content => JSON::PP->new->utf8->encode($_[0]),
        headers => { 'Content-Type' => 'application/json' });
}
my $second = Speedy::Gateway->start($s);
my %gateway = (first => $s->url, second => $second->url);
my @operations = Speedy::Matrix::operations();
is(join("\n", Speedy::Matrix::disagreements()), '',
    'openapi, locations and routes agree');

my ($me, $other) = map { Speedy::Shopper->new($s)->sign_up } 1 .. 2;
$_->log_in for $me, $other;
my $sale = $s->new_sale(stock => 100, limit => 100);
my $key_file = $s->dir . '/secrets/jwt-current';

sub made {
    my (%o) = @_;
    return Speedy::Token::token(key_file => $key_file, %o);
}

# A session that has ended, and its token; staff have theirs alike.
my $ended = Speedy::Shopper->new($s, email => $me->{email}, password => $me->{password});
$ended->log_in;
my $token = $ended->{access};
my $sid = Speedy::Token::token_claims($token)->{sid};
is($s->http('GET', '/api/v1/users/me', token => $token, url => $_)->{status}, 200, 'a session lives')
    for values %gateway;
is($ended->http('DELETE', '/api/v1/sessions/current')->{status}, 204, 'it is ended');
my $began = time;
my $let_in = 0;
while (time - $began < 1.5) {
    for my $url (values %gateway) {
        my $asked = time;
        my $status = $s->http('GET', '/api/v1/users/me', token => $token, url => $url)->{status};
        $let_in = $asked - $began if $status == 200;
    }
}
cmp_ok($let_in, '<', 1, sprintf 'refused by both gateways after %.0f ms', 1000 * $let_in);

sub ask {
    my ($op, %cell) = @_;
    my %t = %{ $cell{token} // {} };
    my $own = !$cell{token} ? undef
        : $t{ended} && $t{role} eq 'USER' ? $token
        : made(sub => $t{role} eq 'USER' ? $me->{id} : 'tnobody', role => $t{role},
            sid => $t{ended} ? $sid : 'smatrix', expired => $t{expired},
            $t{forged} ? (bits => 'wrong') : ());
    # Each second cell by the other gateway; operators have their listener.
    my $url = $op->{ops} ? $s->ops_url : $gateway{ $cell{token} ? 'second' : 'first' };
    return $s->http($op->{method}, Speedy::Matrix::concrete($op->{path}), url => $url,
        defined $own ? (token => $own) : (),
        headers => { 'X-Speedy-User' => $other->{id}, 'X_Speedy_User' => $other->{id},
            'X-Speedy-Role' => 'OWNER' },
        $op->{method} =~ /^P/ ? (json => {}) : ());
}

# The right token is not tried here: some of these operations end much.
my $m = Speedy::Matrix->new(ask => \&ask);
for my $column (qw(no_token bad_token expired ended other_role)) {
    my $before = $m->cells;
    is($m->column($column, @operations), 0, $column);
    diag(sprintf '%-11s %4d cells', $column, $m->cells - $before);
}
is(join("\n", $m->wrong), '', 'none is wrong');

# --- another user's ids

my $address = $other->http('POST', '/api/v1/users/me/addresses', body({
    recipient => '홍길동', phone => '010-1234-5678', postcode => '04524',
    line1 => '서울 중구 세종대로 110' }));
is($address->{status}, 201, 'the other one has an address') or diag($address->{content});
my $order = $s->buy($sale, token => $other->{access}, key => 'theirs');
is($order->{status}, 202, 'and an order');
wait_for {
    return $other->http('GET', "/api/v1/orders/$order->{order_id}")->{json}{state}
        eq 'PENDING_PAYMENT';
} 10, 'the order in MySQL';
my %theirs = (
    order   => $order->{order_id},
    address => $address->{json}{id},
    session => Speedy::Token::token_claims($other->{access})->{sid},
);
my %none = (session => 's' . 'A' x 22,
    map { $_ => '01900000-0000-7000-8000-000000000001' } qw(order address));
# What is in a path and belongs to nobody, or is staff's to name.
my %shared = map { $_ => 1 } qw(sale product);
# Bodies that would be taken if the thing were mine.
my %body = (PATCH => { recipient => '성춘향', version => 1 }, POST => {}, PUT => {});
# An order that is not there may be on its way.
my %other = ('POST /api/v1/orders/{order}/payment' => {
    status => 409, body => { address_id => $theirs{address} } });

my $foreign = 0;
for my $op (grep { $_->{auth} eq 'user' } @operations) {
    my @names = grep { !$shared{$_} } $op->{path} =~ /\{(\w+)\}/g;
    next if !@names;
    my $name = "$op->{method} $op->{path}";
    is(join(' ', grep { !defined $theirs{$_} } @names), '', "$name: whose id it is, is known here") or next;
    my $body = $other{$name} ? $other{$name}{body} : $body{ $op->{method} };
    my %send = (token => $me->{access}, $body ? body($body) : ());
    $send{headers}{'Idempotency-Key'} = 'theirs';
    my $r = $s->http($op->{method}, Speedy::Matrix::concrete($op->{path}, %theirs), %send);
    my $unknown = $s->http($op->{method}, Speedy::Matrix::concrete($op->{path}, %none), %send);
    is($r->{status}, $other{$name} ? $other{$name}{status} : 404, "$name: another's") or diag($r->{content});
    is($r->{json}{code}, $unknown->{json}{code}, '... is told as what is not there');
    $foreign += 2;
}
cmp_ok($foreign, '>=', 6, 'ids in paths');

# And where no id is in the path: mine is shown, whatever a header claims.
my %lies = ('X-Speedy-User' => $other->{id}, 'X_Speedy_User' => $other->{id}, 'X-Speedy-Session' => $theirs{session});
my $lying = sub { $foreign++; return $s->http($_[0], $_[1], token => $me->{access}, headers => \%lies, @_[2 .. $#_]) };
is($lying->('GET', '/api/v1/users/me')->{json}{id}, $me->{id}, 'my account');
is_deeply($lying->('GET', '/api/v1/users/me/addresses')->{json}{data}, [], 'my addresses');
is_deeply($lying->('GET', '/api/v1/orders')->{json}{data}, [], 'my orders');
unlike($lying->('GET', '/api/v1/sessions')->{content}, qr/\Q$theirs{session}\E/, 'my sessions');
isnt($lying->('PUT', '/api/v1/users/me/password', json => { current_password => $other->{password},
    new_password => 'a brand new password' })->{status}, 204, 'not by their password');
my $mine = $s->buy($sale, token => $me->{access}, key => 'mine', headers => \%lies);
$foreign++;
is($mine->{status}, 202, 'a purchase');
wait_for {
    return ($s->http('GET', "/api/v1/orders/$mine->{order_id}", token => $me->{access})->{json}{state} // '')
        eq 'PENDING_PAYMENT';
} 10, 'my order';
is($other->http('GET', "/api/v1/orders/$mine->{order_id}")->{status}, 404, '... is mine');
is($lying->('DELETE', '/api/v1/sessions')->{status}, 204, 'all my sessions end');
is($other->http('GET', '/api/v1/users/me')->{status}, 200, '... and not the other\'s');

# Nothing of theirs has changed.
is($other->http('GET', '/api/v1/orders')->{json}{data}[0]{order_id}, $theirs{order}, 'their order is there');
is($other->http('GET', '/api/v1/users/me/addresses')->{json}{data}[0]{recipient}, $address->{json}{recipient},
    'their address is as it was');

diag(sprintf '%d operations; %d cells and %d with another\'s ids; %d wrong', scalar @operations,
    $m->cells, $foreign, scalar $m->wrong);
ok($second->stop, 'the second gateway ends in order');
done_testing();
