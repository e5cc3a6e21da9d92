-- Rows of the same window.
CREATE TABLE o (id INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE s (id INT, w INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT L.id, L.v, R.w, L.window_start FROM
(SELECT * FROM TABLE(TUMBLE(TABLE o, DESCRIPTOR(ts), INTERVAL '5' MINUTE))) L
LEFT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '5' MINUTE))) R
ON L.id = R.id AND L.window_start = R.window_start AND L.window_end = R.window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(id=[$0], v=[$1], w=[$7], window_start=[$3])
-- +- LogicalJoin(condition=[AND(=($0, $6), =($3, $9), =($4, $10))], joinType=[left])
--    :- LogicalProject(id=[$0], v=[$1], ts=[$2], window_start=[$3], window_end=[$4], window_time=[$5])
--    :  +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL)], rowType=[RecordType(INT id, INT v, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--    :     +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--    :        +- LogicalTableScan(table=[[default_catalog, default_database, o]])
--    +- LogicalProject(id=[$0], w=[$1], ts=[$2], window_start=[$3], window_end=[$4], window_time=[$5])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL)], rowType=[RecordType(INT id, INT w, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--             +- LogicalTableScan(table=[[default_catalog, default_database, s]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[id, v, w, window_start])
-- +- WindowJoin(leftWindow=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[5 min])], rightWindow=[TUMBLE(win_start=[window_start0], win_end=[window_end0], size=[5 min])], joinType=[LeftOuterJoin], where=[AND(=(id, id0), =(window_start, window_start0), =(window_end, window_end0))], select=[id, v, window_start, window_end, id0, w, window_start0, window_end0])
--    :- Exchange(distribution=[hash[id]])
--    :  +- Calc(select=[id, v, window_start, window_end])
--    :     +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[5 min])])
--    :        +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[id, v, ts])
--    +- Exchange(distribution=[hash[id0]])
--       +- Calc(select=[id AS id0, w, window_start AS window_start0, window_end AS window_end0])
--          +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[5 min])])
--             +- TableSourceScan(table=[[default_catalog, default_database, s, watermark=[ts]]], fields=[id, w, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[id, v, w, window_start])
-- +- WindowJoin(leftWindow=[TUMBLE(win_start=[window_start], win_end=[window_end], size=[5 min])], rightWindow=[TUMBLE(win_start=[window_start0], win_end=[window_end0], size=[5 min])], joinType=[LeftOuterJoin], where=[((id = id0) AND (window_start = window_start0) AND (window_end = window_end0))], select=[id, v, window_start, window_end, id0, w, window_start0, window_end0])
--    :- Exchange(distribution=[hash[id]])
--    :  +- Calc(select=[id, v, window_start, window_end])
--    :     +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[5 min])])
--    :        +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[id, v, ts])
--    +- Exchange(distribution=[hash[id0]])
--       +- Calc(select=[id AS id0, w, window_start AS window_start0, window_end AS window_end0])
--          +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[5 min])])
--             +- TableSourceScan(table=[[default_catalog, default_database, s, watermark=[ts]]], fields=[id, w, ts])
