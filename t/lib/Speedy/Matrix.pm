package Speedy::Matrix;

# Who may do what: the operations of docs/openapi.yaml, the locations of
# nginx.conf.example, the daemons' tables of routes; what each refusal must
# look like, cell by cell.

use strict;
use warnings;
use Speedy::Example;
use Speedy::Util qw(build_dir read_file repository run_command);

=head1 SYNOPSIS

    my @operations = Speedy::Matrix::operations();
    my @wrong = Speedy::Matrix::disagreements();   # of the three, as text
    my $m = Speedy::Matrix->new(ask => sub { my ($op, %cell) = @_; ... });
    $m->column($_, @operations) for Speedy::Matrix::columns();
    $m->cells, $m->wrong;

=head1 FUNCTIONS

=over

=item operations()

{method, path (whole, with {names}), auth, id} of each.

=item routes()

{daemon, method, path (with *), auth} of the daemons that a stack runs, but not
/internal.

=item disagreements()

=item new(ask => CODE)

C<ask> is called with an operation, C<token> (a hash: what the token is, see
below, or nothing) and C<headers>; it returns {status, json}. The token's hash:
C<role>, and C<expired> or C<ended>.

=item column(NAME, OPERATIONS)

no_token, bad_token, expired, ended, other_role, right.

=back

=cut

our @roles = qw(USER VIEWER CS OPERATOR OWNER);
my %rank = (viewer => 1, cs => 2, operator => 3, owner => 4);

