# maild dies at each step of a mail, by failpoints: none is lost, and only the
# death after the server took it makes a second copy, with the same Message-ID.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Mail qw(ask_for_code follow_mail mail_row mail_settings message_id);
use Speedy::SMTP;
use Speedy::Util qw(alive read_file wait_for write_file);
use Test::More;

my $s = Speedy::Fault->up_with_failpoints;
my $smtp = Speedy::SMTP->new(cert => $s->dir . '/etc/smtp.crt',
    key => $s->dir . '/secrets/smtp-key')->start;
mail_settings($s, {
    mail => { port => $smtp->port, timeout => '4s' },
    maild => { scan => '500ms', claim => '14s' },
});

for my $case (['claimed', 1], ['before_send', 1], ['after_send', 2]) {
    my ($place, $copies) = @$case;
    my %pid = map { $_ => $s->pid($_) } qw(maild_1 maild_2);
    write_file($s->{failpoints}, "maild.$place=kill\n");
    my $address = "$place-$$\@example.com";
    my $id = ask_for_code($s, $address);
    my $died = wait_for {
        return (grep { !alive($pid{$_}) } sort keys %pid)[0];
    } 15, "a death at $place";
    is(read_file($s->{failpoints}) =~ s/\s+//gr, '', "$died died at $place");
    is(mail_row($s, $id)->{state}, 'SENDING', '... with the mail in its hands');
    $s->restarted($died, $pid{$died}, 10);
    my @story = follow_mail($s, $id, 40);
    my @taken = $smtp->seen(rcpt => $address, event => 'taken');
    is(scalar @taken, $copies, "$place: copies");
    is_deeply([grep { $_->{message_id} ne message_id($id) } @taken], [],
        "$place: one Message-ID");
    diag(sprintf '%-12s %d of it taken: %s', $place, scalar @taken,
        join ' > ', @story);
    is($story[-1], 'SENT 2 250 2.0.0', "$place: sent by the second claim");
}
done_testing();
