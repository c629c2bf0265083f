-- Orders, their history, and the rows that tell Redis what came back.

CREATE TABLE orders (
    id             BINARY(16) NOT NULL,
    sale_id        VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    variant        VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id        VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quantity       INT NOT NULL,
    unit_price     BIGINT NOT NULL,
    state          VARCHAR(20) CHARACTER SET ascii NOT NULL,
    version        INT NOT NULL DEFAULT 1,
    -- units counted in held or sold (by state), and in withheld; their sum is
    -- what the Redis ledger keeps for this order
    units_live     INT NOT NULL,
    units_withheld INT NOT NULL DEFAULT 0,
    epoch          BIGINT NOT NULL,
    seq            BIGINT NOT NULL,
    key_digest     BINARY(16) NOT NULL,
    -- key_digest, or NULL on a REJECTED row: one live order a key
    key_live       BINARY(16) NULL,
    body_digest    BINARY(16) NOT NULL,
    reject_reason  VARCHAR(20) CHARACTER SET ascii NULL,
    request_id     VARCHAR(64) CHARACTER SET ascii NOT NULL DEFAULT '',
    reserved_at    DATETIME(3) NOT NULL,
    pay_by         DATETIME(3) NOT NULL,
    created_at     DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at     DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    UNIQUE KEY one_order_a_key (sale_id, user_id, key_live),
    KEY mine (user_id, id),
    KEY due (state, pay_by),
    CONSTRAINT order_quantity CHECK (quantity > 0),
    CONSTRAINT order_units CHECK (units_live >= 0 AND units_withheld >= 0
        AND units_live + units_withheld <= quantity),
    CONSTRAINT order_state CHECK (state IN ('PENDING_PAYMENT', 'REJECTED',
        'PAY_READY', 'PAY_APPROVING', 'PAY_FAILED', 'PAID', 'EXPIRED',
        'CANCELLED', 'SHIPPED', 'DELIVERED', 'RETURN_REQUESTED',
        'RETURN_RECEIVED', 'REFUNDING', 'REFUND_STUCK', 'RETURNED'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- One row a move, versions 1..n without a gap; append only.
CREATE TABLE order_events (
    order_id    BINARY(16) NOT NULL,
    version     INT NOT NULL,
    from_state  VARCHAR(20) CHARACTER SET ascii NOT NULL,
    to_state    VARCHAR(20) CHARACTER SET ascii NOT NULL,
    actor       VARCHAR(64) CHARACTER SET ascii NOT NULL,
    reason      VARCHAR(40) CHARACTER SET ascii NOT NULL,
    at          DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (order_id, version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What stockd must lower in the ledger: `target` units stay. Written in the
-- transaction of the move that gave them back, with the variant's epoch.
CREATE TABLE release_outbox (
    id          BIGINT NOT NULL AUTO_INCREMENT,
    sale_id     VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id    BINARY(16) NOT NULL,
    target      INT NOT NULL,
    epoch       BIGINT NOT NULL,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    done_at     DATETIME(3) NULL,
    PRIMARY KEY (id),
    KEY open_rows (done_at, id),
    CONSTRAINT release_target CHECK (target >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
