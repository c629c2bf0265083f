package Speedy::Postfix;

# A real mail server of one test: Postfix in a directory of its own, on
# loopback, with TLS and SASL required, delivering into a Maildir.

use strict;
use warnings;
use Carp qw(croak);
use Speedy::Util qw(connect_to free_port read_file run_command spawn
    stop_process temp_dir wait_for write_file);

=head1 METHODS

=over

=item missing

Why it cannot run here, or nothing.

=item start(cert => FILE, key => FILE, user => NAME, password => TEXT)

=item port, stop

=item mails

The files of the Maildir.

=back

=cut

my $daemons = '/usr/lib/postfix/sbin';

sub missing {
    return 'Postfix wants root' if $>;
    return "no Postfix here (apt-get install postfix)" if !-x "$daemons/master";
    return 'no saslpasswd2 here (apt-get install sasl2-bin)'
        if !-x '/usr/sbin/saslpasswd2';
    return;
}

sub must {
    my ($status, $out, $err) = run_command(30, @_);
    croak "@_: exit $status: $out$err" if $status;
    return;
}

sub start {
    my ($class, %o) = @_;
    my $dir = temp_dir('postfix');
    my $self = bless { dir => $dir, port => free_port() }, $class;
    chmod 0755, $dir;
    mkdir "$dir/$_" or croak "$dir/$_: $!" for qw(etc etc/sasl spool data mail);
    my ($uid, $gid) = (getpwnam 'postfix')[2, 3];
    chown $uid, $gid, "$dir/data", "$dir/mail";
    $self->login($o{user}, $o{password}, $uid);
    # Readable for the server's own user, as a real one's would be made.
    write_file("$dir/etc/crt", read_file($o{cert}), 0644);
    write_file("$dir/etc/key", read_file($o{key}), 0600);
    $self->configure($uid, $gid);
    must('/usr/sbin/postfix', '-c', "$dir/etc", 'check');
    $self->{pid} = spawn(cmd => ["$daemons/master", '-c', "$dir/etc", '-s'],
        name => 'postfix', stdout => "$dir/out");
    wait_for { return connect_to($self->{port}) } 20,
        "Postfix: " . (read_file("$dir/log") // '');
    return $self;
}

sub login {
    my ($self, $user, $password, $uid) = @_;
    my $sasl = "$self->{dir}/etc/sasl";    # where Debian's Postfix looks
    write_file("$sasl/smtpd.conf", <<"END");
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: $sasl/db
mech_list: PLAIN LOGIN
END
    write_file("$sasl/in", $password, 0600);
    my $pid = spawn(cmd => ['/usr/sbin/saslpasswd2', '-p', '-c', '-f',
        "$sasl/db", '-u', 'localhost', $user], stdin => "$sasl/in",
        stdout => "$sasl/out");
    my $status = Speedy::Util::reap($pid, 10);
    croak 'saslpasswd2: ' . read_file("$sasl/out") if !defined $status || $status;
    unlink "$sasl/in";
    chown $uid, -1, "$sasl/db";
    return;
}

sub configure {
    my ($self, $uid, $gid) = @_;
    my $dir = $self->{dir};
    write_file("$dir/etc/main.cf", <<"END");
compatibility_level = 3.6
queue_directory = $dir/spool
data_directory = $dir/data
daemon_directory = $daemons
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = $dir/log
maillog_file_prefixes = $dir
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = regexp:$dir/etc/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:$uid
virtual_gid_maps = static:$gid
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_tls_cert_file = $dir/etc/crt
smtpd_tls_key_file = $dir/etc/key
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = $dir/etc/sasl
smtpd_sasl_local_domain = localhost
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
END
    write_file("$dir/etc/mailboxes", "!/^nobody\@/ all/\n");
    write_file("$dir/etc/master.cf", <<"END");
127.0.0.1:$self->{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
postlog unix-dgram n - n - 1 postlogd
END
    return;
}

sub port { return $_[0]{port} }

sub mails { my @files = glob "$_[0]{dir}/mail/all/new/*"; return @files }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    return stop_process($pid, 'TERM', 10);
}

1;
