# Every kind of mail, in both languages, through a real mail server (Postfix,
# with TLS and a login) into a mailbox, and read back by another program's
# parser: the Korean texts arrive to the letter.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use Encode qw(decode encode);
use JSON::PP ();
use Speedy::Mail qw(follow_mail mail_row mail_settings maild_metric message_id);
use Speedy::Postfix;
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(read_file repository run_command wait_for write_file);
use Test::More;

my $why = Speedy::Postfix->missing;
plan skip_all => $why if $why;
binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $s = Speedy::Stack->up;
my %person;
for my $language (qw(ko en)) {
    my $p = $person{$language} = Speedy::Shopper->new($s, language => $language);
    $p->ask_code('signup');
    is($p->confirm(scalar $p->code)->{status}, 200, "the code in $language");
    my $res = $p->create(language => $language);
    is($res->{status}, 201, '... and an account') or diag($res->{content});
    $p->{id} = $res->{json}{id};
}
ok((wait_for { return !$s->sql('SELECT COUNT(*) FROM mails WHERE state <> ?',
    'SENT') } 20, 'the welcome'), 'the sign-ups went by the development server');

my $secret = $s->dir . '/secrets/smtp-password';
my $mta = Speedy::Postfix->start(cert => $s->dir . '/etc/smtp.crt',
    key => $s->dir . '/secrets/smtp-key', user => 'speedy',
    password => read_file($secret) =~ s/\s+//gr);
mail_settings($s, { mail => { port => $mta->port },
    maild => { scan => '500ms', pause_login => '3s' } });

# --- one of each ------------------------------------------------------------------

my $order = '0190b0a0-0000-7000-8000-000000000001';
my %params = (order_id => $order, sale_id => 'demo', variant => '270',
    product => '스피드 러너 <한정판> & "친구들"', quantity => 2,
    amount => 1258000, opens_at => '2026-11-23T14:05:00+09:00');
my @kinds = qw(signup_known password_changed welcome account_ended sale_opens
    order_paid order_shipped order_delivered order_cancelled order_returned);
my %want;    # message id -> kind and language

sub sql_text { my ($text) = @_; return $text =~ s/([\\'])/\\$1/gr }

my $n = 0;
for my $language (qw(ko en)) {
    for my $kind (@kinds) {
        my $id = sprintf '%08x%020x%04x', time, $$, ++$n;
        my $json = encode('UTF-8', JSON::PP->new->canonical->encode(\%params));
        $s->sql_root("INSERT INTO mails (id, kind, user_id, params) VALUES
            (UNHEX('$id'), '$kind', '$person{$language}{id}', '"
            . sql_text($json) . "')");
        $want{ message_id($id) } = { kind => $kind, language => $language,
            to => $person{$language}{email}, id => $id };
    }
}
# These two have codes, which only userd can make.
for my $language (qw(ko en)) {
    my $new = Speedy::Shopper->new($s, language => $language);
    is($new->ask_code('signup')->{status}, 202, "a code in $language");
    is($person{$language}->ask_code('reset')->{status}, 202, '... and a reset');
    for my $row ($s->sql("SELECT LOWER(HEX(id)), kind FROM mails
        WHERE kind IN ('verify', 'reset') ORDER BY created_at DESC LIMIT 2"))
    {
        my ($id, $kind) = @$row;
        $want{ message_id($id) } = { kind => $kind, language => $language, id => $id,
            to => $kind eq 'verify' ? $new->{email} : $person{$language}{email} };
    }
}
is(scalar keys %want, 24, 'twelve kinds in two languages');
wait_for { return $mta->mails >= 24 } 40, '24 mails in the mailbox';
is(scalar(grep { mail_row($s, $_->{id})->{state} eq 'SENT' } values %want), 24,
    'all rows say SENT');

# --- read back --------------------------------------------------------------------

my ($status, $out, $err) = run_command(60, repository() . '/t/lib/mail_read',
    $mta->mails);
is($status, 0, 'mail_read') or diag($err);
my %mail = map { $_->{message_id} =~ s/[<>]//gr => $_ }
    map { my $m = JSON::PP::decode_json($_); s/\r\n/\n/g for @$m{qw(text html)}; $m }
    split /\n/, $out;
is_deeply([sort keys %mail], [sort keys %want], 'each of them once');

# The template with its values, by this test's own hand.
sub template {
    my ($name) = @_;
    return decode('UTF-8', read_file(repository() . "/daemons/maild/templates/$name"));
}

sub html { my ($t) = @_; my %e = ('&' => 'amp', '<' => 'lt', '>' => 'gt', '"' => 'quot', "'" => '#39');
    return $t =~ s/([&<>"'])/&$e{$1};/gr }

sub filled {
    my ($text, $w, $mail, $escape) = @_;
    my $ko = $w->{language} eq 'ko';
    my %value = (%params, shop => 'sleek speedy', url => $s->url,
        name => '홍길동', item => "$params{product} (270)",
        amount => $ko ? '1,258,000원' : 'KRW 1,258,000',
        opens_at => $ko ? '2026년 11월 23일 14:05'
            : '23 November 2026, 14:05 (Korean time)',
        $mail->{text} =~ /^    (\d{6})$/m ? (code => "$1") : (),
        $mail->{text} =~ m{^(http\S+#\S+)$}m ? (link => "$1") : ());
    $text =~ s/\{\{(\w+)\}\}/
        my $v = $value{$1} \/\/ "?$1?";
        $escape ? html($v) : $v/gex;
    return $text;
}

my ($subjects, $texts, $htmls, $forms) = (0, 0, 0, 0);
for my $id (sort keys %want) {
    my ($w, $m) = ($want{$id}, $mail{$id});
    my $name = "$w->{kind}.$w->{language}";
    my ($subject, $text) = split /\n\n/, template("$name.txt"), 2;
    $subject =~ s/^Subject: //;
    $subjects += is($m->{subject}, filled($subject, $w, $m), "$name: $m->{subject}");
    $texts += is($m->{text}, filled($text, $w, $m), "$name: the text");
    my $html = template("layout.$w->{language}.html");
    my $inner = template("$name.html");
    $html =~ s/\{\{content\}\}/$inner/;
    $htmls += is($m->{html}, filled($html, $w, $m, 1), "$name: the HTML");
    $forms += is_deeply(
        [@$m{qw(to from from_name defects twice auto_submitted language type
            parts charsets ascii)}],
        [[$w->{to}], 'shop@sleek-speedy.example', 'sleek speedy', [], [],
            'auto-generated', $w->{language}, 'multipart/alternative',
            ['text/plain', 'text/html'], ['utf-8', 'utf-8'], JSON::PP::true],
        "$name: the form");
    cmp_ok(abs($m->{date} - time), '<', 300, "$name: the date");
    cmp_ok($m->{longest}, '<=', 998, "$name: lines");
    like($m->{received}[0], qr/TLSv1\.[23].* with ESMTPSA /s, "$name: TLS and login");
}
diag("24 mails through Postfix, read by Python's email: $subjects subjects,"
    . " $texts texts, $htmls HTML parts to the letter, $forms of the right form");
my ($logins) = scalar(() = (read_file("$mta->{dir}/log") // '') =~ /connect from/g) / 2;
cmp_ok($logins, '<=', 4, 'connections are used again') or diag("$logins connections");

# --- its refusals -----------------------------------------------------------------

my $nobody = Speedy::Shopper->new($s, email => 'nobody@example.com');
$nobody->ask_code('signup');
my $id = $s->sql("SELECT LOWER(HEX(id)) FROM mails ORDER BY created_at DESC LIMIT 1");
follow_mail($s, $id, 20);
my $row = mail_row($s, $id);
is("$row->{state} $row->{attempts} $row->{code} $row->{reply}",
    'FAILED 1 550 5.1.1', 'no such mailbox: FAILED at once');

chmod 0600, $secret;
write_file($secret, 'wrong' x 5, 0400);
mail_settings($s, { mail => { timeout => '20s' } });
my $late = Speedy::Shopper->new($s);
$late->ask_code('signup');
$id = $s->sql("SELECT LOWER(HEX(id)) FROM mails ORDER BY created_at DESC LIMIT 1");
wait_for {
    $row = mail_row($s, $id);
    return maild_metric($s, 'speedy_mail_paused') == 2
        && $row->{state} eq 'QUEUED';
} 20, 'both to pause for the wrong password';
is("$row->{attempts} $row->{code} $row->{reply}", '0 535 5.7.8',
    'a wrong password: the sender pauses, the mail waits');

done_testing();
