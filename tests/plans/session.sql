-- Sessions run in one phase, per key.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT bidder, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '5' MINUTES))
GROUP BY bidder, window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0, 1, 2}], EXPR$3=[COUNT()])
-- +- LogicalProject(bidder=[$1], window_start=[$3], window_end=[$4])
--    +- LogicalTableFunctionScan(invocation=[SESSION(TABLE(#0) PARTITION BY(bidder), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--          +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[bidder, window_start, window_end, EXPR$3])
-- +- WindowAggregate(groupBy=[bidder], window=[SESSION(time_col=[ts], gap=[5 min], partition keys=[bidder])], select=[bidder, COUNT(*) AS EXPR$3, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[bidder]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, ts], metadata=[], watermark=[ts]]], fields=[bidder, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[bidder, window_start, window_end, EXPR$3])
-- +- WindowAggregate(groupBy=[bidder], window=[SESSION(time_col=[ts], gap=[5 min], partition keys=[bidder])], select=[bidder, COUNT(*) AS EXPR$3, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[bidder]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, ts], metadata=[], watermark=[ts]]], fields=[bidder, ts])
