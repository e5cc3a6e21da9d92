-- The order with the least rows in between: from the filtered table on, and by keys.
SET 'table.optimizer.join-reorder-enabled' = 'true';
CREATE TABLE a (id INT NOT NULL, b INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'fake');
CREATE TABLE b (id INT NOT NULL, c INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'fake');
CREATE TABLE c (id INT NOT NULL, n INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'fake');
EXPLAIN SELECT a.id, c.n FROM a, b, c WHERE a.b = b.id AND b.c = c.id AND c.n = 5;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(id=[$0], n=[$5])
-- +- LogicalJoin(condition=[=($3, $4)], joinType=[inner])
--    :- LogicalJoin(condition=[=($1, $2)], joinType=[inner])
--    :  :- LogicalTableScan(table=[[default_catalog, default_database, a]])
--    :  +- LogicalTableScan(table=[[default_catalog, default_database, b]])
--    +- LogicalFilter(condition=[=($1, 5)])
--       +- LogicalProject(id1=[$0], n=[$1])
--          +- LogicalTableScan(table=[[default_catalog, default_database, c]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[id, n])
-- +- Join(joinType=[InnerJoin], where=[=(b, id0)], select=[id, b, id0, n], leftInputSpec=[HasUniqueKey], rightInputSpec=[NoUniqueKey])
--    :- Exchange(distribution=[hash[b]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[id, b])
--    +- Exchange(distribution=[hash[id0]])
--       +- Calc(select=[id0, n])
--          +- Join(joinType=[InnerJoin], where=[=(c, id1)], select=[id0, c, id1, n], leftInputSpec=[HasUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey])
--             :- Exchange(distribution=[hash[c]])
--             :  +- TableSourceScan(table=[[default_catalog, default_database, b]], fields=[id, c])
--             +- Exchange(distribution=[hash[id1]])
--                +- Calc(select=[id AS id1, n], where=[=(n, 5)])
--                   +- TableSourceScan(table=[[default_catalog, default_database, c]], fields=[id, n])
--
-- == Optimized Execution Plan ==
-- Calc(select=[id, n])
-- +- Join(joinType=[InnerJoin], where=[(b = id0)], select=[id, b, id0, n], leftInputSpec=[HasUniqueKey], rightInputSpec=[NoUniqueKey])
--    :- Exchange(distribution=[hash[b]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[id, b])
--    +- Exchange(distribution=[hash[id0]])
--       +- Calc(select=[id0, n])
--          +- Join(joinType=[InnerJoin], where=[(c = id1)], select=[id0, c, id1, n], leftInputSpec=[HasUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey])
--             :- Exchange(distribution=[hash[c]])
--             :  +- TableSourceScan(table=[[default_catalog, default_database, b]], fields=[id, c])
--             +- Exchange(distribution=[hash[id1]])
--                +- Calc(select=[id AS id1, n], where=[(n = 5)])
--                   +- TableSourceScan(table=[[default_catalog, default_database, c]], fields=[id, n])
