-- A session's keys are those of the query; results are only added, and nothing reads its bounds.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT auction, bidder, COUNT(*) AS n FROM bid GROUP BY auction, SESSION(pt, INTERVAL '5' MINUTE), bidder;
-- EXPECT
