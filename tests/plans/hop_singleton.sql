-- Without keys everything meets in one subtask.
CREATE TABLE bid (auction BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT window_end, COUNT(DISTINCT auction) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(window_end=[$1], EXPR$1=[$2])
-- +- LogicalAggregate(group=[{0, 1}], EXPR$1=[COUNT(DISTINCT $2)])
--    +- LogicalProject(window_start=[$2], window_end=[$3], auction=[$0])
--       +- LogicalTableFunctionScan(invocation=[HOP(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL, 600000:INTERVAL)], rowType=[RecordType(BIGINT auction, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_end, EXPR$1])
-- +- GlobalWindowAggregate(window=[HOP(slice_end=[$slice_end], size=[10 min], slide=[5 min])], select=[COUNT(count$0) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[HOP(time_col=[ts], size=[10 min], slide=[5 min])], select=[COUNT(DISTINCT auction) AS count$0, slice_end('w$) AS $slice_end])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_end, EXPR$1])
-- +- GlobalWindowAggregate(window=[HOP(slice_end=[$slice_end], size=[10 min], slide=[5 min])], select=[COUNT(count$0) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[HOP(time_col=[ts], size=[10 min], slide=[5 min])], select=[COUNT(DISTINCT auction) AS count$0, slice_end('w$) AS $slice_end])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
