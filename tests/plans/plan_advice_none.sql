-- Nothing to advise.
CREATE TABLE t (a INT) WITH ('connector' = 'fake');
EXPLAIN PLAN_ADVICE, ESTIMATED_COST SELECT a FROM t;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(a=[$0])
-- +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan With Advice ==
-- TableSourceScan(table=[[default_catalog, default_database, t]], fields=[a])
--
-- No available advice...
--
-- == Optimized Execution Plan ==
-- TableSourceScan(table=[[default_catalog, default_database, t]], fields=[a])
--
-- == Estimated Cost ==
-- There is no estimate: no statistics are kept, and no plan is chosen by its cost.
