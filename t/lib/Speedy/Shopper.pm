package Speedy::Shopper;

# A person at the shop's door: asks for a code, reads the mail that the local
# SMTP server took, signs up, logs in, keeps the refresh cookie, buys.

use strict;
use warnings;
use Carp qw(croak);
use Encode qw(decode encode);
use MIME::Base64 qw(decode_base64);
use Speedy::Util qw(read_file wait_for);

=head1 SYNOPSIS

    my $p = Speedy::Shopper->new($stack, email => 'shopper@example.com');
    $p->sign_up;              # request code, mail, confirm, account
    $p->log_in;               # $p->{access}, $p->{cookie}
    my $res = $p->http('GET', '/api/v1/users/me');

=head1 METHODS

=over

=item new(STACK, email =>, password =>, language => 'ko')

=item http(METHOD, PATH, json =>, headers =>, ...)

Stack->http with this person's access token; C<anonymous> => 1 leaves it out.

=item ask_code(PURPOSE), mail(KIND, SECONDS), code, confirm, sign_up, log_in, refresh

PURPOSE is signup or reset. C<mail> waits for a mail of this kind to this
address which was not read before and returns {subject, text, html, message_id}.

=back

=cut

my %door = (signup => 'email-verifications', reset => 'password-resets');
my $count = 0;

sub new {
    my ($class, $stack, %o) = @_;
    $count++;
    return bless {
        stack => $stack, email => "shopper$count.$$\@example.com",
        password => "a long password $count", language => 'ko', read => {}, %o,
    }, $class;
}

sub http {
    my ($self, $method, $path, %o) = @_;
    $o{token} = $self->{access} if $self->{access} && !delete $o{anonymous};
    return $self->{stack}->http($method, $path, %o);
}

sub ask_code {
    my ($self, $purpose) = @_;
    return $self->{stack}->http('POST', "/api/v1/$door{$purpose // 'signup'}",
        json => { email => $self->{email}, language => $self->{language} });
}

sub header {
    my ($head, $name) = @_;
    my ($value) = $head =~ /^\Q$name\E:[ \t]*(.*(?:\r?\n[ \t].*)*)/mi or return '';
    $value =~ s/\r?\n[ \t]+/ /g;
    return decode('MIME-Header', $value);
}

sub part {
    my ($text, $type) = @_;
    my ($head, $body) = $text =~
        /^Content-Type: \Q$type\E[^\n]*\n((?:[^\r\n]+\r?\n)*)\r?\n(.*?)(?=^--)/msi
        or return '';
    return decode('UTF-8', decode_base64($body));
}

sub mails {
    my ($self) = @_;
    return grep { !$self->{read}{$_} } sort glob "$self->{stack}{dir}/mail/*.eml";
}

# The kind is told by the subject or text; undef takes any mail.
sub mail {
    my ($self, $like, $seconds) = @_;
    my $found;
    wait_for {
        for my $file ($self->mails) {
            my $text = read_file($file) // next;
            my ($head) = split /\r?\n\r?\n/, $text, 2;
            next if header($head, 'To') !~ /\Q$self->{email}\E/i;
            my %mail = (
                subject => header($head, 'Subject'), file => $file,
                message_id => header($head, 'Message-ID'), raw => $text,
                text => part($text, 'text/plain'), html => part($text, 'text/html'),
            );
            next if $like && "$mail{subject}\n$mail{text}" !~ $like;
            $self->{read}{$file} = 1;
            $found = \%mail;
            return 1;
        }
        return 0;
    } $seconds // 20, "a mail to $self->{email}";
    return $found;
}

sub code {
    my ($self) = @_;
    my $mail = $self->mail(qr/(?<!\d)\d{6}(?!\d)/);
    my ($code) = $mail->{text} =~ /(?<!\d)(\d{6})(?!\d)/;
    return wantarray ? ($code, $mail) : $code;
}

sub confirm {
    my ($self, $code) = @_;
    my $res = $self->{stack}->http('POST', '/api/v1/email-verifications/confirm',
        json => { email => $self->{email}, code => $code });
    $self->{verification} = $res->{json}{verification} if $res->{status} == 200;
    return $res;
}

sub account {
    my ($self, %change) = @_;
    return {
        email => $self->{email}, password => $self->{password},
        name => "\x{d64d}\x{ae38}\x{b3d9}", phone => '010-1234-5678',
        verification => $self->{verification}, age_over_14 => JSON::PP::true(),
        consents => [
            map { { kind => $_, version => '1', agreed => JSON::PP::true() } }
                qw(terms privacy)
        ],
        %change,
    };
}

sub create {
    my ($self, %change) = @_;
    return $self->{stack}->http('POST', '/api/v1/users',
        json => $self->account(%change));
}

sub sign_up {
    my ($self) = @_;
    my $res = $self->ask_code('signup');
    croak "no code: $res->{status} $res->{content}" if $res->{status} != 202;
    $res = $self->confirm(scalar $self->code);
    croak "not confirmed: $res->{status} $res->{content}" if $res->{status} != 200;
    $res = $self->create;
    croak "not signed up: $res->{status} $res->{content}" if $res->{status} != 201;
    $self->{id} = $res->{json}{id};
    return $self;
}

# Keeps what a browser would.
sub keep {
    my ($self, $res) = @_;
    my $cookies = $res->{headers}{'set-cookie'} // '';
    $cookies = join "\n", @$cookies if ref $cookies;
    $self->{cookie} = $1 if $cookies =~ /(speedy_refresh=[^;]+)/;
    $self->{set_cookie} = $cookies;
    $self->{access} = $res->{json}{access_token} if $res->{status} =~ /^20/;
    $self->{session} = $res->{json}{session_id} // $self->{session};
    return $res;
}

sub log_in {
    my ($self, %change) = @_;
    return $self->keep($self->{stack}->http('POST', '/api/v1/sessions',
        json => { email => $self->{email}, password => $self->{password}, %change },
        headers => { 'User-Agent' => 'Mozilla/5.0 (Linux; Android 14) Chrome/120.0' }));
}

sub refresh {
    my ($self, $cookie) = @_;
    return $self->keep($self->{stack}->http('POST', '/api/v1/sessions/refresh',
        headers => { Cookie => $cookie // $self->{cookie} }));
}

1;
