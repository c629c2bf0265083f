-- What shoppers look at before a sale. `search` holds name, category and
-- description as daemons/shop/search.c folds them (lower case, composed
-- syllables, single blanks): compared byte by byte, it finds the same on
-- MySQL and MariaDB, whose own collations disagree. `options` is a JSON
-- array of {"name", "values"}.

ALTER TABLE products
    ADD COLUMN description VARCHAR(4000) NOT NULL DEFAULT '',
    ADD COLUMN category VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin
        NOT NULL DEFAULT '',
    ADD COLUMN options VARCHAR(2000) NOT NULL DEFAULT '[]',
    ADD COLUMN state VARCHAR(10) CHARACTER SET ascii NOT NULL DEFAULT 'SHOWN',
    ADD COLUMN search VARCHAR(4500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        NOT NULL DEFAULT '',
    ADD COLUMN updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    ADD CONSTRAINT product_state CHECK (state IN ('SHOWN', 'HIDDEN')),
    ADD KEY by_page (state, created_at, id),
    ADD KEY by_category (category, state, created_at, id);

UPDATE products SET search = LOWER(name);

-- An image is named by the SHA-256 of its bytes, which lie in productd's
-- directory: no row and no file of it ever changes.
CREATE TABLE images (
    hash        CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type        VARCHAR(5) CHARACTER SET ascii NOT NULL,
    bytes       INT NOT NULL,
    width       INT NOT NULL,
    height      INT NOT NULL,
    created_at  DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (hash),
    CONSTRAINT image_type CHECK (type IN ('png', 'jpg', 'webp'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE product_images (
    product_id  VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hash        CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    place       INT NOT NULL,
    PRIMARY KEY (product_id, hash),
    KEY by_hash (hash),
    CONSTRAINT product_image_product FOREIGN KEY (product_id)
        REFERENCES products (id),
    CONSTRAINT product_image_hash FOREIGN KEY (hash) REFERENCES images (hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- notice: shown to all who look at the sale. closed_at: when an operator
-- closed it; a sale that ended by itself did so at closes_at.
ALTER TABLE sales
    ADD COLUMN notice VARCHAR(500) NOT NULL DEFAULT '',
    ADD COLUMN closed_at DATETIME(3) NULL,
    ADD KEY by_opening (opens_at, id);
