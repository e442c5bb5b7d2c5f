-- The table of operations: one row per operation, with its result. Tested on MySQL 9.7 and MariaDB
-- 10.11. `picresize migrate` runs this script. You can also run it by hand, in the database of
-- picresize.
--
-- The user that picresize runs as needs only this:
--     GRANT SELECT, INSERT, UPDATE, DELETE ON picresize.pictures TO 'picresize'@'%';
--
-- The table's comment holds the schema version. A later script changes the table and the comment in
-- one statement, so that they never disagree.

CREATE TABLE pictures (
    id            CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUID; new ones are of version 7 and sort by time',
    status        VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'queued, processing, done, failed, expired or erased',
    request       TEXT                                              NOT NULL COMMENT 'JSON: [[option, value], …]',
    source_format VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    source_width  INT UNSIGNED                                      NOT NULL,
    source_height INT UNSIGNED                                      NOT NULL,
    source_bytes  BIGINT UNSIGNED                                   NOT NULL,
    source_digest CHAR(64)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'SHA-256 in hexadecimal',
    result_format VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    result_width  INT UNSIGNED                                      NULL,
    result_height INT UNSIGNED                                      NULL,
    result_bytes  BIGINT UNSIGNED                                   NULL,
    result_digest CHAR(64)    CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'SHA-256 in hexadecimal',
    fingerprint   BIGINT                                            NULL COMMENT 'perceptual hash of the result: 64 bits, and four times 16 of them',
    band0         SMALLINT UNSIGNED GENERATED ALWAYS AS (fingerprint         & 65535) STORED,
    band1         SMALLINT UNSIGNED GENERATED ALWAYS AS ((fingerprint >> 16) & 65535) STORED,
    band2         SMALLINT UNSIGNED GENERATED ALWAYS AS ((fingerprint >> 32) & 65535) STORED,
    band3         SMALLINT UNSIGNED GENERATED ALWAYS AS ((fingerprint >> 48) & 65535) STORED,
    failure       TEXT                                              NULL COMMENT 'why there is no result',
    attempts      INT UNSIGNED                                      NOT NULL DEFAULT 0,
    worker        VARCHAR(255)                                      NULL COMMENT 'who began it last',
    engine        VARCHAR(64)                                       NULL COMMENT 'version of the engine that ended it',
    position      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of the request in the log: partition:offset',
    queued_at     DATETIME(3)                                       NOT NULL COMMENT 'UTC, as all times here',
    started_at    DATETIME(3)                                       NULL,
    finished_at   DATETIME(3)                                       NULL,
    expires_at    DATETIME(3)                                       NULL COMMENT 'when the pictures are removed; never, when NULL',
    source        LONGBLOB                                          NULL COMMENT 'the picture, when the event only refers to it',
    result        LONGBLOB                                          NULL,
    PRIMARY KEY (id),
    KEY pictures_source (source_digest, queued_at),
    KEY pictures_result (result_digest, queued_at),
    KEY pictures_expiry (status, expires_at),
    KEY pictures_band0 (band0, fingerprint, queued_at),
    KEY pictures_band1 (band1, fingerprint, queued_at),
    KEY pictures_band2 (band2, fingerprint, queued_at),
    KEY pictures_band3 (band3, fingerprint, queued_at)
) ENGINE = InnoDB
  ROW_FORMAT = DYNAMIC
  DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
  COMMENT = 'picresize schema 1';
