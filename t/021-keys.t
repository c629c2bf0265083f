# ES256 and RS256 with keys made by openssl, two at a time, and their rotation.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Speedy::Module qw(gateway gateway_config keys_dir nginx_start nginx_stop
    nginx_log);
use Speedy::Util qw(read_file run_command wait_for write_file);
use Test::More;
use HTTP::Tiny;
use Speedy::Token qw(token token_by_openssl);

gateway(kafka => 0);
my $dir = keys_dir();

sub run {
    my ($status, $out, $err) = run_command(60, @_);
    die "@_: $err" if $status;
    return $out;
}

sub make_key {
    my ($name, @how) = @_;
    run(qw(openssl genpkey), @how, '-out', "$dir/$name.key");
    run(qw(openssl pkey -pubout -in), "$dir/$name.key", '-out', "$dir/$name.pub");
    return;
}
make_key($_, qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)) for qw(ec1 ec2);
make_key($_, qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)) for qw(rsa1 rsa2);
make_key('rsa4', qw(-algorithm RSA -pkeyopt rsa_keygen_bits:4096));

# The purchase needs stores that these tests do not.
sub config {
    return gateway_config() =~ s/location ~ \^\/api.*?\n        \}\n//gsr . <<'CONF';
        location = /jwks { speedy_auth off; speedy_jwks; }
CONF
}

my $n;

sub with {
    my (@keys) = @_;
    nginx_stop($n) if $n;
    $n = nginx_start(config => config(), http => {
        jwt_key => [@keys], redis => undef, redis_user => undef,
        redis_password_file => undef, kafka => undef, zone => 'one=1m' });
    return;
}

