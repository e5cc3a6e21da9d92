-- A second aggregate over the same windows, and a filter on the window itself.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT window_start, window_end, MAX(n) FROM (
  SELECT window_start, window_end, bidder, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  WHERE window_start > TIMESTAMP '2020-01-01 00:00:00.000' GROUP BY window_start, window_end, bidder) AS x
GROUP BY window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0, 1}], EXPR$2=[MAX($2)])
-- +- LogicalProject(window_start=[$0], window_end=[$1], n=[$3])
--    +- LogicalAggregate(group=[{0, 1, 2}], n=[COUNT()])
--       +- LogicalProject(window_start=[$3], window_end=[$4], bidder=[$1])
--          +- LogicalFilter(condition=[>($3, 2020-01-01 00:00:00)])
--             +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--                +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--                   +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start, window_end, EXPR$2])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[MAX(max$0) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[1 min])], select=[MAX(n) AS max$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[n, window_start, window_end])
--             +- GlobalWindowAggregate(groupBy=[bidder], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[bidder, COUNT(count1$0) AS n, start('w$) AS window_start, end('w$) AS window_end])
--                +- Exchange(distribution=[hash[bidder]])
--                   +- LocalWindowAggregate(groupBy=[bidder], window=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[1 min])], select=[bidder, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end])
--                      +- Calc(select=[bidder, window_start, window_end], where=[>(window_start, 2020-01-01 00:00:00)])
--                         +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[1 min])])
--                            +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, ts], metadata=[], watermark=[ts]]], fields=[bidder, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start, window_end, EXPR$2])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[MAX(max$0) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[1 min])], select=[MAX(n) AS max$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[n, window_start, window_end])
--             +- GlobalWindowAggregate(groupBy=[bidder], window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[bidder, COUNT(count1$0) AS n, start('w$) AS window_start, end('w$) AS window_end])
--                +- Exchange(distribution=[hash[bidder]])
--                   +- LocalWindowAggregate(groupBy=[bidder], window=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[1 min])], select=[bidder, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end])
--                      +- Calc(select=[bidder, window_start, window_end], where=[(window_start > 2020-01-01 00:00:00)])
--                         +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[1 min])])
--                            +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, ts], metadata=[], watermark=[ts]]], fields=[bidder, ts])
