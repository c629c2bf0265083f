# userd is killed again and again while people ask for codes. Whoever was told
# 202 gets the mail; a mail comes twice at the most once a kill, under one
# Message-ID.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(read_file wait_for);
use Test::More;

my $s = Speedy::Stack->up;
my ($people, $kills) = (120, 6);

my (@told, $refused);
for my $n (1 .. $people) {
    my $p = Speedy::Shopper->new($s);
    my $res = $p->ask_code;
    if ($res->{status} == 202) { push @told, $p }
    else { $refused++ }
    next if $n % ($people / $kills);
    # Between the answer to one request and that to the next: the outbox and
    # the mails' claims are under way.
    my $name = 'userd_' . (1 + ($n / ($people / $kills)) % 2);
    my $old = $s->kill_9($name);
    $s->restarted($name, $old, 10);
}
cmp_ok(scalar @told, '>', $people / 2, 'most were told 202');

sub copies {
    my %copies;
    for my $file (glob "$s->{dir}/mail/*.eml") {
        my $text = read_file($file) // next;
        my ($to) = $text =~ /^To: .*?([\w.+-]+\@[\w.-]+)/mi;
        my ($id) = $text =~ /^Message-ID:\s*(<[^>]+>)/mi;
        $copies{ lc $to }{$id}++;
    }
    return \%copies;
}

my $copies;
wait_for {
    $copies = copies();
    return !grep { !$copies->{ lc $_->{email} } } @told;
} 60, 'a mail for everybody who was told 202';
pass('no mail is lost');
wait_for {
    return !$s->sql(q{SELECT COUNT(*) FROM mails WHERE state IN ('QUEUED', 'SENDING')});
} 60, 'nothing more to send';
$copies = copies();
my $doubles = 0;
for my $ids (values %$copies) { $doubles += $_ - 1 for values %$ids }
my @two = grep { keys %{ $copies->{$_} } > 1 } keys %$copies;
is(scalar @two, 0, 'nobody has two mails that are not one');
cmp_ok($doubles, '<=', $kills, 'at most one double a kill');
# maild finds a mail by its own look, too, before the outbox told of it.
wait_for { return !$s->sql('SELECT COUNT(*) FROM outbox') } 30, 'an empty outbox';
pass('the outbox is empty');
diag(sprintf '%d told 202, %d not; %d kills of userd: 0 lost, %d doubles',
    scalar @told, $refused // 0, $kills, $doubles);

done_testing();
