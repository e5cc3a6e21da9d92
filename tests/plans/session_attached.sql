-- A session whose keys are not those of the query is made first; groups of its rows are no windows, and change.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT auction, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '5' MINUTES))
GROUP BY auction, window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0, 1, 2}], EXPR$3=[COUNT()])
-- +- LogicalProject(auction=[$0], window_start=[$3], window_end=[$4])
--    +- LogicalTableFunctionScan(invocation=[SESSION(TABLE(#0) PARTITION BY(bidder), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--          +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GroupAggregate(groupBy=[auction, window_start, window_end], select=[auction, window_start, window_end, COUNT(*) AS EXPR$3])
-- +- Exchange(distribution=[hash[auction, window_start, window_end]])
--    +- Calc(select=[auction, window_start, window_end])
--       +- WindowTableFunction(window=[SESSION(time_col=[ts], gap=[5 min], partition keys=[bidder])])
--          +- Exchange(distribution=[hash[bidder]])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
--
-- == Optimized Execution Plan ==
-- GroupAggregate(groupBy=[auction, window_start, window_end], select=[auction, window_start, window_end, COUNT(*) AS EXPR$3])
-- +- Exchange(distribution=[hash[auction, window_start, window_end]])
--    +- Calc(select=[auction, window_start, window_end])
--       +- WindowTableFunction(window=[SESSION(time_col=[ts], gap=[5 min], partition keys=[bidder])])
--          +- Exchange(distribution=[hash[bidder]])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
