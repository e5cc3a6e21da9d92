-- Projection and filter become one Calc; the source reads only what is needed.
CREATE TABLE t (a INT, b BIGINT, c STRING, d DOUBLE) WITH ('connector' = 'fake');
CREATE TABLE s (a INT, b BIGINT) WITH ('connector' = 'fake');
EXPLAIN INSERT INTO s SELECT a, b + 1 FROM (SELECT a, b, c FROM t WHERE c = 'x') AS x WHERE a > 3;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.s], fields=[a, b])
-- +- LogicalProject(a=[$0], EXPR$1=[+($1, 1)])
--    +- LogicalFilter(condition=[>($0, 3)])
--       +- LogicalProject(a=[$0], b=[$1], c=[$2])
--          +- LogicalFilter(condition=[=($2, _UTF-16LE'x')])
--             +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.s], fields=[a, b])
-- +- Calc(select=[a, +(b, 1) AS b], where=[AND(=(c, 'x'), >(a, 3))])
--    +- TableSourceScan(table=[[default_catalog, default_database, t, project=[a, b, c], metadata=[]]], fields=[a, b, c])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.s], fields=[a, b])
-- +- Calc(select=[a, (b + 1) AS b], where=[((c = 'x') AND (a > 3))])
--    +- TableSourceScan(table=[[default_catalog, default_database, t, project=[a, b, c], metadata=[]]], fields=[a, b, c])
