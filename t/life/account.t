# A person's way through the shop: a code by mail, an account, a purchase, new
# tokens, a new password, and what no longer works after it.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(wait_for);
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':encoding(UTF-8)'
    for Test::More->builder->output, Test::More->builder->failure_output;

my $s = Speedy::Stack->up;

# Every line that a shopper would see, for whoever reads the output.
sub told {
    my ($what, $res) = @_;
    diag(sprintf '%-44s %s %s', $what, $res->{status}, $res->{code} // '');
    return $res;
}

subtest 'from a code to a purchase' => sub {
    my $p = Speedy::Shopper->new($s);
    my $begun = time;
    my $res = told('POST /email-verifications', $p->ask_code);
    is($res->{status}, 202, 'a code was asked for');
    my ($code, $mail) = $p->code;
    diag(sprintf 'mail after %.0f ms: %s', 1000 * (time - $begun), $mail->{subject});
    like($mail->{subject}, qr/\p{Hangul}/, 'a Korean subject');
    like($mail->{html}, qr/$code/, 'the code is in the HTML part, too');
    unlike($res->{content}, qr/$code/, 'and was not in the answer');

    $res = told('POST /users, unconfirmed', $p->create(verification => 'x' x 43));
    is($res->{status}, 400, 'no account without a confirmed address');
    is($res->{code}, 'verification_invalid', '... and why');

    $res = told('POST /email-verifications/confirm', $p->confirm($code));
    is($res->{status}, 200, 'confirmed');
    $res = $p->confirm($code);
    is($res->{code}, 'code_used', 'a code works once');

    $res = told('POST /users', $p->create);
    is($res->{status}, 201, 'signed up') or diag($res->{content});
    my $id = $res->{json}{id};
    $res = $p->create(email => $p->{email});
    is($res->{code}, 'verification_invalid', 'a proof works once');

    $res = told('POST /sessions', $p->log_in);
    is($res->{status}, 201, 'logged in');
    like($p->{set_cookie}, qr/HttpOnly/, 'the refresh cookie is HttpOnly');
    like($p->{set_cookie}, qr/Secure/, '... Secure');
    like($p->{set_cookie}, qr/SameSite=Lax/, '... SameSite=Lax');
    unlike($res->{content}, qr/refresh/, '... and not in the body');

    my $sale = $s->new_sale(stock => 5);
    $res = told('POST /sales/{id}/orders', $p->http('POST', "/api/v1/sales/$sale/orders",
        json => { variant => 'default', quantity => 1 },
        headers => { 'Idempotency-Key' => 'account-1' }));
    is($res->{status}, 202, 'bought') or diag($res->{content});
    wait_for {
        return $s->sql('SELECT user_id FROM orders WHERE user_id = ?', $id);
    } 10, 'the order of this person in MySQL';

    my ($old_access, $old_cookie) = @{$p}{qw(access cookie)};
    $res = told('POST /sessions/refresh', $p->refresh);
    is($res->{status}, 200, 'refreshed');
    isnt($p->{cookie}, $old_cookie, 'another cookie');
    my $same = $p->{cookie};
    $p->refresh($old_cookie);
    is($p->{cookie}, $same, 'a lost answer gives the same successor');

    my $other = Speedy::Shopper->new($s, %$p, access => undef, cookie => undef);
    is($other->log_in->{status}, 201, 'a second device');
    $res = $p->http('GET', '/api/v1/sessions');
    is(scalar @{ $res->{json}{data} }, 2, 'both are listed');
    unlike($res->{content}, qr/Mozilla/, '... by name, not by what they sent');

    $res = told('PUT /users/me/password', $p->http('PUT', '/api/v1/users/me/password',
        json => { current_password => $p->{password}, new_password => 'quite another 1' }));
    is($res->{status}, 204, 'the password was changed') or diag($res->{content});
    $begun = time;
    wait_for { return $p->http('GET', '/api/v1/users/me')->{status} == 401 } 5,
        'the old access token to be refused';
    diag(sprintf 'old access token refused after %.0f ms', 1000 * (time - $begun));
    $res = told('GET /users/me, the old token', $p->http('GET', '/api/v1/users/me'));
    is($res->{code}, 'session_ended', 'its session has ended');
    is($other->http('GET', '/api/v1/users/me')->{status}, 401, 'on all devices');
    $res = told('POST /sessions/refresh, the old cookie', $p->refresh);
    is($res->{status}, 401, 'no new tokens from the old session');
    is($p->log_in->{code}, 'credentials_invalid', 'the old password is no more');
    is($p->log_in(password => 'quite another 1')->{status}, 201, 'the new one is');
    ok($p->mail(undef), 'a mail tells of the change');
};

subtest 'a forgotten password' => sub {
    my $p = Speedy::Shopper->new($s, language => 'en')->sign_up;
    $p->log_in;
    is($p->ask_code('reset')->{status}, 202, 'asked for');
    my ($code, $mail) = $p->code;
    unlike($mail->{subject}, qr/\p{Hangul}/, 'in English, as this person reads');
    my $res = $s->http('POST', '/api/v1/password-resets/confirm',
        json => { email => $p->{email}, code => $code, password => 'brand new words' });
    is($res->{status}, 204, 'set anew') or diag($res->{content});
    is($p->log_in->{code}, 'credentials_invalid', 'the old one is no more');
    is($p->log_in(password => 'brand new words')->{status}, 201, 'the new one is');
};

subtest 'an account that ends' => sub {
    my $p = Speedy::Shopper->new($s)->sign_up;
    $p->log_in;
    my $res = $p->http('POST', '/api/v1/users/me/addresses', json => {
        recipient => "\x{d64d}\x{ae38}\x{b3d9}", phone => '010 1234 5678',
        postcode => '04524', line1 => "\x{c11c}\x{c6b8} 1", line2 => '' });
    is($res->{status}, 201, 'an address') or diag($res->{content});
    $res = $p->http('DELETE', '/api/v1/users/me', json => { password => 'wrong words' });
    is($res->{code}, 'credentials_invalid', 'not without the password');
    $res = $p->http('DELETE', '/api/v1/users/me', json => { password => $p->{password} });
    is($res->{status}, 204, 'ended') or diag($res->{content});
    my ($row) = $s->sql('SELECT state, data_key IS NULL, email_index IS NULL,'
        . ' sealed_email IS NULL FROM users WHERE id = ?', $p->{id});
    is_deeply($row, ['ENDED', 1, 1, 1], 'its data key is shredded');
    is($s->sql('SELECT COUNT(*) FROM addresses WHERE user_id = ?', $p->{id}), 0,
        'its addresses are gone');
    is($p->log_in->{code}, 'credentials_invalid', 'nobody logs in to it');
    wait_for { return $p->http('GET', '/api/v1/users/me')->{status} == 401 } 5,
        'its access token to be refused';
    ok($p->sign_up->{id}, 'the address is free again');
};

subtest 'nothing personal lies open' => sub {
    my $p = Speedy::Shopper->new($s)->sign_up;
    my @tables = map { $_->[0] } $s->sql(
        'SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()');
    my ($local) = split /@/, $p->{email};
    my @open;
    for my $table (@tables) {
        my @columns = map { $_->[0] } $s->sql('SELECT column_name FROM'
            . ' information_schema.columns WHERE table_schema = DATABASE()'
            . ' AND table_name = ?', $table);
        my $any = join ' OR ', map { "INSTR(CAST(`$_` AS BINARY), '$local')" } @columns;
        push @open, $table if $s->sql("SELECT COUNT(*) FROM `$table` WHERE $any");
    }
    is_deeply(\@open, [], 'the address stands in no table');
    my @logs = grep {
        (Speedy::Util::read_file($_) // '') =~ /\Q$local\E|\Q$p->{password}\E/
    } glob "$s->{dir}/log/*";
    is_deeply(\@logs, [], '... and in no log');
};

done_testing();
