package Speedy::Token;

# Access tokens for tests, good ones and bad ones, by core Perl only.

use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha384 hmac_sha512);
use Exporter qw(import);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);

our @EXPORT_OK = qw(token token_by_openssl token_header token_claims);

=head1 SYNOPSIS

    use Speedy::Token qw(token);

    token(key => $key, sub => 'u1');                 # good for 15 minutes
    token(key => $key, sub => 'u1', expired => 1);
    token(key => $key, sub => 'u1', without => ['aud', 'exp']);
    token(key => $key, sub => 'u1', alg => 'none');  # HS384, HS512, RS256 too
    token(key => $key, sub => 'u1', claims => { nbf => time + 60 });
    token(key => $key, header => '{"typ":"JWT"}');   # any header's text

=head1 FUNCTIONS

=over

=item token(%options)

C<key> (bytes), C<key_file> instead; C<sub>, C<role> (USER), C<iss> and C<aud>
(speedy), C<sid>, C<jti>, C<typ> (access), C<ttl> (900), C<iat> (now), C<claims>
(more, or others), C<without> (names left out), C<expired>; C<kid> (k1), C<alg>
(HS256), C<header> (the text itself), C<payload> (the text itself), C<bits>
(flips the last bit of the signature when it is 'wrong'), C<size> (pads the
payload until the token has at least this many bytes).

With HS256 the header is exactly {"alg":"HS256","typ":"JWT","kid":"k1"}. With
another C<alg> it names that one; HS384 and HS512 are truly signed so with the
same key, C<none> has an empty signature, RS256 and ES256 carry an HS256
signature made with the key (the old confusion).

=item token_by_openssl(alg => 'ES256' or 'RS256', key_file => PRIVATE KEY, ...)

Truly signed, by the openssl program; other options as token().

=item token_header($token), token_claims($token)

The decoded parts.

=back

=cut

my $serial = 0;

sub token {
    my (%o) = @_;
    my $key = $o{key};
    if (defined $o{key_file}) {
        open my $fh, '<:raw', $o{key_file} or die "$o{key_file}: $!";
        local $/;
        $key = <$fh>;
        $key =~ s/\n\z//;
    }
    my $alg = $o{alg} // 'HS256';
    my $kid = $o{kid} // 'k1';
    my $now = $o{iat} // time;
    $now -= 100_000 if $o{expired};
    my %claims = (
        iss  => $o{iss}  // 'speedy',
        aud  => $o{aud}  // 'speedy',
        sub  => $o{sub}  // 'u1',
        sid  => $o{sid}  // 'sid-' . ++$serial,
        role => $o{role} // 'USER',
        typ  => $o{typ}  // 'access',
        iat  => $now,
        exp  => $now + ($o{ttl} // 900),
        jti  => $o{jti} // sprintf('%x-%x-%x', $$, $now, ++$serial),
        %{ $o{claims} // {} },
    );
    delete @claims{ @{ $o{without} // [] } };

    my $header = $o{header} // qq({"alg":"$alg","typ":"JWT","kid":"$kid"});
    my $payload = $o{payload} // JSON::PP->new->canonical->encode(\%claims);
    if ($o{size}) {
        my $fill = int(($o{size} - length($header) * 4 / 3) * 3 / 4)
            - length($payload) - 20;
        $claims{pad} = 'x' x ($fill > 0 ? $fill : 0);
        $payload = JSON::PP->new->canonical->encode(\%claims);
    }
    my $signed = encode_base64url($header) . '.' . encode_base64url($payload);
    my %sign = (HS384 => \&hmac_sha384, HS512 => \&hmac_sha512);
    my $mac = $alg eq 'none' ? '' : ($sign{$alg} // \&hmac_sha256)->($signed, $key // '');
    if (($o{bits} // '') eq 'wrong') {
        substr($mac, -1) = chr(ord(substr $mac, -1) ^ 1);
    }
    return "$signed." . encode_base64url($mac);
}

sub token_by_openssl {
    my (%o) = @_;
    my $file = delete $o{key_file};
    my $signed = token(%o, key => '') =~ s/\.[^.]*\z//r;
    my $in = File::Temp->new;
    binmode $in;
    print {$in} $signed;
    close $in;
    open my $out, '-|', qw(openssl dgst -sha256 -sign), $file, "$in"
        or die "openssl: $!";
    binmode $out;
    my $sig = do { local $/; <$out> };
    close $out or die 'openssl dgst failed';
    if ($o{alg} eq 'ES256') {
        # SEQUENCE of two INTEGERs; JWS wants 32 bytes of each.
        my ($r, $s) = unpack 'x x x C/a x C/a', $sig;
        $sig = join '', map { my $v = s/^\0+//r; ("\0" x (32 - length $v)) . $v } $r, $s;
    }
    return "$signed." . encode_base64url($sig);
}

sub token_header { return JSON::PP::decode_json(decode_base64url((split /\./, $_[0])[0])) }
sub token_claims { return JSON::PP::decode_json(decode_base64url((split /\./, $_[0])[1])) }

1;
