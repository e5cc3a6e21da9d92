-- Into a sink by key: where the join has a condition besides equal keys an update can end a pair of rows, so -U is needed.
CREATE TABLE a (k INT, v BIGINT) WITH ('connector' = 'fake');
CREATE TABLE snk (k INT, n BIGINT, m BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
EXPLAIN CHANGELOG_MODE INSERT INTO snk SELECT l.k, l.n, r.n
  FROM (SELECT k, COUNT(*) AS n FROM a GROUP BY k) l JOIN (SELECT k, SUM(v) AS n FROM a GROUP BY k) r ON l.k = r.k;
EXPLAIN CHANGELOG_MODE INSERT INTO snk SELECT l.k, l.n, r.n
  FROM (SELECT k, COUNT(*) AS n FROM a GROUP BY k) l JOIN (SELECT k, SUM(v) AS n FROM a GROUP BY k) r
  ON l.k = r.k AND l.n < r.n;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.snk], fields=[k, n, m])
-- +- LogicalProject(k=[$0], n=[$1], n0=[$3])
--    +- LogicalJoin(condition=[AND(=($0, $2), <($1, $3))], joinType=[inner])
--       :- LogicalAggregate(group=[{0}], n=[COUNT()])
--       :  +- LogicalProject(k=[$0])
--       :     +- LogicalTableScan(table=[[default_catalog, default_database, a]])
--       +- LogicalAggregate(group=[{0}], n=[SUM($1)])
--          +- LogicalTableScan(table=[[default_catalog, default_database, a]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[k, n, m], changelogMode=[NONE])
-- +- Calc(select=[k, n, n0 AS m], changelogMode=[I,UB,UA])
--    +- Join(joinType=[InnerJoin], where=[AND(=(k, k0), <(n, n0))], select=[k, n, k0, n0], leftInputSpec=[JoinKeyContainsUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey], changelogMode=[I,UB,UA])
--       :- Exchange(distribution=[hash[k]], changelogMode=[I,UB,UA])
--       :  +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS n], changelogMode=[I,UB,UA])
--       :     +- Exchange(distribution=[hash[k]], changelogMode=[I])
--       :        +- Calc(select=[k], changelogMode=[I])
--       :           +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[k, v], changelogMode=[I])
--       +- Exchange(distribution=[hash[k]], changelogMode=[I,UB,UA])
--          +- GroupAggregate(groupBy=[k], select=[k, SUM(v) AS n], changelogMode=[I,UB,UA])
--             +- Exchange(distribution=[hash[k]], changelogMode=[I])
--                +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[k, v], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[k, n, m])
-- +- Calc(select=[k, n, n0 AS m])
--    +- Join(joinType=[InnerJoin], where=[((k = k0) AND (n < n0))], select=[k, n, k0, n0], leftInputSpec=[JoinKeyContainsUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey])
--       :- Exchange(distribution=[hash[k]])
--       :  +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS n])
--       :     +- Exchange(distribution=[hash[k]])
--       :        +- Calc(select=[k])
--       :           +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[k, v])(reuse_id=[1])
--       +- Exchange(distribution=[hash[k]])
--          +- GroupAggregate(groupBy=[k], select=[k, SUM(v) AS n])
--             +- Exchange(distribution=[hash[k]])
--                +- Reused(reference_id=[1])
