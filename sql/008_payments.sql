-- Money: attempts to pay an order, what KakaoPay answered, what went back,
-- and where the parcel goes. States of an attempt:
--   NEW        ready is not answered; READY: its tid is stored, the shopper
--   has the URLs; APPROVING: approve may have been called; PAID; FAILED: not
--   paid, for good; REVOKED: another attempt took its place before approve.
-- `live_order` is the order's id in the first four: one of them an order, so
-- that no order is ever paid twice.

CREATE TABLE payments (
    id              BINARY(16) NOT NULL,
    order_id        BINARY(16) NOT NULL,
    live_order      BINARY(16) NULL,
    user_id         VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state           VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'NEW',
    -- KakaoPay's API: open (2024 on) or legacy
    api             VARCHAR(6) CHARACTER SET ascii NOT NULL,
    cid             VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tid             VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NULL,
    aid             VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NULL,
    -- SHA-256 of the secret in the callbacks' addresses
    nonce_hash      BINARY(32) NOT NULL,
    key_digest      BINARY(16) NOT NULL,
    body_digest     BINARY(16) NOT NULL,
    quantity        INT NOT NULL,
    goods_amount    BIGINT NOT NULL,
    shipping_fee    BIGINT NOT NULL,
    total_amount    BIGINT NOT NULL,
    tax_free_amount BIGINT NOT NULL,
    vat_amount      BIGINT NOT NULL,
    -- of refunds that were asked for, done or not
    refunded_amount BIGINT NOT NULL DEFAULT 0,
    -- where the shopper pays; told again to the same key
    pc_url          VARCHAR(1000) CHARACTER SET ascii NOT NULL DEFAULT '',
    mobile_url      VARCHAR(1000) CHARACTER SET ascii NOT NULL DEFAULT '',
    app_url         VARCHAR(1000) CHARACTER SET ascii NOT NULL DEFAULT '',
    -- NEW: until when ready is somebody's; APPROVING, and FAILED that is
    -- looked at once more: when the next inquiry is due, or until when it is
    -- somebody's
    next_at         DATETIME(3) NULL,
    inquiries       INT NOT NULL DEFAULT 0,
    error_code      INT NULL,
    error           VARCHAR(60) CHARACTER SET ascii NOT NULL DEFAULT '',
    created_at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    -- when the tid was stored, and when it is dead
    ready_at        DATETIME(3) NULL,
    dead_at         DATETIME(3) NULL,
    approve_at      DATETIME(3) NULL,
    ended_at        DATETIME(3) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY one_live_attempt (live_order),
    UNIQUE KEY one_attempt_a_key (order_id, key_digest),
    UNIQUE KEY one_tid (tid),
    UNIQUE KEY one_aid (aid),
    UNIQUE KEY one_nonce (nonce_hash),
    KEY due (state, next_at),
    KEY by_end (ended_at),
    CONSTRAINT payment_order FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT payment_state CHECK (state IN
        ('NEW', 'READY', 'APPROVING', 'PAID', 'FAILED', 'REVOKED')),
    CONSTRAINT payment_live CHECK
        ((state IN ('NEW', 'READY', 'APPROVING', 'PAID'))
            = (live_order IS NOT NULL)),
    CONSTRAINT payment_live_order
        CHECK (live_order IS NULL OR live_order = order_id),
    CONSTRAINT payment_tid CHECK (state IN ('NEW', 'REVOKED')
        OR (tid IS NOT NULL AND ready_at IS NOT NULL AND dead_at IS NOT NULL)),
    CONSTRAINT payment_aid CHECK (state <> 'PAID' OR aid IS NOT NULL),
    CONSTRAINT payment_api CHECK (api IN ('open', 'legacy')),
    CONSTRAINT payment_amounts CHECK (quantity > 0 AND goods_amount > 0
        AND shipping_fee >= 0 AND total_amount = goods_amount + shipping_fee
        AND tax_free_amount BETWEEN 0 AND total_amount
        AND vat_amount BETWEEN 0 AND total_amount - tax_free_amount),
    CONSTRAINT payment_refunded
        CHECK (refunded_amount BETWEEN 0 AND total_amount)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Each call to KakaoPay and what came of it: numbers, no secrets, no URLs, no
-- personal data. Append only.
CREATE TABLE payment_calls (
    id          BIGINT NOT NULL AUTO_INCREMENT,
    payment_id  BINARY(16) NOT NULL,
    refund_id   BINARY(16) NULL,
    kind        VARCHAR(10) CHARACTER SET ascii NOT NULL,
    outcome     VARCHAR(20) CHARACTER SET ascii NOT NULL,
    http_status INT NOT NULL,
    curl_code   INT NOT NULL,
    error_code  INT NULL,
    detail      VARCHAR(60) CHARACTER SET ascii NOT NULL DEFAULT '',
    ms          INT NOT NULL,
    at          DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    KEY by_payment (payment_id, id),
    CONSTRAINT call_kind CHECK (kind IN
        ('ready', 'approve', 'inquiry', 'cancel'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Money that goes back. kind LATE: a payment that came when nothing could be
-- given for it any more; then quantity is 0. `available_before`: what KakaoPay
-- says can be cancelled before this one; set when it is first called, and sent
-- along, so that it refuses a second time.
CREATE TABLE refunds (
    id               BINARY(16) NOT NULL,
    order_id         BINARY(16) NOT NULL,
    payment_id       BINARY(16) NOT NULL,
    kind             VARCHAR(10) CHARACTER SET ascii NOT NULL,
    state            VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'OPEN',
    quantity         INT NOT NULL,
    amount           BIGINT NOT NULL,
    tax_free_amount  BIGINT NOT NULL,
    vat_amount       BIGINT NOT NULL,
    available_before BIGINT NULL,
    -- what may be asked for once only; a payment is late once
    once_key         VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    calls            INT NOT NULL DEFAULT 0,
    next_at          DATETIME(3) NULL DEFAULT CURRENT_TIMESTAMP(3),
    error_code       INT NULL,
    error            VARCHAR(60) CHARACTER SET ascii NOT NULL DEFAULT '',
    actor            VARCHAR(64) CHARACTER SET ascii NOT NULL,
    reason           VARCHAR(40) CHARACTER SET ascii NOT NULL,
    created_at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    done_at          DATETIME(3) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY asked_once (once_key),
    KEY due (state, next_at),
    KEY by_order (order_id, created_at),
    KEY by_payment (payment_id, created_at),
    CONSTRAINT refund_payment FOREIGN KEY (payment_id)
        REFERENCES payments (id),
    CONSTRAINT refund_kind CHECK (kind IN ('CANCEL', 'RETURN', 'LATE')),
    CONSTRAINT refund_state CHECK (state IN ('OPEN', 'DONE', 'STUCK')),
    CONSTRAINT refund_done CHECK ((state = 'DONE') = (done_at IS NOT NULL)),
    CONSTRAINT refund_amounts CHECK (quantity >= 0 AND amount > 0
        AND tax_free_amount BETWEEN 0 AND amount
        AND vat_amount BETWEEN 0 AND amount - tax_free_amount)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Where an order goes: the order's own copy, under a key of its own, so that
-- it stands when its shopper's account is gone. `id` is the order's.
CREATE TABLE order_recipients (
    id               BINARY(16) NOT NULL,
    sealed_recipient VARBINARY(400) NOT NULL,
    sealed_phone     VARBINARY(200) NOT NULL,
    sealed_postcode  VARBINARY(100) NOT NULL,
    sealed_line1     VARBINARY(700) NOT NULL,
    sealed_line2     VARBINARY(700) NOT NULL,
    data_key         VARBINARY(100) NOT NULL,
    master_key       VARCHAR(20) CHARACTER SET ascii NOT NULL,
    created_at       DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    KEY by_master_key (master_key, id),
    CONSTRAINT recipient_order FOREIGN KEY (id) REFERENCES orders (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The fee of a parcel is the sum of the rows whose range of postcodes holds
-- its own: one for all, and surcharges for islands (as parcel services
-- commonly list them; the shop owner changes the rows).
CREATE TABLE shipping_fees (
    first_postcode CHAR(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    last_postcode  CHAR(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fee            BIGINT NOT NULL,
    label          VARCHAR(60) NOT NULL DEFAULT '',
    PRIMARY KEY (first_postcode, last_postcode),
    CONSTRAINT fee_range CHECK (first_postcode <= last_postcode),
    CONSTRAINT fee_amount CHECK (fee BETWEEN 0 AND 1000000)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO shipping_fees (first_postcode, last_postcode, fee, label) VALUES
    ('00000', '99999', 3000, ''),
    ('23004', '23010', 3000, '인천 강화 섬'),
    ('23100', '23116', 3000, '인천 옹진 섬'),
    ('23124', '23136', 3000, '인천 옹진 섬'),
    ('32133', '32133', 3000, '충남 태안 섬'),
    ('33411', '33411', 3000, '충남 보령 섬'),
    ('40200', '40240', 3000, '경북 울릉'),
    ('52570', '52571', 3000, '경남 사천 섬'),
    ('53031', '53033', 3000, '경남 통영 섬'),
    ('53089', '53104', 3000, '경남 통영 섬'),
    ('54000', '54000', 3000, '전북 군산 섬'),
    ('56347', '56349', 3000, '전북 부안 섬'),
    ('57068', '57069', 3000, '전남 영광 섬'),
    ('58760', '58762', 3000, '전남 목포 섬'),
    ('58800', '58810', 3000, '전남 신안 섬'),
    ('58816', '58818', 3000, '전남 신안 섬'),
    ('58953', '58958', 3000, '전남 진도 섬'),
    ('59102', '59103', 3000, '전남 완도 섬'),
    ('59137', '59145', 3000, '전남 완도 섬'),
    ('59149', '59170', 3000, '전남 완도 섬'),
    ('59781', '59790', 3000, '전남 여수 섬'),
    ('63000', '63644', 3000, '제주');
