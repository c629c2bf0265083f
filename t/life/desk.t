# The desk through the whole stack: the first owner by speedyctl, an operator
# made by him, a person looked at and blocked, a demotion that is in force at
# once, and master keys changed under a running shop.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Desk;
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(read_file write_file wait_for);
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':encoding(UTF-8)'
    for Test::More->builder->output, Test::More->builder->failure_output;

my $s = Speedy::Stack->up;
my $boss = Speedy::Desk->new($s, login => 'boss');
my $kim;
my $shopper = Speedy::Shopper->new($s)->sign_up;
$shopper->log_in;

subtest 'logging in' => sub {
    is($boss->log_in(totp => '000000')->{code}, 'credentials_invalid', 'not without the code');
    is($boss->log_in(password => 'wrong words')->{code}, 'credentials_invalid',
        'not without the password');
    my $code = $boss->code;
    is($boss->log_in(totp => $code)->{status}, 201, 'with both');
    is($boss->log_in(totp => $code)->{code}, 'credentials_invalid', 'a code works once');
    is($boss->http('GET', '/admin/staff')->{status}, 200, 'the token is an owner\'s');
    my $res = $boss->http('GET', '/admin/staff', url => $s->url);
    is($res->{status}, 404, 'the public listener knows no desk');
    $res = $s->http('POST', '/admin/sessions/refresh', url => $s->ops_url,
        headers => { Cookie => $boss->{cookie} });
    is($res->{status}, 200, 'refreshed') or diag($res->{content});
    $boss->{access} = $res->{json}{access_token};
};

subtest 'an operator made at the desk' => sub {
    my $res = $boss->http('POST', '/admin/staff', json => { login => 'kim', role => 'OPERATOR' });
    is($res->{status}, 201, 'made') or diag($res->{content});
    $kim = Speedy::Desk->new($s, %{ $res->{json} });
    is($kim->log_in->{status}, 201, 'and let in');
    is($kim->http('GET', '/admin/staff')->{code}, 'role_required', 'as an operator, no more');
};

subtest 'a person looked at' => sub {
    my $res = $kim->http('GET', "/admin/users?email=$shopper->{email}");
    is($res->{status}, 200, 'found by the address');
    unlike($res->{content}, qr/\Q$shopper->{email}\E/, 'masked');
    my $id = $res->{json}{data}[0]{id};
    is($id, $shopper->{id}, 'the right one');
    is($kim->http('GET', "/admin/users/$id")->{code}, 'reason_required', 'not without a reason');
    $res = $kim->http('GET', "/admin/users/$id?reason=asked%20by%20phone");
    is($res->{json}{email}, $shopper->{email}, 'in plain words');
    $res = $boss->http('GET', "/admin/audit-log?object=$id");
    is($res->{json}{data}[0]{act}, 'user.view', 'the view is logged');
    is($res->{json}{data}[0]{actor}, 'staff:kim', '... with who');
    is($res->{json}{data}[0]{reason}, 'asked by phone', '... and why');
};

subtest 'blocked' => sub {
    is($shopper->http('GET', '/api/v1/users/me')->{status}, 200, 'a token that works');
    my $res = $kim->http('POST', "/admin/users/$shopper->{id}/block", json => { reason => 'bots' });
    my $begun = time;
    is($res->{status}, 200, 'blocked') or diag($res->{content});
    wait_for { return $shopper->http('GET', '/api/v1/users/me')->{status} == 401 } 5,
        'the token to be refused';
    my $ms = 1000 * (time - $begun);
    diag(sprintf 'refused after %.0f ms', $ms);
    cmp_ok($ms, '<=', 1500, 'at once');
    isnt($shopper->log_in->{status}, 201, 'no new login');
    $res = $kim->http('POST', "/admin/users/$shopper->{id}/unblock", json => { reason => 'a mistake' });
    is($res->{status}, 200, 'unblocked');
    is($shopper->log_in->{status}, 201, 'and let in again');
};

