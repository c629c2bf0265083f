# What maild does, by what a mail server says: each answer of the table, a
# server that hangs up or falls silent, one that is not there, and maild killed
# in the middle of its work. The rows that were seen are printed.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Mail qw(ask_for_code follow_mail mail_row mail_settings
    maild_metric message_id);
use Speedy::SMTP;
use Speedy::Stack;
use Speedy::Util qw(alive build_file read_file run_command temp_dir wait_for
    write_file);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
my $forged = temp_dir('forged');
my ($status, $out, $err) = run_command(20, qw(openssl req -x509 -newkey ec
    -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost
    -addext), 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', "$forged/key", '-out', "$forged/crt");
die "openssl: $err" if $status;
my $smtp = Speedy::SMTP->new(cert => $s->dir . '/etc/smtp.crt',
    key => $s->dir . '/secrets/smtp-key',
    forged_cert => "$forged/crt", forged_key => "$forged/key");
$smtp->start;

# Everything as in production but quicker; a claim is the least there may be.
my %quick = (
    mail => { port => $smtp->port, timeout => '4s' },
    maild => { backoff => '400ms', backoff_max => '2s', attempts => 4,
        scan => '500ms', cool_max => '300ms', pause_limit => '4s',
        pause_login => '3s', claim => '14s' },
);
mail_settings($s, \%quick);

my $serial = 0;
sub address { my ($what) = @_; return "$what-" . ++$serial . '@example.com' }

# --- settings and templates are checked ------------------------------------------

{
    my @check = (build_file('bin/maild'), '-t', '-c', $s->dir . '/etc/speedy.conf');
    my ($code, $said, $why) = run_command(10, @check);
    is($code, 0, 'maild -t') or diag($why);
    like($said, qr/50 templates are well/, '... counts the templates');
    my $text = read_file($s->dir . '/etc/speedy.conf');
    my $conf = write_file($s->dir . '/etc/wrong.conf',
        $text =~ s{^templates = .*}{templates = $forged}mr);
    ($code, $said, $why) = run_command(10, @check[0 .. 2], $conf);
    is($code, 2, 'without templates it is wrong');
    like($why, qr/verify\.ko\.txt:0: No such file/, '... and says which');
    $conf = write_file($s->dir . '/etc/wrong.conf',
        $text =~ s{^timeout = 4s}{timeout = 20s}mr);
    ($code, $said, $why) = run_command(10, @check[0 .. 2], $conf);
    is($code, 2, 'a claim that ends during an attempt is wrong');
}

# --- Kafka wakes it, and is not needed ---------------------------------------------

{
    mail_settings($s, { maild => { scan => '60s' } });
    my $most = 0;
    for my $n (1 .. 4) {
        my $since = time;
        follow_mail($s, ask_for_code($s, address('woken')), 20);
        my $took = time - $since;
        $most = $took if $took > $most;
    }
    cmp_ok($most, '<', 15, sprintf 'woken by records, at most %.1f s', $most);
    mail_settings($s, { maild => { scan => '500ms' } });
    $s->stop('kafka');
    my $id = ask_for_code($s, address('unwoken'));
    my @story = follow_mail($s, $id, 10);
    like($story[-1], qr/^SENT 1 /, 'without Kafka the scan finds it');
    $s->cont('kafka');
}

my @table;
sub row { my @row = @_; push @table, \@row; return }

# The server's words, what was recorded, how the row went.
sub tried {
    my ($address) = @_;
    my @seen = $smtp->seen(rcpt => $address);
    my %ids = map { $_->{message_id} => 1 } grep { $_->{message_id} } @seen;
    return (scalar @seen, scalar(grep { $_->{event} eq 'taken' } @seen),
        scalar keys %ids);
}

# --- one answer, then another --------------------------------------------------

my @cases = (
    # name, actions, final state, attempts of ours, reply, taken, most seconds
    ['421 at RCPT', ['rcpt 421 4.3.0 busy', 'ok'], 'SENT', 2, '250 2.0.0', 1],
    ['450', ['rcpt 450 4.2.1 later', 'ok'], 'SENT', 2, '250 2.0.0', 1],
    ['451 after the body', ['body 451 4.3.0 later', 'ok'], 'SENT', 2,
        '250 2.0.0', 1],
    ['452', ['rcpt 452 4.2.2 full', 'ok'], 'SENT', 2, '250 2.0.0', 1],
    ['450 for ever', ['rcpt 450 4.2.1 later'], 'FAILED', 4, '450 4.2.1', 0],
    ['550 5.1.1', ['rcpt 550 5.1.1 <x@example.com> unknown'], 'FAILED', 1,
        '550 5.1.1', 0],
    ['554 after the body', ['body 554 5.7.1 spam'], 'FAILED', 1, '554 5.7.1', 0],
    ['drop after DATA', ['drop', 'ok'], 'SENT', 2, '250 2.0.0', 1],
    ['stall after DATA', ['stall', 'ok'], 'SENT', 2, '250 2.0.0', 1],
);
for my $case (@cases) {
    my ($name, $actions, $state, $attempts, $reply, $taken) = @$case;
    my $address = address('case');
    $smtp->script($address, @$actions);
    my $since = time;
    my $id = ask_for_code($s, $address);
    my @story = follow_mail($s, $id, 30);
    my $end = mail_row($s, $id);
    my ($tries, $came, $ids) = tried($address);
    row($name, $tries, $came, sprintf('%.1f', time - $since), @story);
    is($end->{state}, $state, "$name: $state");
    # On a busy machine one may end before the server hears of the mail.
    my %unheard;
    /^(QUEUED|SENDING) (\d+) 0 time-out$/ and $unheard{ $2 - ($1 eq 'SENDING') }++
        for @story;
    cmp_ok(scalar(keys %unheard), '<=', 1, "$name: one at the most was not heard");
    is($end->{attempts} - keys %unheard, $attempts, "$name: attempts");
    is("$end->{code} $end->{reply}", $reply, "$name: code and status only");
    is($tries, $attempts, "$name: the server saw each of them");
    is($came, $taken, "$name: taken");
    if ($ids) {
        my ($seen) = grep { $_->{message_id} } $smtp->seen(rcpt => $address);
        is($ids, 1, "$name: one Message-ID");
        is($seen->{message_id}, message_id($id), "$name: made of the mail's id");
    }
}
is(maild_metric($s, 'speedy_mail_paused'), 0, 'nobody pauses');

# --- the connection's trouble ---------------------------------------------------

for my $case (
    ['421 as greeting', 'greet 421 4.3.2 closing'],
    ['454 at AUTH', 'auth 454 4.7.0 too many logins'])
{
    my ($name, $mode) = @$case;
    # The connections that are open would hide it.
    $smtp->stop;
    $smtp->mode($mode);
    $smtp->start;
    my $before = $smtp->seen(event => 'connect');
    my $address = address('conn');
    my $id = ask_for_code($s, $address);
    my $since = time;
    wait_for { return mail_row($s, $id)->{attempts} >= 2 } 20,
        'two attempts';
    my $row = mail_row($s, $id);
    my $connects = $smtp->seen(event => 'connect') - $before;
    $smtp->mode('');
    my @story = follow_mail($s, $id, 20);
    row($name, $connects, (tried($address))[1], sprintf('%.1f', time - $since),
        @story);
    is($story[-1] =~ /^(\S+)/ && $1, 'SENT', "$name: sent in the end");
    is(maild_metric($s, 'speedy_mail_paused'), 0, "$name: no pause");
}

# --- the account's trouble: the sender pauses, no mail is to blame --------------

for my $case (
    ['535 at AUTH', 'mode', 'auth 535 5.7.8 bad credentials', '535 5.7.8', 3],
    ['534 at AUTH', 'mode', 'auth 534 5.7.9 app password', '534 5.7.9', 3],
    ['550 5.4.5', 'script', 'rcpt 550 5.4.5 daily limit', '550 5.4.5', 4],
    ['no STARTTLS', 'mode', 'notls', '0 no TLS', 3],
    ['certificate forged', 'mode', 'forged', '0 certificate not trusted', 3])
{
    my ($name, $how, $words, $reply, $pause) = @$case;
    $smtp->stop;
    $smtp->mode($how eq 'mode' ? $words : '');
    $smtp->start;
    my $log = -s $s->dir . '/log/maild_1.log';
    my @address = map { address('pause') } 1 .. 3;
    if ($how eq 'script') { $smtp->script($_, $words) for @address }
    my %event = (event => $reply =~ /^0/ ? 'connect' : 'refused');
    my $refused = $smtp->seen(%event);
    my @id = map { ask_for_code($s, $_) } @address;
    wait_for { return maild_metric($s, 'speedy_mail_paused') == 2 } 15,
        'both instances to pause';
    my $since = time;
    my @rows = map { mail_row($s, $_) } @id;
    is_deeply([map { "$_->{state} $_->{attempts}" } @rows],
        [('QUEUED 0') x 3], "$name: the mails wait, no attempt counted");
    is(scalar(grep { ($_->{code} // 0) . " " . ($_->{reply} // '') eq $reply }
        @rows) > 0, 1, "$name: what was said is in a row");
    is($smtp->seen(%event) - $refused, 2,
        "$name: each instance asked once");
    like(read_file($s->dir . '/log/maild_1.log', $log),
        qr/ alarm maild_1 the sender pauses /, "$name: an alarm");
    # Healed at once, but nobody asks before the pause is over.
    $smtp->mode('');
    $smtp->script($_, 'ok') for @address;
    my $early = 0;
    wait_for {
        my $sent = grep { mail_row($s, $_)->{state} eq 'SENT' } @id;
        $early++ if $sent && time - $since < $pause - 2;
        return $sent == 3;
    } 20, 'the three mails';
    row($name, 2, 3, sprintf('%.1f', time - $since), "QUEUED 0 $reply",
        map { join ' ', @$_{qw(state attempts code reply)} } mail_row($s, $id[0]));
    is($early, 0, "$name: nothing was sent during the pause");
    ok((wait_for { return !maild_metric($s, "speedy_mail_paused") } 10,
        "the end of the pause"), "$name: the pause is over");
}

# --- no server: sign-ups and purchases do not notice ----------------------------

# As many attempts as it takes: how long it is away depends on this machine.
mail_settings($s, { maild => { attempts => 100 } });
$smtp->stop;
{
    my @begun = map {
        my $since = time;
        my $id = ask_for_code($s, address('down'));
        [$id, time - $since];
    } 1 .. 5;
    my $sale = $s->new_sale(stock => 10, limit => 1);
    my @bought = map { $s->buy($sale)->{status} } 1 .. 5;
    is_deeply(\@bought, [(202) x 5], 'no mail server: purchases are accepted');
    ok(!(grep { $_->[1] > 2 } @begun), '... and sign-ups answered at once');
    wait_for { return maild_metric($s, 'speedy_mail_sent_total{result="retry"}')
        > 0 } 10, 'an attempt';
    $smtp->start;
    my $since = time;
    my @story;
    @story = follow_mail($s, $_->[0], 30) for @begun;
    row('no connection', '-', 5, sprintf('%.1f', time - $since), @story);
    is(scalar(grep { mail_row($s, $_->[0])->{state} eq 'SENT' } @begun), 5,
        'all five were sent when it was back');
}

# --- stopped in the middle ---------------------------------------------------------

{
    my $address = address('mute');
    $smtp->script($address, 'mute', 'ok');
    my $id = ask_for_code($s, $address);
    wait_for { return $smtp->seen(rcpt => $address, event => 'muted') } 10,
        'a mail under way';
    my ($name) = mail_row($s, $id)->{claimed_by} =~ /^(maild_\d)/;
    my $since = time;
    my $old = $s->signal($name, 'TERM');
    wait_for { return !alive($old) } 10, 'the end';
    cmp_ok(time - $since, '<', 4, 'SIGTERM: does not wait for the server');
    my @story = follow_mail($s, $id, 10);
    is($story[-1], 'SENT 1 250 2.0.0', '... and the mail lost no attempt');
    $s->restarted($name, $old, 10);
}

# --- killed in the middle --------------------------------------------------------

my (@ids, %address, $kills);
{
    my $double = 0;
    # The server has taken the mail and not yet said so.
    for my $round (1 .. 3) {
        my $address = address("hold");
        $smtp->script($address, 'hold 1', 'ok');
        my $id = ask_for_code($s, $address);
        $address{$id} = $address;
        my $got = wait_for { return $smtp->seen(rcpt => $address, event => 'taken') }
            10, 'the mail in the server';
        my ($name) = mail_row($s, $id)->{claimed_by} =~ /^(maild_\d)/;
        my $old = $s->kill_9($name);
        $kills++;
        $s->restarted($name, $old, 10);
    }
    # And anywhere, in a batch.
    my @batch = map { address('batch') } 1 .. 60;
    $smtp->script($_, 'hold 0.05') for @batch;
    for my $n (0 .. $#batch) {
        $address{ ask_for_code($s, $batch[$n]) } = $batch[$n];
        next if $n % 10 != 9;
        my $name = 'maild_' . ($n % 20 == 9 ? 1 : 2);
        my $old = $s->kill_9($name);
        $kills++;
        $s->restarted($name, $old, 10);
    }
    my $since = time;
    wait_for {
        return !$s->sql("SELECT COUNT(*) FROM mails
            WHERE state IN ('QUEUED', 'SENDING')");
    } 90, 'the queue to be empty';
    my ($lost, $wrong, $twice, $most) = (0, 0, 0, 0);
    for my $id (keys %address) {
        my @taken = $smtp->seen(rcpt => $address{$id}, event => 'taken');
        $lost++ if !@taken;
        $wrong++ if grep { $_->{message_id} ne message_id($id) } @taken;
        $twice += @taken - 1 if @taken > 1;
        $most = @taken if @taken > $most;
    }
    my $sent = grep { mail_row($s, $_)->{state} eq 'SENT' } keys %address;
    diag(sprintf '%d mails, %d kill -9: %d sent, %d lost, %d doubles, at most'
        . ' %d of one mail; the queue was empty %.1f s after the last kill',
        scalar keys %address, $kills, $sent, $lost, $twice, $most,
        time - $since);
    is($sent, scalar keys %address, 'killed: every mail was sent');
    is($lost, 0, '... and came');
    is($wrong, 0, '... with the Message-ID of its row');
    ok($twice <= $kills, '... at most one double for each kill');
    ok($twice >= 3, '... which there was when it had been taken already');
}

diag(sprintf '%-20s %5s %5s %6s  %s', 'the server', 'tries', 'taken', 's',
    'the row: state, attempts, code, status');
diag(sprintf '%-20s %5s %5s %6s  %s', @$_[0 .. 3], join ' > ', @$_[4 .. $#$_])
    for @table;

# --- nothing personal is kept ---------------------------------------------------

my $kept = join ' ', map { $_->[0] // '' } $s->sql('SELECT reply FROM mails');
unlike($kept, qr/@/, 'no address in what was recorded');
for my $log (glob $s->dir . '/log/maild_*.log') {
    unlike(read_file($log), qr/example\.com/, "no address in $log");
}

done_testing();
