-- Products, sales and their variants. Ids are [A-Za-z0-9_-]{1,40}; times UTC;
-- money whole won. The columns held, sold, withheld and epoch of
-- sale_variants are the guard of the reservation protocol: see
-- docs/architecture.md before touching them.

CREATE TABLE products (
    id          VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name        VARCHAR(200) NOT NULL,
    price       BIGINT NOT NULL,
    currency    CHAR(3) CHARACTER SET ascii NOT NULL DEFAULT 'KRW',
    version     INT NOT NULL DEFAULT 1,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    CONSTRAINT product_price CHECK (price > 0 AND price <= 1000000000)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE sales (
    id             VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    product_id     VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state          VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'ACTIVE',
    opens_at       DATETIME(3) NOT NULL,
    closes_at      DATETIME(3) NULL,
    per_user_limit INT NOT NULL DEFAULT 1,
    hold_ms        BIGINT NOT NULL DEFAULT 600000,
    restock        VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'immediate',
    shipping       VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'scheduled',
    version        INT NOT NULL DEFAULT 1,
    created_at     DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    archived_at    DATETIME(3) NULL,
    PRIMARY KEY (id),
    KEY by_product (product_id),
    KEY by_state (state),
    CONSTRAINT sale_product FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT sale_state
        CHECK (state IN ('ACTIVE', 'PAUSED', 'CLOSED', 'ARCHIVED')),
    CONSTRAINT sale_window CHECK (closes_at IS NULL OR closes_at > opens_at),
    CONSTRAINT sale_limit CHECK (per_user_limit BETWEEN 1 AND 1000000),
    CONSTRAINT sale_hold CHECK (hold_ms BETWEEN 1000 AND 86400000),
    CONSTRAINT sale_restock CHECK (restock IN ('immediate', 'hold', 'random')),
    CONSTRAINT sale_shipping CHECK (shipping IN ('scheduled', 'manual'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE sale_variants (
    sale_id   VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    variant   VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    price     BIGINT NOT NULL,
    total     INT NOT NULL,
    held      INT NOT NULL DEFAULT 0,
    sold      INT NOT NULL DEFAULT 0,
    withheld  INT NOT NULL DEFAULT 0,
    epoch     BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (sale_id, variant),
    CONSTRAINT variant_sale FOREIGN KEY (sale_id) REFERENCES sales (id),
    CONSTRAINT variant_price CHECK (price > 0 AND price <= 1000000000),
    CONSTRAINT variant_not_negative
        CHECK (held >= 0 AND sold >= 0 AND withheld >= 0 AND total >= 0),
    CONSTRAINT variant_not_oversold CHECK (held + sold + withheld <= total)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Stock changes by operators. `lower` is an intent until its transaction;
-- epoch is the sale's at the time of writing.
CREATE TABLE stock_adjustments (
    id          BIGINT NOT NULL AUTO_INCREMENT,
    sale_id     VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    variant     VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind        VARCHAR(10) CHARACTER SET ascii NOT NULL,
    units       INT NOT NULL,
    epoch       BIGINT NOT NULL,
    state       VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'OPEN',
    actor       VARCHAR(64) NOT NULL,
    reason      VARCHAR(200) NOT NULL,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    done_at     DATETIME(3) NULL,
    PRIMARY KEY (id),
    KEY by_state (state, id),
    KEY by_sale (sale_id, id),
    CONSTRAINT adjustment_variant FOREIGN KEY (sale_id, variant)
        REFERENCES sale_variants (sale_id, variant),
    CONSTRAINT adjustment_kind CHECK (kind IN ('raise', 'lower')),
    CONSTRAINT adjustment_units CHECK (units > 0),
    -- LOWERED: the total is lowered, the ledger entry not yet dropped.
    CONSTRAINT adjustment_state CHECK
        (state IN ('OPEN', 'LOWERED', 'DONE', 'REFUSED', 'VOID'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Acts of operators; append only (no account may change or delete a row).
CREATE TABLE audit_log (
    id      BIGINT NOT NULL AUTO_INCREMENT,
    at      DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    actor   VARCHAR(64) NOT NULL,
    act     VARCHAR(40) CHARACTER SET ascii NOT NULL,
    object  VARCHAR(100) CHARACTER SET ascii NOT NULL,
    reason  VARCHAR(200) NOT NULL,
    detail  TEXT NOT NULL,
    PRIMARY KEY (id),
    KEY by_object (object, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
