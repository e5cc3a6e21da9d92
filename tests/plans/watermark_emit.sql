-- Early and late results.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
CREATE TABLE late (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3)) WITH ('connector' = 'fake');
SET 'table.exec.emit.early-fire.enabled' = 'true';
SET 'table.exec.emit.early-fire.delay' = '10 s';
SET 'table.exec.late-records.table' = 'late';
EXPLAIN WATERMARK SELECT window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '7' MINUTE)) GROUP BY window_start, window_end;
-- EXPECT
-- == Watermarks ==
-- Calc
-- +- WindowAggregate(window=[TUMBLE(size=[7 min])])
--    |  watermark: `bid`.ts - 5 s
--    |  fires: each window of 7 min, when the watermark reaches window_end - 1 ms
--    |    that is when `bid` has given a row with ts >= window_end + 5 s - 1 ms
--    |    from every split that is not idle, or when all sources have ended
--    |  fires early: every 10 s of processing time before the window's end, as updates
--    |  late: rows whose windows have all fired go to table 'late'
--    |  event time ends here: group by window_time too, and select it, to make windows over the result
--    +- Exchange(distribution=[single])
--       |  watermark: the smallest of all subtasks that it reads
--       +- Calc
--          +- TableSourceScan(table=[default_catalog.default_database.bid])
--                rowtime: ts
--                watermark: ts - INTERVAL '5' SECOND: 5 s behind the greatest ts of each split so far
--                idle-timeout: none: a split without rows holds back every window that reads this source (SET 'table.exec.source.idle-timeout' = '30 s')
--
-- Sink(table=[default_catalog.default_database.late])
-- +- Calc
--    +- LateRecords(of=[WindowAggregate(window=[TUMBLE(size=[7 min])])])
--          rows that came too late for all their windows, as soon as they come
