-- A window over a window's window_time.
CREATE TABLE bid (auction BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE VIEW minutes AS SELECT window_time AS rt, auction, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, window_time, auction;
EXPLAIN SELECT window_start, window_end, SUM(n) AS n FROM TABLE(TUMBLE(TABLE minutes, DESCRIPTOR(rt), INTERVAL '1' HOUR)) GROUP BY window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0, 1}], n=[SUM($2)])
-- +- LogicalProject(window_start=[$3], window_end=[$4], n=[$2])
--    +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'rt'), 3600000:INTERVAL)], rowType=[RecordType(TIMESTAMP(3) *ROWTIME* rt, BIGINT auction, BIGINT n, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalProject(rt=[$2], auction=[$3], n=[$4])
--          +- LogicalAggregate(group=[{0, 1, 2, 3}], n=[COUNT()])
--             +- LogicalProject(window_start=[$2], window_end=[$3], window_time=[$4], auction=[$0])
--                +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--                   +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--                      +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start, window_end, n])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 h])], select=[SUM(sum$0) AS n, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(time_col=[rt], size=[1 h])], select=[SUM(n) AS sum$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[n, window_time AS rt])
--             +- GlobalWindowAggregate(groupBy=[auction], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[auction, COUNT(count1$0) AS n, start('w$) AS window_start, end('w$) AS window_end, rowtime('w$) AS window_time])
--                +- Exchange(distribution=[hash[auction]])
--                   +- LocalWindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start, window_end, n])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 h])], select=[SUM(sum$0) AS n, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(time_col=[rt], size=[1 h])], select=[SUM(n) AS sum$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[n, window_time AS rt])
--             +- GlobalWindowAggregate(groupBy=[auction], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[auction, COUNT(count1$0) AS n, start('w$) AS window_start, end('w$) AS window_end, rowtime('w$) AS window_time])
--                +- Exchange(distribution=[hash[auction]])
--                   +- LocalWindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
