-- The rowtime is computed, metadata is read, and the source makes the watermark.
CREATE TABLE bid (auction BIGINT, at_ms BIGINT, m TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', o BIGINT METADATA FROM 'offset' VIRTUAL,
  rt AS m + INTERVAL '1' SECOND, twice AS auction * 2, WATERMARK FOR rt AS rt - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN SELECT window_start, SUM(twice) AS s FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(rt), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(window_start=[$0], s=[$2])
-- +- LogicalAggregate(group=[{0, 1}], s=[SUM($2)])
--    +- LogicalProject(window_start=[$6], window_end=[$7], twice=[$5])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'rt'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT at_ms, TIMESTAMP_LTZ(3) m, BIGINT o, TIMESTAMP_LTZ(3) *ROWTIME* rt, BIGINT twice, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP_LTZ(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[rt], watermark=[-($4, 5000:INTERVAL SECOND)])
--             +- LogicalProject(auction=[$0], at_ms=[$1], m=[$2], o=[$3], rt=[+($2, 1000:INTERVAL SECOND)], twice=[*($0, 2)])
--                +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start, s])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[SUM(sum$0) AS s, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(time_col=[rt], size=[1 min])], select=[SUM(twice) AS sum$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[*(auction, 2) AS twice, +(m, 1000:INTERVAL SECOND) AS rt])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction], metadata=[timestamp], watermark=[-(+(m, 1000:INTERVAL SECOND), 5000:INTERVAL SECOND)]]], fields=[auction, m])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start, s])
-- +- GlobalWindowAggregate(window=[TUMBLE(slice_end=[$slice_end], size=[1 min])], select=[SUM(sum$0) AS s, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- LocalWindowAggregate(window=[TUMBLE(time_col=[rt], size=[1 min])], select=[SUM(twice) AS sum$0, slice_end('w$) AS $slice_end])
--          +- Calc(select=[(auction * 2) AS twice, (m + 1000:INTERVAL SECOND) AS rt])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction], metadata=[timestamp], watermark=[-(+(m, 1000:INTERVAL SECOND), 5000:INTERVAL SECOND)]]], fields=[auction, m])
