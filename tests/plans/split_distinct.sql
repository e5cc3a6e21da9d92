-- DISTINCT aggregates over two levels: buckets of the distinct values first. With several arguments each row is copied.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(DISTINCT channel) AS channels, COUNT(DISTINCT bidder) FILTER (WHERE price > 1) AS bidders,
  SUM(price) AS total, MAX(bidder) AS last FROM bid GROUP BY auction;
-- EXPECT
