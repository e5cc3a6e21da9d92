-- Processing time is computed once, below the window.
CREATE TABLE bid (auction BIGINT, price DECIMAL(10, 2), pt AS PROCTIME()) WITH ('connector' = 'fake');
EXPLAIN SELECT window_start, auction, SUM(price * 2) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(pt), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(window_start=[$0], auction=[$2], EXPR$2=[$3])
-- +- LogicalAggregate(group=[{0, 1, 2}], EXPR$2=[SUM($3)])
--    +- LogicalProject(window_start=[$3], window_end=[$4], auction=[$0], $f3=[*($1, 2)])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'pt'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, DECIMAL(10, 2) price, TIMESTAMP_LTZ(3) *PROCTIME* pt, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP_LTZ(3) *PROCTIME* window_time)])
--          +- LogicalProject(auction=[$0], price=[$1], pt=[PROCTIME()])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start, auction, EXPR$2])
-- +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[pt], size=[1 min])], select=[auction, SUM($f3) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction]])
--       +- Calc(select=[auction, *(price, 2) AS $f3, PROCTIME() AS pt])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, price])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start, auction, EXPR$2])
-- +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[pt], size=[1 min])], select=[auction, SUM($f3) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction]])
--       +- Calc(select=[auction, (price * 2) AS $f3, PROCTIME() AS pt])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, price])
