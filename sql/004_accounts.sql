-- People: shoppers, their consents and addresses, verified e-mail, sessions,
-- staff. Columns named `sealed_…` hold personal data, encrypted under the
-- row's (of addresses: the user's) data key, which is itself wrapped by the
-- master key named in `master_key` (daemons/common/seal.h). `email_index` is
-- a keyed digest of the normalised address: equality, and nothing else.

CREATE TABLE users (
    id            VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state         VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'ACTIVE',
    email_index   BINARY(16) NULL,
    sealed_email  VARBINARY(400) NULL,
    sealed_name   VARBINARY(400) NULL,
    sealed_phone  VARBINARY(200) NULL,
    -- NULL: shredded, nobody can read the sealed columns again
    data_key      VARBINARY(100) NULL,
    master_key    VARCHAR(20) CHARACTER SET ascii NULL,
    language      CHAR(2) CHARACTER SET ascii NOT NULL DEFAULT 'ko',
    password_hash VARCHAR(200) CHARACTER SET ascii NULL,
    version       INT NOT NULL DEFAULT 1,
    created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    ended_at      DATETIME(3) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY one_user_an_address (email_index),
    KEY by_master_key (master_key, id),
    CONSTRAINT user_state CHECK (state IN ('ACTIVE', 'BLOCKED', 'ENDED')),
    CONSTRAINT user_language CHECK (language IN ('ko', 'en')),
    CONSTRAINT user_whole CHECK (state = 'ENDED' OR (email_index IS NOT NULL
        AND sealed_email IS NOT NULL AND data_key IS NOT NULL
        AND master_key IS NOT NULL AND password_hash IS NOT NULL)),
    CONSTRAINT user_shredded CHECK (state <> 'ENDED' OR (email_index IS NULL
        AND sealed_email IS NULL AND sealed_name IS NULL
        AND sealed_phone IS NULL AND data_key IS NULL
        AND password_hash IS NULL))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What was agreed to or refused, per kind and version; append only.
CREATE TABLE consents (
    id       BIGINT NOT NULL AUTO_INCREMENT,
    user_id  VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind     VARCHAR(20) CHARACTER SET ascii NOT NULL,
    version  VARCHAR(20) CHARACTER SET ascii NOT NULL,
    agreed   TINYINT NOT NULL,
    at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    KEY by_user (user_id, kind, id),
    CONSTRAINT consent_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT consent_agreed CHECK (agreed IN (0, 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE addresses (
    id               BINARY(16) NOT NULL,
    user_id          VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sealed_recipient VARBINARY(400) NOT NULL,
    sealed_phone     VARBINARY(200) NOT NULL,
    sealed_postcode  VARBINARY(100) NOT NULL,
    sealed_line1     VARBINARY(700) NOT NULL,
    sealed_line2     VARBINARY(700) NOT NULL,
    is_default       TINYINT NOT NULL DEFAULT 0,
    version          INT NOT NULL DEFAULT 1,
    created_at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    KEY by_user (user_id, id),
    CONSTRAINT address_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- A proof that somebody reads the mail of an address, for one purpose. It has
-- a data key of its own: there may be no user yet, and never be one. Purpose
-- `notice` proves nothing: it keeps the address of an account that was ended
-- until its last mail is out. Rows are deleted after a day.
CREATE TABLE verifications (
    id            BINARY(16) NOT NULL,
    purpose       VARCHAR(10) CHARACTER SET ascii NOT NULL,
    email_index   BINARY(16) NOT NULL,
    sealed_email  VARBINARY(400) NOT NULL,
    data_key      VARBINARY(100) NOT NULL,
    master_key    VARCHAR(20) CHARACTER SET ascii NOT NULL,
    -- of the account that the address had when it was asked for, if any
    user_id       VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NULL,
    language      CHAR(2) CHARACTER SET ascii NOT NULL DEFAULT 'ko',
    tries         INT NOT NULL DEFAULT 0,
    created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    -- set when its mail is written: a code lives from then on
    expires_at    DATETIME(3) NULL,
    confirmed_at  DATETIME(3) NULL,
    -- SHA-256 of the proof that sign-up hands in; single use
    proof_hash    BINARY(32) NULL,
    proof_expires_at DATETIME(3) NULL,
    used_at       DATETIME(3) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY one_proof (proof_hash),
    KEY by_address (email_index, purpose, created_at),
    KEY by_age (created_at),
    KEY by_master_key (master_key, id),
    CONSTRAINT verification_purpose
        CHECK (purpose IN ('signup', 'reset', 'notice'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Locked while a verification is asked for, so that an address' limits hold
-- for requests that come at once.
CREATE TABLE verification_locks (
    email_index BINARY(16) NOT NULL,
    purpose     VARCHAR(10) CHARACTER SET ascii NOT NULL,
    asked_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (email_index, purpose),
    KEY by_age (asked_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- A code is made when its mail is written, and kept only as HMAC over code,
-- address and purpose; a mail that is written twice has two codes that work.
CREATE TABLE verification_codes (
    verification_id BINARY(16) NOT NULL,
    n               INT NOT NULL,
    code_mac        BINARY(32) NOT NULL,
    link_hash       BINARY(32) NOT NULL,
    created_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (verification_id, n),
    UNIQUE KEY one_link (link_hash),
    CONSTRAINT code_verification FOREIGN KEY (verification_id)
        REFERENCES verifications (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Operators. Their login name is no personal datum and is what the audit log
-- names.
CREATE TABLE staff (
    id            VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    login         VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role          VARCHAR(10) CHARACTER SET ascii NOT NULL,
    state         VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'ACTIVE',
    password_hash VARCHAR(200) CHARACTER SET ascii NOT NULL,
    sealed_totp   VARBINARY(200) NOT NULL,
    data_key      VARBINARY(100) NOT NULL,
    master_key    VARCHAR(20) CHARACTER SET ascii NOT NULL,
    -- the last time step whose code was taken: no code works twice
    totp_step     BIGINT NOT NULL DEFAULT 0,
    version       INT NOT NULL DEFAULT 1,
    created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    UNIQUE KEY one_login (login),
    KEY by_master_key (master_key, id),
    CONSTRAINT staff_role
        CHECK (role IN ('VIEWER', 'CS', 'OPERATOR', 'OWNER')),
    CONSTRAINT staff_state CHECK (state IN ('ACTIVE', 'ENDED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- A session is a family of refresh tokens: `sid` of its access tokens.
CREATE TABLE sessions (
    id          VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind        VARCHAR(5) CHARACTER SET ascii NOT NULL,
    owner_id    VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role        VARCHAR(10) CHARACTER SET ascii NOT NULL,
    device      VARCHAR(60) NOT NULL,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    seen_at     DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    expires_at  DATETIME(3) NOT NULL,
    ended_at    DATETIME(3) NULL,
    end_reason  VARCHAR(20) CHARACTER SET ascii NULL,
    PRIMARY KEY (id),
    KEY by_owner (owner_id, ended_at),
    KEY by_end (ended_at),
    KEY by_expiry (expires_at),
    CONSTRAINT session_kind CHECK (kind IN ('USER', 'STAFF')),
    CONSTRAINT session_role
        CHECK (role IN ('USER', 'VIEWER', 'CS', 'OPERATOR', 'OWNER')),
    CONSTRAINT session_end
        CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Only digests. The successor of a token is a keyed digest of the token and
-- `salt`, so that a lost answer can be given again without keeping it.
CREATE TABLE refresh_tokens (
    token_hash  BINARY(32) NOT NULL,
    session_id  VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    salt        BINARY(32) NOT NULL,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    expires_at  DATETIME(3) NOT NULL,
    used_at     DATETIME(3) NULL,
    PRIMARY KEY (token_hash),
    KEY by_session (session_id),
    CONSTRAINT refresh_session FOREIGN KEY (session_id)
        REFERENCES sessions (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Wrong passwords in a row, by a keyed digest of the name that was given:
-- whether anybody has that name makes no difference. `login_after`: no
-- password is looked at before.
CREATE TABLE login_failures (
    subject     BINARY(16) NOT NULL,
    failures    INT NOT NULL,
    failed_at   DATETIME(3) NOT NULL,
    login_after DATETIME(3) NULL,
    PRIMARY KEY (subject),
    KEY by_age (failed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
