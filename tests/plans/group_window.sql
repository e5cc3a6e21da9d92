-- Windows of GROUP BY: the function goes into the aggregate, its bounds are columns where something reads them.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT bidder, HOP_START(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS s,
  HOP_ROWTIME(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS t, SUM(price) AS total
FROM bid GROUP BY bidder, HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE);
-- EXPECT
