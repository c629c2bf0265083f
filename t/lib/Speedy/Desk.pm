package Speedy::Desk;

# An operator at the desk: made by speedyctl as the first one is, logs in at
# the operators' listener with password and authenticator.

use strict;
use warnings;
use Digest::SHA qw(hmac_sha1);
use Time::HiRes qw(time);

=head1 SYNOPSIS

    my $boss = Speedy::Desk->new($stack, role => 'OWNER');
    $boss->log_in;
    my $res = $boss->http('GET', '/admin/audit-log');

=head1 METHODS

=over

=item new(STACK, login =>, role => 'OWNER')

With C<password> and C<totp_secret> (base32) the operator is taken as he is,
else C<speedyctl staff add> makes him.

=item code(STEPS)

Six digits, of the present step or of one beside it.

=item log_in(password =>, totp =>)

The answer. Keeps C<access> and C<cookie>. A code works once: the second login
within a step takes the next step's.

=item http(METHOD, PATH, json =>, headers =>, ...)

Stack->http at the operators' listener with this operator's access token.

=back

=cut

my $count = 0;

sub new {
    my ($class, $stack, %o) = @_;
    my $self = bless {
        stack => $stack, login => 'desk' . ++$count, role => 'OWNER', steps => 0, %o,
    }, $class;
    if (!defined $self->{totp_secret}) {
        my $made = $stack->ctl_json('staff', 'add', '--login', $self->{login},
            '--role', $self->{role});
        @{$self}{keys %$made} = values %$made;
    }
    return $self;
}

sub secret {
    my ($text) = @_;
    my %value;
    @value{ 'A' .. 'Z', 2 .. 7 } = 0 .. 31;
    my $bits = join '', map { sprintf '%05b', $value{$_} } split //, $text;
    return pack 'B*', substr $bits, 0, 8 * int(length($bits) / 8);
}

sub code {
    my ($self, $steps) = @_;
    my $step = int(time / 30) + ($steps // 0);
    my @mac = unpack 'C*', hmac_sha1(pack('Q>', $step), secret($self->{totp_secret}));
    my $at = $mac[19] & 15;
    my $n = unpack 'N', pack 'C4', $mac[$at] & 127, @mac[$at + 1 .. $at + 3];
    return sprintf '%06d', $n % 1_000_000;
}

sub log_in {
    my ($self, %o) = @_;
    my $res = $self->{stack}->http('POST', '/admin/sessions',
        url => $self->{stack}->ops_url,
        json => {
            login => $self->{login},
            password => $o{password} // $self->{password},
            totp => $o{totp} // $self->code($self->{steps}),
        });
    $res->{code} = $res->{json}{code} if ref $res->{json};
    if ($res->{status} == 201) {
        $self->{access} = $res->{json}{access_token};
        ($self->{cookie}) = ($res->{headers}{'set-cookie'} // '') =~ /^([^;]+)/;
        $self->{steps} = 1;
    }
    return $res;
}

sub http {
    my ($self, $method, $path, %o) = @_;
    my $res = $self->{stack}->http($method, $path, url => $self->{stack}->ops_url,
        token => $self->{access}, %o);
    $res->{code} = $res->{json}{code} if ref $res->{json};
    return $res;
}

1;
