package Speedy::Nginx;

# The front of the runner for t/*.t: the real Test::Nginx::Socket where it is
# installed, else our own in Speedy::Nginx::Runner. Both get the same blocks.

use strict;
use warnings;
use Speedy::Util qw(build_dir build_file free_port temp_dir);

our $REAL;

BEGIN {
    $ENV{TEST_NGINX_BINARY} ||= '/usr/sbin/nginx';
    if (!$ENV{SPEEDY_OWN_RUNNER}) {
        $ENV{TEST_NGINX_PORT}     ||= free_port();
        $ENV{TEST_NGINX_SERVROOT} ||= temp_dir('nginx') . '/servroot';
        $REAL = eval { require Test::Nginx::Socket; 1 } || 0;
    }
}

my @own = qw(use_module nginx_preamble runner_is_real);

sub import {
    my ($class, @args) = @_;
    my $caller = caller;

    if ($REAL) {
        ## no critic: the import must see the caller's package
        eval "package $caller; Test::Nginx::Socket->import(\@args); 1"
            or die $@;
        Test::Nginx::Util::master_on();
    } else {
        require Speedy::Nginx::Runner;
        Speedy::Nginx::Runner->export_to($caller, @args);
    }
    no strict 'refs';
    *{"${caller}::$_"} = \&{$_} for @own;
    return;
}

sub runner_is_real { return $REAL }

sub nginx_preamble {
    my (%o) = @_;
    my $add = \&{ $REAL ? 'Test::Nginx::Util::add_block_preprocessor'
                        : 'Speedy::Nginx::Runner::add_block_preprocessor' };
    $add->(sub {
        my ($block) = @_;
        for my $section (qw(main_config http_config config)) {
            next if !defined $o{$section};
            my $text = $block->$section // '';
            $block->set_value($section, "$o{$section}\n$text");
        }
    });
    return;
}

sub use_module {
    my $so = build_file('ngx_http_speedy_module.so');
    nginx_preamble(main_config => "load_module $so;");
    return;
}

1;

__END__

=head1 NAME

Speedy::Nginx - nginx tests in Test::Nginx's block form

=head1 SYNOPSIS

    use lib 't/lib';
    use Speedy::Nginx;

    use_module();                         # load_module of SPEEDY_BUILD
    plan tests => repeat_each() * (blocks() * 2);
    run_tests();

    __DATA__

    === TEST 1: says hello
    --- config
        location = /hello { return 200 "hello\n"; }
    --- request
    GET /hello
    --- response_body
    hello

C<use Speedy::Nginx 'no_plan'> where counting is not worth it.

=head1 FUNCTIONS

As Test::Nginx::Socket: C<run_tests>, C<plan>, C<blocks>, C<repeat_each(N)>,
C<no_shuffle>, C<no_long_string>, C<no_root_location>, C<log_level(LEVEL)>,
C<master_on>, C<master_off>, C<workers(N)>, C<worker_connections(N)>,
C<timeout(SECONDS)>, C<server_root>, C<server_port>, C<html_dir>,
C<env_to_nginx(NAME...)>, C<add_block_preprocessor(CODE)>,
C<add_cleanup_handler(CODE)>, C<bail_out>, and Test::More's. The master process
is on. With it, of our own:

=over

=item use_module()

Puts C<load_module ABSOLUTE/ngx_http_speedy_module.so;> in front of every
block's main_config. The build is SPEEDY_BUILD (default C<build>). When the
module was built with AddressSanitizer, nginx is started with libasan
preloaded; any report fails the test.

=item nginx_preamble(main_config => ..., http_config => ..., config => ...)

Text put in front of these sections of every block.

=item runner_is_real()

True with the real Test::Nginx::Socket. SPEEDY_OWN_RUNNER=1 forces ours.

=back

=head1 SECTIONS

C<config>, C<http_config>, C<main_config>; C<request> (text: request line,
then body; C<eval>: a list is several requests, each on a connection of its
own; a list in the list is one request in packets; a packet may be
C<< {value => TEXT, delay_before => SECONDS} >>), C<raw_request> (text or a
list of packets, with C<raw_request_middle_delay>), C<pipelined_requests>
(C<eval>, a list), C<more_headers> (text or a list), C<timeout>, C<abort>,
C<ignore_response>; C<error_code> (number or list; 200 when not given),
C<error_code_like>, C<response_body>, C<response_body_like>,
C<response_body_unlike>, C<response_headers> (C<Name: value>; C<!Name>: must
not be there), C<response_headers_like> (the real one ignores it beside
C<response_headers>), C<raw_response_headers_like>,
C<raw_response_headers_unlike>; C<user_files> (C<< >>> name >> lines, or a
list of [name, text, mode]), C<error_log>, C<no_error_log> (a pattern a line,
or C<eval> a list; qr// is a pattern, text is searched as it is), C<must_die>,
C<tcp_listen> (port or path), C<tcp_reply> (text, list or code), C<tcp_query>,
C<tcp_query_len>, C<tcp_no_close>, C<tcp_reply_delay>; C<ONLY>, C<SKIP>,
C<LAST>. A list for several requests is taken by place.

In configurations: C<$TEST_NGINX_NAME> from the environment,
C<$TEST_NGINX_SERVER_PORT>, C<$TEST_NGINX_SERVER_ROOT>,
C<$TEST_NGINX_HTML_DIR>.

Beyond the real one, ours waits (3 s at most) for a line of C<error_log>,
keeps an nginx as long as the configuration stays the same, and fails when
nginx does not quit in order or a log holds C<[alert]>, C<[emerg]>, C<open
socket left> or a sanitizer's report that no C<error_log> of its blocks names.

=cut
