package Speedy::Fault::Mail;

# Row F35: the mail server is away, refuses, hangs up and falls silent, while
# a sale runs and people sign up. Nobody waits for a mail but its reader.

use strict;
use warnings;
use Speedy::Fault;
use Speedy::Mail qw(mail_settings message_id);
use Speedy::SMTP;
use Speedy::Util qw(wait_for);
use Test::More ();
use Time::HiRes qw(time);

my $serial = 0;

sub ask {
    my ($run, $what) = @_;
    my $address = "$what-" . ++$serial . "-$$\@example.com";
    my $since = time;
    my $status = $run->stack->http('POST', '/api/v1/email-verifications',
        json => { email => $address })->{status};
    my $ms = 1000 * (time - $since);
    $run->{slowest} = $ms if $ms > ($run->{slowest} // 0);
    push @{ $run->{asked} }, $address;
    $run->{refused}++ if $status != 202;
    return $address;
}

sub setup {
    my ($run) = @_;
    my $s = $run->stack;
    $run->{smtp} = Speedy::SMTP->new(cert => $s->dir . '/etc/smtp.crt',
        key => $s->dir . '/secrets/smtp-key')->start;
    mail_settings($s, {
        mail => { port => $run->{smtp}->port, timeout => '4s' },
        maild => { backoff => '400ms', backoff_max => '2s', attempts => 100,
            scan => '500ms', cool_max => '1s', claim => '14s',
            pause_limit => '3s', pause_login => '3s' },
    });
    return;
}

sub away {
    my ($run) = @_;
    my $smtp = $run->{smtp};
    $smtp->stop;
    $run->from_now;
    ask($run, 'away') for 1 .. 10;
    $run->lasts(5);
    $smtp->mode('auth 535 5.7.8 no');
    $smtp->start;
    ask($run, 'login') for 1 .. 5;
    $run->lasts(2);
    $smtp->mode('');
    my %does = (later => ['rcpt 451 4.3.0 later', 'ok'], drop => ['drop', 'ok'],
        stall => ['stall', 'ok'], gone => ['rcpt 550 5.1.1 gone']);
    for my $what (sort keys %does) {
        my $address = "$what-" . ($serial + 1) . "-$$\@example.com";
        $smtp->script($address, @{ $does{$what} });
        ask($run, $what);
    }
    $run->lasts(1);
    return;
}

sub judge {
    my ($run) = @_;
    my $s = $run->stack;
    wait_for {
        return !$s->sql("SELECT COUNT(*) FROM mails
            WHERE state IN ('QUEUED', 'SENDING')");
    } 60, 'the queue to be empty';
    my $smtp = $run->{smtp};
    my ($lost, $twice, $ids) = (0, 0, 0);
    for my $address (grep { !/^gone/ } @{ $run->{asked} }) {
        my @taken = $smtp->seen(rcpt => $address, event => 'taken');
        my %id = map { $_->{message_id} => 1 }
            grep { $_->{message_id} } $smtp->seen(rcpt => $address);
        $lost++ if !@taken;
        $twice++ if @taken > 1;
        $ids++ if keys %id > 1;
    }
    my $failed = $s->sql("SELECT COUNT(*) FROM mails WHERE state = 'FAILED'");
    Test::More::is($run->{refused} // 0, 0, 'every sign-up was answered');
    Test::More::cmp_ok($run->{slowest}, '<', 2000, '... at once');
    Test::More::is($lost, 0, 'no mail is lost');
    Test::More::is($twice, 0, 'none was taken twice');
    Test::More::is($ids, 0, 'one Message-ID each');
    Test::More::is($failed, 1, 'only the mailbox that is gone has FAILED');
    $run->note(sprintf '%d sign-ups, slowest answer %d ms, %d mails lost',
        scalar @{ $run->{asked} }, $run->{slowest}, $lost);
    return;
}

sub cleanup { my ($run) = @_; $run->{smtp}->stop if $run->{smtp}; return }

my @rows = (
    { id => 'F35', name => 'smtp: away, 535, 451, drop, stall; sign-ups go on',
        setup => \&setup, fault => \&away, after => \&judge,
        cleanup => \&cleanup, seconds => 20, clean => 1 },
);

sub rows {
    my ($class, @ids) = @_;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
