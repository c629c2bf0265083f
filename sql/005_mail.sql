-- Mail, and the outbox through which rows reach Kafka.

-- One row a mail, written in the transaction of its cause; no personal data:
-- the address is asked for when the mail is sent. maild moves its state.
CREATE TABLE mails (
    id              BINARY(16) NOT NULL,
    kind            VARCHAR(30) CHARACTER SET ascii NOT NULL,
    -- whom it is for: an account, or an address that is being verified
    user_id         VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NULL,
    verification_id BINARY(16) NULL,
    -- what the template needs besides (order, sale, amount …): a JSON object
    params          VARCHAR(2000) NOT NULL,
    -- of causes that may happen twice but are told once; NULL: always told
    once_key        VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL,
    state           VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'QUEUED',
    attempts        INT NOT NULL DEFAULT 0,
    -- of the next attempt, or the end of the claim of the one under way
    next_at         DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    claimed_by      VARCHAR(64) CHARACTER SET ascii NULL,
    -- not sent after this: it would be of no use
    expires_at      DATETIME(3) NULL,
    -- the SMTP reply code (0: none) and enhanced status or reason in words
    reply_code      INT NULL,
    reply           VARCHAR(60) CHARACTER SET ascii NULL,
    request_id      VARCHAR(64) CHARACTER SET ascii NOT NULL DEFAULT '',
    created_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    ended_at        DATETIME(3) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY told_once (once_key),
    KEY due (state, next_at),
    KEY by_user (user_id, id),
    KEY by_age (created_at),
    CONSTRAINT mail_to CHECK ((user_id IS NULL) <> (verification_id IS NULL)),
    -- DROPPED: nobody to tell (an unknown address, an ended account)
    CONSTRAINT mail_state CHECK (state IN
        ('QUEUED', 'SENDING', 'SENT', 'FAILED', 'EXPIRED', 'DROPPED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Records for Kafka, written in the transaction of their cause and deleted
-- when a broker has them: at least once, in no promised order.
CREATE TABLE outbox (
    id            BIGINT NOT NULL AUTO_INCREMENT,
    topic         VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    record_key    VARBINARY(100) NOT NULL,
    record_value  VARBINARY(4000) NOT NULL,
    created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