sub ask {
    my ($token, $path) = @_;
    return HTTP::Tiny->new(timeout => 10)->get(
        "http://127.0.0.1:$n->{port}" . ($path // '/me'),
        { headers => $token ? { Authorization => "Bearer $token" } : {} });
}

sub accepted {
    my ($token, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($token);
    return is("$r->{status} $r->{content}", "200 user=u1 role=USER\n", $name);
}

sub refused {
    my ($token, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($token);
    return like("$r->{status} $r->{content}", qr/^401 .*"code":"token_invalid"/, $name);
}

sub signed {
    my ($alg, $kid, $key, %o) = @_;
    return token_by_openssl(alg => $alg, kid => $kid, key_file => "$dir/$key.key",
        sub => 'u1', %o);
}

# Another text for the same token: its last signature character changed to
# each that decodes to the same bytes.
sub spellings {
    my ($token) = @_;
    my @alphabet = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
    my ($head, $last) = $token =~ /^(.*)(.)$/s;
    my $bytes = decode_base64url((split /\./, $token)[2]);
    return grep { $_ ne $token && decode_base64url((split /\./, $_)[2]) eq $bytes }
        map { $head . $_ } @alphabet;
}

subtest 'ES256' => sub {
    with("e1 ES256 $dir/ec1.pub", "e0 ES256 $dir/ec2.pub");
    my $t = signed('ES256', 'e1', 'ec1');
    accepted($t, 'the current key');
    accepted($t, 'from the cache');
    accepted(signed('ES256', 'e0', 'ec2'), 'the previous key');
    # r or s may begin with zero bytes; both have their 32 all the same.
    my %first;
    for (1 .. 40) {
        my $s = signed('ES256', 'e1', 'ec1');
        is(length decode_base64url((split /\./, $s)[2]), 64, 'r and s') or last;
        accepted($s, "signature $_") or last;
    }
    refused(signed('ES256', 'e0', 'ec1'), 'the key of the other id');
    refused(signed('ES256', 'e2', 'ec1'), 'an id that is not there');
    my ($h, $p, $s) = split /\./, $t;
    my $raw = decode_base64url($s);
    my ($x, $y) = (substr($raw, 0, 32), substr $raw, 32);
    my $zero = "\0" x 32;
    refused("$h.$p." . encode_base64url($_->[1]), $_->[0]) for
        ['r and s exchanged', $y . $x], ['r of zero', $zero . $y], ['s of zero', $x . $zero],
        ['all zero', $zero x 2], ['s cut', substr $raw, 0, 63], ['one byte more', $raw . "\0"],
        ['r and s of 33', "\0$x\0$y"], ['nothing', ''], ['ones', "\xff" x 64],
        ['as DER', run_der($x, $y)];
    my @other = spellings($t);
    is(scalar @other, 15, 'libb64 would take 15 other spellings');
    refused($_, 'another spelling') for @other[0, 7, 14];
    refused("$h.$p.$s" . $_, "with '$_' at the end") for '=', 'A', '!', ' x';
    refused("$h.$p." . substr($s, 0, 40) . '.' . substr($s, 40), 'a dot inside');
    my $changed = encode_base64url(decode_base64url($p) =~ s/"u1"/"u2"/r);
    refused("$h.$changed.$s", 'other claims under the signature');
    # (r, n - s) is a signature, too, by the nature of ECDSA: the token then
    # has a second text, but it says the same of the same person.
    my $n256 = 'FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551';
    require Math::BigInt;
    my $twin = Math::BigInt->from_hex($n256)->bsub(Math::BigInt->from_hex(unpack 'H*', $y));
    my $hex = substr $twin->as_hex, 2;
    accepted("$h.$p." . encode_base64url($x . pack 'H*', ('0' x (64 - length $hex)) . $hex),
        'the twin signature is the same person\'s');
};

sub run_der {
    my ($x, $y) = @_;
    my $int = sub {
        my $v = $_[0] =~ s/^\0+//r;
        $v = "\0$v" if ord($v) & 0x80;
        return "\x02" . chr(length $v) . $v;
    };
    my $body = $int->($x) . $int->($y);
    return "\x30" . chr(length $body) . $body;
}

subtest 'RS256' => sub {
    with("r1 RS256 $dir/rsa1.pub", "r4 RS256 $dir/rsa4.pub");
    my $t = signed('RS256', 'r1', 'rsa1');
    accepted($t, 'the current key');
    accepted($t, 'from the cache');
    accepted(signed('RS256', 'r4', 'rsa4'), 'a key of 4096 bits');
    refused(signed('RS256', 'r1', 'rsa2'), 'a key that is not ours');
    refused(signed('RS256', 'r4', 'rsa1'), 'the key of the other id');
    my ($h, $p, $s) = split /\./, $t;
    my $raw = decode_base64url($s);
    refused("$h.$p." . encode_base64url($_->[1]), $_->[0]) for
        ['a bit changed', $raw ^ ("\0" x 255 . "\1")], ['cut', substr $raw, 0, 255],
        ['longer', "\0$raw"], ['zero', "\0" x 256], ['one', ("\0" x 255) . "\1"];
    refused($_, 'another spelling') for (spellings($t))[0, 14];
};

subtest 'one kind is never another' => sub {
    with("r1 RS256 $dir/rsa1.pub", "k1 HS256 $dir/current");
    my $public = read_file("$dir/rsa1.pub");
    refused(token(key => $public, sub => 'u1', alg => 'RS256', kid => 'r1'),
        'HS256 with the public key as its secret, said to be RS256');
    refused(token(key => $public, sub => 'u1', kid => 'r1'), '... said to be HS256');
    refused(token(key => $public, sub => 'u1', kid => 'k1'), '... under the id of the secret');
    refused(token(key => $public =~ s/\n\z//r, sub => 'u1', kid => 'k1'), '... without its newline');
    refused(signed('RS256', 'k1', 'rsa1'), 'RS256 under the id of the secret');
    refused(signed('ES256', 'r1', 'ec1'), 'ES256 under the id of RS256');
    refused(token(key => '', sub => 'u1', alg => 'none', kid => $_), "none under $_") for qw(r1 k1);
    accepted(token(key => 'k' x 40, sub => 'u1'), 'HS256');
    accepted(signed('RS256', 'r1', 'rsa1'), 'and RS256 side by side');
};

subtest 'the public keys' => sub {
    with("r1 RS256 $dir/rsa1.pub", "e1 ES256 $dir/ec1.pub");
    my $r = ask(undef, '/jwks');
    is($r->{status}, 200, 'are told');
    is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
    is($r->{headers}{'cache-control'}, 'public, max-age=300', 'for a while');
    my $set = JSON::PP::decode_json($r->{content});
    is_deeply([map { "$_->{kid} $_->{kty} $_->{alg} $_->{use}" } @{ $set->{keys} }],
        ['r1 RSA RS256 sig', 'e1 EC ES256 sig'], 'both');
    is_deeply([map { join ' ', sort keys %$_ } @{ $set->{keys} }],
        ['alg e kid kty n use', 'alg crv kid kty use x y'], 'public members only');
    # As openssl reads the same files.
    my $text = run(qw(openssl rsa -pubin -noout -modulus -in), "$dir/rsa1.pub");
    my ($modulus) = $text =~ /=(\w+)/;
    is(uc unpack('H*', decode_base64url($set->{keys}[0]{n})), $modulus, 'n');
    is($set->{keys}[0]{e}, 'AQAB', 'e');
    my $der = run(qw(openssl pkey -pubin -outform DER -in), "$dir/ec1.pub");
    is(decode_base64url($set->{keys}[1]{x}) . decode_base64url($set->{keys}[1]{y}),
        substr($der, -64), 'x and y');
    with("k1 HS256 $dir/current", "e1 ES256 $dir/ec1.pub");
    $set = JSON::PP::decode_json(ask(undef, '/jwks')->{content});
    is(join(' ', map { $_->{kid} } @{ $set->{keys} }), 'e1', 'a secret is never among them');
};

subtest 'rotation without a restart' => sub {
    write_file("$dir/now.pub", read_file("$dir/ec1.pub"));
    write_file("$dir/then.pub", read_file("$dir/ec2.pub"));
    with("e1 ES256 $dir/now.pub", "e0 ES256 $dir/then.pub");
    my $old = signed('ES256', 'e1', 'ec1');
    accepted($old, 'a token of today');
    my $pid = $n->{pid};
    my $workers = sub { return join ' ', sort split ' ', read_file("/proc/$pid/task/$pid/children") // '' };
    my $reload = sub {
        my $before = $workers->();
        kill 'HUP', $pid;
        wait_for { my $now = $workers->(); return $now ne $before && $now !~ / / } 10, 'a new worker';
    };
    my $conf = read_file("$n->{dir}/nginx.conf");
    my $put = sub {
        my ($now, $then) = @_;
        write_file("$n->{dir}/nginx.conf", $conf =~ s/(speedy_jwt_key) e1 ES256 \S+;/$1 $now;/r
            =~ s/(speedy_jwt_key) e0 ES256 \S+;/$1 $then;/r);
        $reload->();
    };
    $put->("r1 RS256 $dir/rsa1.pub", "e1 ES256 $dir/now.pub");
    accepted($old, 'the key before it stays good');
    accepted(signed('RS256', 'r1', 'rsa1'), 'and the new one, of another kind, is');
    $put->("r1 RS256 $dir/rsa1.pub", "e2 ES256 $dir/then.pub");
    refused($old, 'then the old one is gone');

    # A file swapped for one of another kind: refused, the old keys go on.
    write_file("$dir/then.pub", read_file("$dir/rsa2.pub"));
    my $before = $workers->();
    kill 'HUP', $pid;
    wait_for { return nginx_log($n) =~ /then\.pub" holds no EC public key in PEM form.* in \S+:\d+/ } 10,
        'the refusal';
    is($workers->(), $before, 'a swapped file starts no worker');
    accepted(signed('RS256', 'r1', 'rsa1'), 'and those there go on');
};

is(join("\n", grep { !/\[emerg\].*then\.pub" holds no EC public key/ } nginx_stop($n)), '',
    'an orderly end');
done_testing();
