-- An aggregate that does not merge leaves one phase.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT auction, FIRST_VALUE(price) AS f, SUM(price) AS s FROM bid GROUP BY auction;
-- EXPECT
