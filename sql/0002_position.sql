-- Finds deposits that are not known to be in the log, without reading the rows of all operations
-- that wait. `picresize migrate` runs this script. You can also run it by hand, after
-- 0001_pictures.sql, in the database of picresize. The table can be used meanwhile.

ALTER TABLE pictures
    ADD KEY pictures_position (position, queued_at),
    COMMENT = 'picresize schema 2',
    ALGORITHM = INPLACE,
    LOCK = NONE;
