-- Two strategies: the slower one decides. A source of its own, and one that is read twice.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
CREATE TABLE ask (auction BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN WATERMARK SELECT window_end, COUNT(*) AS n FROM TABLE(CUMULATE((SELECT ts FROM bid UNION ALL SELECT ts FROM ask UNION ALL SELECT ts FROM ask WHERE auction > 1), DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY))
GROUP BY window_start, window_end;
-- EXPECT
-- == Watermarks ==
-- Calc
-- +- GlobalWindowAggregate(window=[CUMULATE(max_size=[1 d], step=[1 h])])
--    |  watermark: `bid`.ts - 5 s, `ask`.ts
--    |  fires: each window, every 1 h up to 1 d, when the watermark reaches window_end - 1 ms
--    |    that is when `bid` has given a row with ts >= window_end + 5 s - 1 ms
--    |    that is when `ask` has given a row with ts >= window_end - 1 ms
--    |    all of them: the slowest source holds the others back
--    |  late: rows whose windows have all fired are dropped and counted (SET 'table.exec.late-records.table' = '..' keeps them)
--    |  event time ends here: group by window_time too, and select it, to make windows over the result
--    +- Exchange(distribution=[single])
--       |  watermark: the smallest of all subtasks that it reads
--       +- LocalWindowAggregate(window=[CUMULATE(max_size=[1 d], step=[1 h])])
--          |  hands partial results on whenever the watermark moves; fires nothing
--          +- Union
--             |  watermark: the smallest of its inputs: `bid`.ts - 5 s, `ask`.ts
--             |  its inputs have different strategies: the one that lags most decides
--             :- TableSourceScan(table=[default_catalog.default_database.bid])
--             :     rowtime: ts
--             :     watermark: ts - INTERVAL '5' SECOND: 5 s behind the greatest ts of each split so far
--             :     idle-timeout: none: a split without rows holds back every window that reads this source (SET 'table.exec.source.idle-timeout' = '30 s')
--             :- Calc
--             :  +- TableSourceScan(table=[default_catalog.default_database.ask])
--             :        rowtime: ts
--             :        watermark: ts: the greatest ts of each split so far
--             :        idle-timeout: none: a split without rows holds back every window that reads this source (SET 'table.exec.source.idle-timeout' = '30 s')
--             +- Calc
--                +- TableSourceScan(table=[default_catalog.default_database.ask])
--                      the same source as above
