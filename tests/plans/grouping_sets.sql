CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT auction, bidder, GROUPING(bidder) AS g, COUNT(*) AS n, MAX(bidder) AS m
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, ROLLUP (auction, bidder);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$2], bidder=[$3], g=[CASE(=($4, 1), 1, =($4, 3), 1, 0)], n=[$5], m=[$6])
-- +- LogicalAggregate(group=[{0, 1, 2, 3}], groups=[[{0, 1, 2, 3}, {0, 1, 2}, {0, 1}]], n=[COUNT()], m=[MAX($4)])
--    +- LogicalProject(window_start=[$3], window_end=[$4], auction=[$0], bidder=[$1], bidder0=[$1])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction, bidder, CASE(=($e, 1), 1, =($e, 3), 1, 0) AS g, n, m])
-- +- GlobalWindowAggregate(groupBy=[auction, bidder, $e], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[auction, bidder, $e, COUNT(count1$0) AS n, MAX(max$1) AS m, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction, bidder, $e]])
--       +- LocalWindowAggregate(groupBy=[auction, bidder, $e], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, bidder, $e, COUNT(*) AS count1$0, MAX(bidder0) AS max$1, slice_end('w$) AS $slice_end])
--          +- Expand(projects=[{auction, bidder, bidder0, ts, 0 AS $e}, {auction, null AS bidder, bidder0, ts, 1 AS $e}, {null AS auction, null AS bidder, bidder0, ts, 3 AS $e}])
--             +- Calc(select=[auction, bidder, bidder AS bidder0, ts])
--                +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction, bidder, CASE(($e = 1), 1, ($e = 3), 1, 0) AS g, n, m])
-- +- GlobalWindowAggregate(groupBy=[auction, bidder, $e], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[auction, bidder, $e, COUNT(count1$0) AS n, MAX(max$1) AS m, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction, bidder, $e]])
--       +- LocalWindowAggregate(groupBy=[auction, bidder, $e], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, bidder, $e, COUNT(*) AS count1$0, MAX(bidder0) AS max$1, slice_end('w$) AS $slice_end])
--          +- Expand(projects=[{auction, bidder, bidder0, ts, 0 AS $e}, {auction, null AS bidder, bidder0, ts, 1 AS $e}, {null AS auction, null AS bidder, bidder0, ts, 3 AS $e}])
--             +- Calc(select=[auction, bidder, bidder AS bidder0, ts])
--                +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
