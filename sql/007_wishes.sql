-- What shoppers wish for, and whom to tell before a sale opens. A product is
-- productd's: its row may be hidden later, and the wish stays.

CREATE TABLE wishes (
    id          BIGINT NOT NULL AUTO_INCREMENT,
    user_id     VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    product_id  VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    notify      TINYINT NOT NULL DEFAULT 0,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (id),
    UNIQUE KEY one_wish (user_id, product_id),
    KEY by_page (user_id, id),
    KEY to_tell (product_id, notify, user_id),
    CONSTRAINT wish_user FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT wish_notify CHECK (notify IN (0, 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- How far the wishes of a sale's product were gone through: one userd at a
-- time locks the row, and takes the users behind `position`. next_at: when
-- the next round may begin. Rows are deleted a day later.
CREATE TABLE wish_rounds (
    sale_id   VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    position  VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        DEFAULT '',
    next_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (sale_id),
    KEY by_age (next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
