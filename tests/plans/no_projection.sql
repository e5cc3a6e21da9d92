-- A connector that cannot leave columns out reads all of them.
CREATE TABLE t (a INT, b BIGINT, c STRING) WITH ('connector' = 'wide');
EXPLAIN SELECT c FROM t;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(c=[$2])
-- +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[c])
-- +- TableSourceScan(table=[[default_catalog, default_database, t]], fields=[a, b, c])
--
-- == Optimized Execution Plan ==
-- Calc(select=[c])
-- +- TableSourceScan(table=[[default_catalog, default_database, t]], fields=[a, b, c])