subtest 'demoted' => sub {
    is($kim->http('GET', '/admin/audit-log')->{status}, 200, 'an operator reads the log');
    my $old = $kim->{access};
    my $res = $boss->http('PATCH', "/admin/staff/$kim->{id}", json => { role => 'CS' });
    is($res->{status}, 200, 'demoted') or diag($res->{content});
    $res = $kim->http('GET', '/admin/audit-log');
    like($res->{status}, qr/^(401|403)$/, 'the very next request is refused');
    is($kim->log_in->{status}, 201, 'a new login');
    is($kim->http('GET', '/admin/audit-log')->{code}, 'role_required', '... has the new role');
    is($boss->http('PATCH', "/admin/staff/$boss->{id}", json => { role => 'CS' })->{code},
        'last_owner', 'the last owner stays');
};

subtest 'master keys, changed while the shop runs' => sub {
    my $dir = "$s->{dir}/secrets";
    my ($status, undef, $err) = $s->ctl_try('keys', 'rotate', '--to', 'm2');
    is($status, 1, 'not without its file');
    like($err, qr/openssl rand -hex 32/, '... says how to make it');
    write_file("$dir/master-m2", join '', map { sprintf '%02x', int rand 256 } 1 .. 32);
    chmod 0400, "$dir/master-m2";
    my $conf = read_file("$s->{dir}/etc/speedy.conf");
    $conf =~ s/^master = m1$/master = m2/m or die 'no [keys] master';
    write_file("$s->{dir}/etc/speedy.conf", $conf);
    ($status, undef, $err) = $s->ctl_try('keys', 'rotate');
    is($status, 1, 'nor while a userd runs that does not know it');
    like($err, qr/has not loaded key m2/, '... says which');
    userd_again();
    my $done = $s->ctl_json('keys', 'rotate');
    cmp_ok($done->{users}, '>=', 1, 'users rewrapped');
    is($done->{staff}, 2, 'operators rewrapped');
    is_deeply([@{$done}{qw(failed left)}], [0, 0], 'all of them');
    unlink "$dir/master-m1" or die $!;
    userd_again();
    is($shopper->http('GET', '/api/v1/users/me')->{json}{email}, $shopper->{email},
        'read with the new key alone');
    my $other = Speedy::Shopper->new($s)->sign_up;
    is($other->log_in->{status}, 201, 'and new ones are written with it');
    my ($ok) = $s->ctl_try('keys', 'status');
    is($ok, 0, 'keys status has nothing to complain about');
    my (undef, $text) = $s->ctl_try('doctor');
    like($text, qr/^ok +keys of accounts/m, 'doctor knows the keys');
    like($text, qr/^ok +master keys in use: none but the current one/m, '... and their use');
    like($text, qr/^ok +owners: 1 active/m, '... and the owner');
};

sub userd_again {
    for my $name (grep { defined $s->pid($_) } qw(userd_1 userd_2)) {
        my $old = $s->signal($name, 'TERM');
        $s->restarted($name, $old, 30);
        wait_for {
            return $s->http('GET', '/api/v1/users/me', token => $shopper->{access})->{status} < 500;
        } 20, "$name to answer";
    }
    return;
}

subtest 'a lost authenticator' => sub {
    my $new = $s->ctl_json('staff', 'reset', 'boss');
    wait_for { return $boss->http('GET', '/admin/staff')->{status} == 401 } 5,
        'the old session to end';
    is($boss->log_in->{code}, 'credentials_invalid', 'the old ones are worth nothing');
    my $again = Speedy::Desk->new($s, %$new, steps => 2);
    $again->{steps} = 1;
    wait_for { return $again->log_in->{status} == 201 } 60, 'a login with the new ones';
    is($again->http('GET', '/admin/staff')->{status}, 200, 'in again');
    my $logs = join '', map { read_file($_) // '' } glob "$s->{dir}/log/*";
    unlike($logs, qr/\Q$new->{password}\E|\Q$new->{totp_secret}\E/, 'no secret in a log');
};

done_testing();
