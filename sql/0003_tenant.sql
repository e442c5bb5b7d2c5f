-- Says whom each operation belongs to. Operations from before this belong to the default tenant.
-- `picresize migrate` runs this script. You can also run it by hand, after 0002_position.sql, in the
-- database of picresize. The table can be used meanwhile, also by the version before.

ALTER TABLE pictures
    ADD COLUMN tenant VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'default'
        COMMENT 'whom the operation belongs to',
    COMMENT = 'picresize schema 3';
