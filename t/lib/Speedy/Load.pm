package Speedy::Load;

# The shoppers tool in the background of a test, and what it tells at its end.

use strict;
use warnings;
use Carp qw(croak);
use JSON::PP ();
use Speedy::Util qw(spawn stop_process alive reap temp_dir build_file read_file);

=head1 SYNOPSIS

    my $load = Speedy::Load->start(url => $url, sale => 's1', tokens => $file,
        arrival => 'steady:300', duration => '20s', 'repeat-same' => 20);
    wait_for { $load->answers(status => 202) >= 50 } 10, 'fifty orders';
    my $sum = $load->finish(60);
    is($sum->{violations}, 0);
    is($sum->{final}{'409 sold_out'}, 9000);

=head1 METHODS

=over

=item start(OPTION => VALUE, ...)

Any long option of shoppers without its dashes; a list gives it several times
(C<< url => [$a, $b] >>), undef is an option without a value
(C<< 'no-retry' => undef >>). C<log> is chosen when it is not given.

=item log

The client log's path.

=item lines(NAME => VALUE, ...), answers(NAME => VALUE, ...)

The client log's lines that have these values (all without any); C<answers>
only counts. May be asked while it runs.

=item finish(SECONDS)

Waits for its end, and dies when it does not come. The summary as a hash (the
names of C<--json>) with C<exit>, its exit status (1: an answer contradicted an
earlier one; told on stderr).

=item stop

SIGTERM, then as C<finish>.

=item running

=back

=cut

sub start {
    my ($class, %o) = @_;
    my $dir  = temp_dir('load');
    my $self = bless { dir => $dir, log => $o{log} // "$dir/client.log" },
        $class;
    my @args = ('--json', '--log', $self->{log});
    delete $o{log};
    for my $name (sort keys %o) {
        my @values = ref $o{$name} ? @{ $o{$name} } : $o{$name};
        push @args, map { defined $_ ? ("--$name", $_) : "--$name" } @values;
    }
    $self->{pid} = spawn(
        name   => 'shoppers',
        cmd    => [build_file('bin/shoppers'), @args],
        stdout => "$dir/summary",
        stderr => "$dir/stderr",
    );
    return $self;
}

sub log     { return $_[0]{log} }
sub running { return alive($_[0]{pid}) }

sub lines {
    my ($self, %want) = @_;
    my @lines = map { JSON::PP::decode_json($_) }
        grep { /\}$/ } split /\n/, read_file($self->{log}) // '';
    return grep {
        my $line = $_;
        !grep { $line->{$_} ne $want{$_} } keys %want;
    } @lines;
}

sub answers {
    my ($self, %want) = @_;
    my @lines = $self->lines(%want);
    return scalar @lines;
}

sub finish {
    my ($self, $seconds) = @_;
    $seconds //= 120;
    my $status = reap($self->{pid}, $seconds);
    if (!defined $status) {
        stop_process($self->{pid}, 'TERM', 10);
        croak "shoppers did not end in $seconds s";
    }
    my $err = read_file("$self->{dir}/stderr") // '';
    print STDERR map { "# $_\n" } split /\n/, $err;
    my $text = read_file("$self->{dir}/summary") // '';
    croak "shoppers ended with $status" if $text !~ /^\{/;
    return { %{ JSON::PP::decode_json($text) }, exit => $status };
}

sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid} if $self->running;
    return $self->finish(20);
}

1;
