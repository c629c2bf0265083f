# What is sold, as operators set it up and shoppers look at it: a product with
# an image, a sale that opens by itself and is bought out, every act on it over
# HTTP, the report; and readers by the thousand who cost one look a second.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use Compress::Zlib ();
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Speedy::Stack;
use Speedy::Util qw(wait_for read_file);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
my $staff = $s->ctl_json('staff', 'add', '--login', 'kim', '--role', 'OPERATOR');
my $viewer = $s->ctl_json('staff', 'add', '--login', 'lee', '--role', 'VIEWER');
my $token = $s->token($staff->{id}, role => 'OPERATOR');
my $watcher = $s->token($viewer->{id}, role => 'VIEWER');

sub act {
    my ($method, $path, $json, %o) = @_;
    return $s->http($method, "/admin$path", url => $s->ops_url,
        token => $o{token} // $token, headers => $o{headers},
        $json ? (json => { reason => 'a test', %$json }) : ());
}

sub png {
    my ($side) = @_;
    my $chunk = sub {
        my ($name, $data) = @_;
        return pack('N', length $data) . $name . $data
            . pack('N', Compress::Zlib::crc32("$name$data"));
    };
    return "\x89PNG\r\n\x1a\n"
        . $chunk->('IHDR', pack('NNCCCCC', $side, $side, 8, 2, 0, 0, 0))
        . $chunk->('IDAT', Compress::Zlib::compress(
            join '', map { "\0" . "\x30\x60\xd0" x $side } 1 .. $side))
        . $chunk->('IEND', '');
}

sub rfc3339 {
    my ($at) = @_;
    my @t = gmtime int $at;
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], 1000 * ($at - int $at);
}

