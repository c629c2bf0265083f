package Speedy::Mail;

# Mail in a stack under test: asking for some, and following its rows.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Speedy::Util qw(alive read_file wait_for);

our @EXPORT_OK = qw(ask_for_code follow_mail mail_row mail_settings
    maild_metric maild_restart message_id);

=head1 FUNCTIONS

=over

=item ask_for_code(STACK, ADDRESS)

A sign-up's first step, over HTTP. The mail's id (hex), which is told by the
row that is new.

=item mail_row(STACK, ID)

{kind, state, attempts, code, reply, claimed_by}

=item follow_mail(STACK, ID, SECONDS, [STATE])

Looks at the row until it is in STATE (any final one), and returns what it
went through: a list of texts `STATE attempts code reply`, each once.

=item message_id(ID)

What its Message-ID must be in a development stack.

=item mail_settings(STACK, {mail => {...}, maild => {...}})

Changes speedy.conf and restarts both mailds.

=item maild_restart(STACK), maild_metric(STACK, NAME)

The metric's value summed up over both instances.

=back

=cut

sub message_id { return lc($_[0]) . '@sleek-speedy.example' }

sub ids {
    my ($s) = @_;
    return map { $_->[0] => 1 }
        $s->sql("SELECT LOWER(HEX(id)) FROM mails WHERE kind = 'verify'");
}

sub ask_for_code {
    my ($s, $address) = @_;
    my %before = ids($s);
    my $res = $s->http('POST', '/api/v1/email-verifications',
        json => { email => $address, language => 'ko' });
    croak "email-verifications: $res->{status} $res->{content}"
        if $res->{status} != 202;
    my %after = ids($s);
    my ($id) = grep { !$before{$_} } keys %after;
    return $id // croak "no row for $address";
}

sub mail_row {
    my ($s, $id) = @_;
    my ($row) = $s->sql(
        "SELECT kind, state, attempts, reply_code, reply, claimed_by
         FROM mails WHERE id = UNHEX(?)", $id);
    my %row;
    @row{qw(kind state attempts code reply claimed_by)} = @$row;
    return \%row;
}

sub follow_mail {
    my ($s, $id, $seconds, $state) = @_;
    my @story;
    wait_for {
        my $row = mail_row($s, $id);
        my $now = join ' ', map { $_ // '-' } @$row{qw(state attempts code reply)};
        push @story, $now if !@story || $story[-1] ne $now;
        return defined $state ? $row->{state} eq $state
            : $row->{state} !~ /^(?:QUEUED|SENDING)$/;
    } $seconds, 'the end of mail ' . $id . ": @story";
    return @story;
}

sub maild_restart {
    my ($s) = @_;
    for my $name (qw(maild_1 maild_2)) {
        my $old = $s->signal($name, 'TERM');
        wait_for { return !alive($old) } 20, "$name to stop";
        $s->restarted($name, $old, 20);
    }
    for my $name (qw(maild_1 maild_2)) {
        wait_for { return defined metrics($s, $name) } 20, "$name to answer";
    }
    return;
}

sub mail_settings {
    my ($s, $settings) = @_;
    $s->edit('speedy.conf', sub {
        for my $section (sort keys %$settings) {
            my %set = %{ $settings->{$section} };
            $_ .= "\n[$section]\n" if !/^\[\Q$section\E\]$/m;
            for my $key (sort keys %set) {
                my $line = defined $set{$key} ? "$key = $set{$key}\n" : '';
                s/^(\[\Q$section\E\]\n(?:(?!\[).*\n)*?)\Q$key\E = .*\n/$1$line/m
                    or s/^(\[\Q$section\E\]\n)/$1$line/m;
            }
        }
    });
    maild_restart($s);
    return;
}

sub metrics {
    my ($s, $name) = @_;
    my ($status, $out) = Speedy::Util::run_command(5, 'curl', '-sf', '-m', 3,
        '--unix-socket', $s->dir . "/run/$name.sock", 'http://localhost/metrics');
    return $status == 0 ? $out : undef;
}

sub maild_metric {
    my ($s, $name) = @_;
    my $sum = 0;
    for my $instance (qw(maild_1 maild_2)) {
        my ($value) = (metrics($s, $instance) // '') =~ /^\Q$name\E (\S+)$/m;
        $sum += $value // 0;
    }
    return $sum;
}

1;