# The file's own form, two blanks a level, is all that is read here.
sub operations {
    my ($text) = @_;
    $text //= read_file(repository() . '/docs/openapi.yaml');
    my ($in, $path, $op, @out);
    for (split /\n/, $text) {
        if (/^(\w+):/)                { $in = $1 eq 'paths' }
        elsif (!$in)                  { next }
        elsif (/^  (\/\S*):\s*$/)     { $path = $1 }
        elsif (/^    (get|put|post|patch|delete|head|options):\s*$/) {
            $op = { method => uc $1, path => $path };
            push @out, $op;
        }
        elsif (/^      operationId: (\S+)/)   { $op->{id} = $1 }
        elsif (/^      x-speedy-auth: ['"]?(\w+)['"]?\s*$/) { $op->{auth} = $1 }
    }
    for my $o (@out) {
        $o->{path} = "/api/v1$o->{path}"
            if $o->{path} !~ m{^/(?:admin|pay|\.well-known|internal)/};
        $o->{ops} = $o->{path} =~ m{^/admin/};
    }
    return @out;
}

sub roles_of_stack {
    my ($names) = read_file(repository() . '/dev.d/build.sh') =~ /^ROLES=\(([^)]*)\)/m;
    return split ' ', $names;
}

# By the preprocessor: a table may use macros.
sub routes {
    my $root = repository();
    my @out;
    my (undef, $flags) = run_command(10, qw(pkg-config --cflags hiredis rdkafka
        libmariadb yajl libcurl libmicrohttpd libcrypto));
    for my $daemon (roles_of_stack()) {
        for my $file (glob "$root/daemons/$daemon/*.c") {
            next if (read_file($file) // '') !~ /struct speedy_route \w+\[\]/;
            my ($status, $text, $err) = run_command(30, 'gcc', '-E', '-P', '-D_GNU_SOURCE',
                '-I' . build_dir() . '/gen', split(' ', $flags), $file);
            die "$file: $err" if $status;
            $text =~ s/.*?(struct speedy_route \w+\[\])/$1/s;
            $text =~ s/\.\w+\s*=\s*//g;
            while ($text =~ /\{\s*"([A-Z]+)",\s*"([^"]+)",(.*?)\}\s*,/gs) {
                my ($method, $path, $rest) = ($1, $2, $3);
                next if $path =~ m{^/(?:internal/|healthz|readyz|metrics)};
                my @fields = split /\s*,\s*/, $rest =~ s/\s+/ /gr;
                my ($anyone) = grep {/^\s*(?:true|false|0|1)\s*$/} @fields;
                my ($role) = $rest =~ /"([A-Z]+)"/;
                push @out, { daemon => $daemon, method => $method, path => $path,
                    auth => $role ? lc $role : ($anyone // '') =~ /true|1/ ? 'off' : 'user' };
            }
        }
    }
    return @out;
}

sub pattern {
    my ($path) = @_;
    return $path =~ s/\{\w+\}/*/gr;
}

# A path to ask for: {names} become an id.
sub concrete {
    my ($path, %ids) = @_;
    return $path =~ s/\{(\w+)\}/$ids{$1} \/\/ 'x1'/ger;
}

sub disagreements {
    my (%o) = @_;
    my @ops = $o{operations} ? @{ $o{operations} } : operations();
    my @locations = Speedy::Example::locations(
        $o{conf} // read_file(repository() . '/nginx.conf.example'));
    my (@wrong, %known, %used);
    for my $op (@ops) {
        my $name = "$op->{method} $op->{path}";
        my $key = "$op->{method} " . pattern($op->{path});
        push @wrong, "openapi: $name stands there twice" if $known{$key};
        $known{$key} = $op;
        push @wrong, "openapi: $name has no x-speedy-auth" if !defined $op->{auth};
        my $port = $op->{ops} ? 8081 : 8080;
        my $l = Speedy::Example::location_of(concrete($op->{path}),
            grep { $_->{port} == $port } @locations);
        my $rule = $l && Speedy::Example::rule_of($l, $op->{method});
        $used{"$l->{port} $l->{name}"} = 1 if $l;
        push @wrong, "nginx.conf.example: $name is closed"
            if !$l || Speedy::Example::named($l->{block}, 'return');
        push @wrong, sprintf 'nginx.conf.example: %s asks for %s, openapi for %s', $name,
            $rule // 'nothing', $op->{auth} // 'nothing'
            if ($rule // '') ne ($op->{auth} // '');
    }
    for my $route ($o{routes} ? @{ $o{routes} } : routes()) {
        my $name = "$route->{method} $route->{path}";
        my $op = $known{$name};
        if (!$op) {
            push @wrong, "openapi: $name of $route->{daemon} is missing";
        } elsif (($op->{auth} // '') ne $route->{auth}) {
            push @wrong, "openapi: $name asks for " . ($op->{auth} // 'nothing')
                . ", $route->{daemon} for $route->{auth}";
        }
    }
    for my $l (@locations) {
        my $name = "$l->{port} $l->{name}";
        push @wrong, "nginx.conf.example: location $name has no rule"
            if !defined $l->{auth} || $l->{except} && !defined $l->{except_auth};
        # What answers by itself, or with what another location was asked for.
        next if $used{$name} || $l->{kind} eq '@'
            || grep { Speedy::Example::named($l->{block}, $_) }
                qw(return internal root speedy_status stub_status);
        push @wrong, "nginx.conf.example: no operation leads to location $name";
    }
    return @wrong;
}

sub new {
    my ($class, %o) = @_;
    return bless { %o, cells => 0, wrong => [] }, $class;
}

sub columns { return qw(no_token bad_token expired ended other_role right) }
sub cells { return $_[0]{cells} }
sub wrong { return @{ $_[0]{wrong} } }

my @refusals = qw(token_missing token_invalid token_expired session_ended role_required);

sub may {
    my ($op, $role) = @_;
    return $role eq 'USER' if $op->{auth} eq 'user';
    return ($rank{ lc $role } // 0) >= $rank{ $op->{auth} };
}

sub cell {
    my ($self, $column, $op, $want, %cell) = @_;
    $self->{cells}++;
    my $r = $self->{ask}->($op, %cell);
    my $got = "$r->{status} " . ($r->{json}{code} // '');
    # Where no token is asked for, none is refused either.
    my $right = $want ? $got eq $want
        : !grep { ($r->{json}{code} // '') eq $_ } @refusals;
    $right = 0 if !$want && $r->{status} =~ /^(?:500|599)$/;
    push @{ $self->{wrong} }, "$op->{method} $op->{path}, $column"
        . ($cell{token} ? " ($cell{token}{role})" : '') . ": $got, not "
        . ($want || 'let through') if !$right;
    return $right;
}

sub column {
    my ($self, $column, @operations) = @_;
    my $before = $self->wrong;
    for my $op (@operations) {
        my $open = $op->{auth} eq 'off';
        my ($own) = $open ? 'USER' : grep { may($op, $_) } @roles;
        if ($column eq 'no_token') {
            $self->cell($column, $op, $open ? '' : '401 token_missing');
        } elsif ($column eq 'bad_token') {
            $self->cell($column, $op, $open ? '' : '401 token_invalid',
                token => { role => $own, forged => 1 });
        } elsif ($column eq 'expired') {
            $self->cell($column, $op, $open ? '' : '401 token_expired',
                token => { role => $own, expired => 1 });
        } elsif ($column eq 'ended') {
            $self->cell($column, $op, $open ? '' : '401 session_ended',
                token => { role => $own, ended => 1 });
        } else {
            for my $role (@roles) {
                my $right = $open || may($op, $role);
                next if $right xor $column eq 'right';
                $self->cell($column, $op, $right ? '' : '403 role_required',
                    token => { role => $role });
            }
        }
    }
    return $self->wrong - $before;
}

1;
