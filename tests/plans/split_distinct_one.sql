-- One distinct argument needs no copies of rows; the other aggregates are computed in its buckets.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
SET 'table.optimizer.distinct-agg.split.bucket-num' = '16';
EXPLAIN SELECT auction, COUNT(DISTINCT channel) AS channels, COUNT(price) AS n FROM bid GROUP BY auction;
-- EXPECT
