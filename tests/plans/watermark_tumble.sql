-- Where event time comes from, when windows fire, where it ends.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
CREATE TABLE out_t (w TIMESTAMP(3), auction BIGINT, n BIGINT) WITH ('connector' = 'fake');
EXPLAIN WATERMARK FOR INSERT INTO out_t SELECT window_end, auction, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
GROUP BY window_start, window_end, auction;
-- EXPECT
-- == Watermarks ==
-- Sink(table=[default_catalog.default_database.out_t])
-- +- Calc
--    +- GlobalWindowAggregate(groupBy=[auction], window=[TUMBLE(size=[10 min])])
--       |  watermark: `bid`.ts - 5 s
--       |  fires: each window of 10 min, when the watermark reaches window_end - 1 ms
--       |    that is when `bid` has given a row with ts >= window_end + 5 s - 1 ms
--       |    from every split that is not idle, or when all sources have ended
--       |    for instance the window that ends at 12:00:00 fires with the first row at or after 12:00:04.999
--       |  late: rows whose windows have all fired are dropped and counted (SET 'table.exec.late-records.table' = '..' keeps them)
--       |  event time ends here: group by window_time too, and select it, to make windows over the result
--       +- Exchange(distribution=[hash[auction]])
--          |  watermark: the smallest of all subtasks that it reads
--          +- LocalWindowAggregate(groupBy=[auction], window=[TUMBLE(size=[10 min])])
--             |  hands partial results on whenever the watermark moves; fires nothing
--             +- TableSourceScan(table=[default_catalog.default_database.bid])
--                   rowtime: ts
--                   watermark: ts - INTERVAL '5' SECOND: 5 s behind the greatest ts of each split so far
--                   idle-timeout: none: a split without rows holds back every window that reads this source (SET 'table.exec.source.idle-timeout' = '30 s')