# Buys with new keys until the answer has this code (202 has none); seconds.
sub until_code {
    my ($sale, $code, $since, %o) = @_;
    wait_for {
        my $res = $s->buy($sale, %o);
        return ($res->{code} // $res->{status}) eq $code;
    } 10, "the answer $code";
    return time - $since;
}

sub state_of {
    my ($sale) = @_;
    return $s->http('GET', "/api/v1/sales/$sale")->{json}{state} // '';
}

subtest 'a product with an image' => sub {
    my $res = act('POST', '/products', { id => 'runner', name => 'Speed 운동화',
        price => 129000, category => 'shoes', description => 'Light.',
        options => [{ name => 'size', values => ['270', '280'] }] });
    is($res->{status}, 201, 'added') or diag $res->{content};
    is(act('POST', '/products', { id => 'x', name => 'X', price => 1 },
        token => $watcher)->{json}{code}, 'role_required', 'not by a viewer');
    is($s->http('POST', '/admin/products', token => $token,
        json => { reason => 'x' })->{status}, 404, 'nor at the shop');

    my $image = png(64);
    $res = $s->http('POST', '/admin/products/runner/images?reason=photo',
        url => $s->ops_url, token => $token, content => $image,
        headers => { 'Content-Type' => 'image/png' });
    is($res->{status}, 201, 'an image') or diag $res->{content};
    my $url = '/images/' . sha256_hex($image) . '.png';
    is($res->{json}{url}, $url, '... named by its digest');
    my $got = $s->http('GET', $url);
    is($got->{status}, 200, 'nginx serves it');
    ok($got->{content} eq $image, '... byte by byte');
    is($got->{headers}{'content-type'}, 'image/png', '... as what it is');
    is($got->{headers}{'cache-control'}, 'public, max-age=31536000, immutable',
        '... for good');
    is($got->{headers}{'x-content-type-options'}, 'nosniff', '... and nothing else');
    is($s->http('GET', $url =~ s/png$/html/r)->{status}, 404, 'no other type of it');

    $res = $s->http('POST', '/admin/products/runner/images?reason=photo',
        url => $s->ops_url, token => $token, content => 'x' x 20_000_000,
        headers => { 'Content-Type' => 'image/png' });
    ok($res->{status} == 413 || $res->{status} == 599, '20 MB are refused')
        or diag "$res->{status} $res->{content}";
    $res = $s->http('GET', '/api/v1/products/runner');
    is($res->{json}{images}[0]{url}, $url, 'the product shows it');
    is($res->{json}{images}[0]{width}, 64, '... with its size');
    my $etag = $res->{headers}{etag};
    is($s->http('GET', '/api/v1/products/runner',
        headers => { 'If-None-Match' => $etag })->{status}, 304, 'not twice the same');
    is($s->http('GET', '/api/v1/products?q=%EC%9A%B4%EB%8F%99')->{json}{data}[0]{id},
        'runner', 'found by two syllables');
};

my $opens;
subtest 'a sale opens by itself' => sub {
    $opens = time + 5;
    my $res = act('POST', '/sales', { id => 'drop', product => 'runner',
        variants => [{ variant => '270', stock => 60 }, { variant => '280', stock => 40 }],
        opens_at => rfc3339($opens) });
    is($res->{status}, 201, 'created') or diag $res->{content};
    wait_for {
        my $list = $s->http('GET', '/api/v1/products?state=upcoming')->{json}{data};
        return @$list && $list->[0]{id} eq 'runner';
    } 5, 'the product in the list of what will come';
    wait_for { return $s->redis('EXISTS', 'speedy:{drop}:gate') } 10, 'its gate';
    is($s->buy('drop', variant => '270')->{code}, 'sale_not_open', 'not yet');
    my $first;
    wait_for {
        $first = $s->buy('drop', variant => '270');
        return $first->{status} == 202;
    } 15, 'the opening';
    cmp_ok(time, '>=', $opens, 'not before its time');
    is(act('PATCH', '/sales/drop', { version => 1, variants =>
        [{ variant => '270', price => 1000 }] })->{json}{code}, 'sale_opened',
        'the price of an open sale stands');
    wait_for { return state_of('drop') eq 'open' } 6, 'the page to say open';
    pass('the page says open');
};

subtest 'it is bought out' => sub {
    my $load = $s->load(sale => 'drop', shoppers => 300, first => 5000,
        variant => '270', arrival => 'steady:300', 'no-retry' => undef);
    $load->finish(60);
    $load = $s->load(sale => 'drop', shoppers => 200, first => 6000,
        variant => '280', arrival => 'steady:200', 'no-retry' => undef);
    $load->finish(60);
    my $since = time;
    wait_for { return state_of('drop') eq 'sold_out' } 10, 'sold out';
    diag(sprintf 'the page says sold_out after %.1f s', time - $since);
    my ($v) = @{ $s->http('GET', '/api/v1/sales/drop')->{json}{variants} };
    is($v->{left}, 0, 'none left');
    is($s->http('GET', '/api/v1/products?state=sold_out')->{json}{data}[0]{id},
        'runner', 'and the list says so');
};

subtest 'every act is at the gate within a second' => sub {
    my $res = act('POST', '/sales', { id => 'acts', product => 'runner',
        stock => 1000 });
    is($res->{json}{stored_state}, 'ACTIVE', 'a sale that is open');
    until_code('acts', 202, time);
    for (['pause', 'sale_paused'], ['resume', 202]) {
        my ($verb, $code) = @$_;
        my $since = time;
        is(act('POST', "/sales/acts/$verb", {})->{status}, 200, $verb);
        my $took = until_code('acts', $code, $since);
        diag(sprintf '%s: %.2f s', $verb, $took);
        cmp_ok($took, '<', 1.5, "$verb is effective");
    }
    my $before = $s->redis('HGET', 'speedy:{acts}:stock', 'default');
    $res = act('POST', '/sales/acts/stock', { units => 50 });
    is($res->{json}{state}, 'DONE', 'fifty units more') or diag $res->{content};
    is($s->redis('HGET', 'speedy:{acts}:stock', 'default'), $before + 50, '... in Redis');
    $res = act('POST', '/sales/acts/stock', { units => -100_000 });
    is($res->{json}{code}, 'stock_not_left', 'not more away than there is');
    is(act('POST', '/sales/acts/stock', { units => -50 })->{json}{state}, 'DONE',
        'fifty away');
    is(act('POST', '/sales/acts/extend-holds', { seconds => 60 })->{status}, 200,
        'more time to pay');
    is(act('POST', '/sales/acts/notice', { notice => 'Soon <b>over</b>' })->{status},
        200, 'a notice');
    wait_for {
        return ($s->http('GET', '/api/v1/sales/acts')->{json}{notice} // '')
            eq 'Soon <b>over</b>';
    } 6, 'the notice on the page';
    is(act('POST', '/sales/stop-all', {})->{json}{paused}, 2, 'all stopped');
    until_code('acts', 'sale_paused', time);
    is(act('POST', '/sales/drop/resume', {})->{status}, 200, 'one goes on');
    is($s->sql("SELECT COUNT(*) FROM audit_log WHERE actor = 'staff:kim' AND reason = 'a test'
        AND act LIKE 'sale.%'"), 11, 'each act is in the log');
};

subtest 'the report' => sub {
    is(act('POST', '/sales/drop/close', {})->{status}, 200, 'closed');
    until_code('drop', 'sale_closed', time, variant => '270');
    ok($s->settled('drop', 30), 'at rest');
    my $r = act('GET', '/sales/drop/report', undef, token => $watcher)->{json};
    is_deeply([@$r{qw(offered held sold left orders)}], [100, 100, 0, 0, 100],
        'a hundred offered, a hundred held');
    ok($r->{conservation}{conserved}, 'every unit is accounted for')
        or diag explain $r->{conservation};
    my $html = act('GET', '/sales/drop/report.html', undef)->{content};
    like($html, qr/<svg.*Every unit is accounted for/s, 'as a page');
    unlike($html, qr/<script|https?:/, '... that loads nothing');
    my $file = $s->dir . '/report.html';
    my $text = $s->ctl('sale', 'report', 'drop', '--html', $file, '--wait', '10s');
    like($text, qr/^conserved  yes$/m, 'the auditor agrees') or diag $text;
    like($text, qr/SUM +ok/, '... and says so line by line');
    like(read_file($file), qr/Arrivals/, 'and the page is written');
};

# The access log tells which answers came from productd, MariaDB's own log how
# often productd asked.
subtest 'readers cost one look a second' => sub {
    my $selects = sub {
        return $s->sql_root("SELECT COUNT(*) FROM mysql.general_log WHERE
            user_host LIKE 'productd%' AND command_type = 'Execute'");
    };
    $s->sql_root("SET GLOBAL log_output = 'TABLE'");
    $s->sql_root('SET GLOBAL general_log = 1');
    my $path = '/api/v1/products?category=shoes&limit=7';
    my $http = HTTP::Tiny->new(keep_alive => 1, timeout => 10);
    my ($n, $bad, $since, $before) = (0, 0, time, scalar $selects->());
    while (time - $since < 4) {
        my $res = $http->get($s->url . $path);
        $n++;
        $bad++ if $res->{status} != 200;
    }
    my $queries = $selects->() - $before;
    $s->sql_root('SET GLOBAL general_log = 0');
    my $asked = 0;
    wait_for {
        my $log = read_file($s->env('NGINX_ACCESS_LOG'));
        my @lines = grep { m{"uri":"/api/v1/products"} } split /\n/, $log;
        $asked = grep { /"upstream":"unix:/ } @lines[-$n .. -1];
        return @lines >= $n;
    } 5, 'the log';
    diag("$n readers in 4 s, $asked of them waited for productd, $queries queries");
    cmp_ok($queries, '>', 2, 'productd asked MySQL');
    cmp_ok($queries, '<=', 12, '... for pages and for sales once a second');
    is($bad, 0, 'all were answered');
    cmp_ok($n, '>', 500, 'many');
    cmp_ok($asked, '<=', 6, 'one a second waited for productd');
};

subtest 'productd goes away and comes back' => sub {
    my $path = '/api/v1/products/runner';
    is($s->http('GET', $path)->{status}, 200, 'there');
    $s->hold($_) for qw(productd_1 productd_2);
    my @old = map { $s->kill_9($_) } qw(productd_1 productd_2);
    my $bad = 0;
    my $since = time;
    while (time - $since < 4) {
        $bad++ if $s->http('GET', $path)->{status} != 200;
    }
    is($bad, 0, 'what was seen is still shown');
    is($s->http('GET', '/api/v1/products/never-asked')->{status}, 503,
        'what was not is told to be away');
    $s->unhold($_) for qw(productd_1 productd_2);
    wait_for { return $s->http('GET', '/api/v1/products/never-asked')->{status} == 404 }
        15, 'productd again';
    pass('and it is back');
};

$s->audit_ok;
done_testing();
