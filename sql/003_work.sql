-- Leases, Kafka offsets and what could not be read.

CREATE TABLE leases (
    name   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner  VARCHAR(64) CHARACTER SET ascii NOT NULL,
    token  BIGINT NOT NULL,
    beat   BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- next: the first offset that is not yet in MySQL. token: of the partition's
-- lease; a batch compares and sets (next, token) before anything else.
CREATE TABLE kafka_offsets (
    topic        VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    part         INT NOT NULL,
    next_offset  BIGINT NOT NULL,
    token        BIGINT NOT NULL,
    updated_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (topic, part),
    CONSTRAINT offset_not_negative CHECK (next_offset >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE dead_letters (
    id           BIGINT NOT NULL AUTO_INCREMENT,
    topic        VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    part         INT NOT NULL,
    offset_at    BIGINT NOT NULL,
    record_key   VARBINARY(255) NOT NULL,
    record_value MEDIUMBLOB NOT NULL,
    error        VARCHAR(200) NOT NULL,
    created_at   DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    resolved_at  DATETIME(3) NULL,
    resolution   VARCHAR(200) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY one_a_record (topic, part, offset_at),
    KEY open_rows (resolved_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
