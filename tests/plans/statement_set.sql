-- One source for both sinks, reading what either needs.
CREATE TABLE t (a INT, b BIGINT, c STRING) WITH ('connector' = 'fake');
CREATE TABLE s1 (a INT) WITH ('connector' = 'fake');
CREATE TABLE s2 (b BIGINT, x STRING) WITH ('connector' = 'fake');
EXPLAIN STATEMENT SET BEGIN
INSERT INTO s1 SELECT a FROM t WHERE a > 1;
INSERT INTO s2 (x) SELECT c FROM t;
END;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.s1], fields=[a])
-- +- LogicalProject(a=[$0])
--    +- LogicalFilter(condition=[>($0, 1)])
--       +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- LogicalSink(table=[default_catalog.default_database.s2], fields=[b, x])
-- +- LogicalProject(b=[null:BIGINT], x=[$0])
--    +- LogicalProject(c=[$2])
--       +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.s1], fields=[a])
-- +- Calc(select=[a], where=[>(a, 1)])
--    +- TableSourceScan(table=[[default_catalog, default_database, t, project=[a, c], metadata=[]]], fields=[a, c])
--
-- Sink(table=[default_catalog.default_database.s2], fields=[b, x])
-- +- Calc(select=[null:BIGINT AS b, c AS x])
--    +- TableSourceScan(table=[[default_catalog, default_database, t, project=[a, c], metadata=[]]], fields=[a, c])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.s1], fields=[a])
-- +- Calc(select=[a], where=[(a > 1)])
--    +- TableSourceScan(table=[[default_catalog, default_database, t, project=[a, c], metadata=[]]], fields=[a, c])(reuse_id=[1])
--
-- Sink(table=[default_catalog.default_database.s2], fields=[b, x])
-- +- Calc(select=[null:BIGINT AS b, c AS x])
--    +- Reused(reference_id=[1])
