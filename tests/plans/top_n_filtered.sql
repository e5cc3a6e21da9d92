-- A row that does not pass a condition any more has to be taken back, for which the row before it is needed: all are kept.
CREATE TABLE t (k BIGINT, s STRING, v BIGINT) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, c FROM (
  SELECT k, c, ROW_NUMBER() OVER (ORDER BY c DESC) AS n FROM (SELECT k, COUNT(*) AS c FROM t GROUP BY k) WHERE c > 2
) WHERE n <= 3;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], c=[$1])
-- +- LogicalFilter(condition=[<=($2, 3)])
--    +- LogicalProject(k=[$0], c=[$1], n=[ROW_NUMBER() OVER (ORDER BY $1 DESC NULLS LAST)])
--       +- LogicalFilter(condition=[>($1, 2)])
--          +- LogicalAggregate(group=[{0}], c=[COUNT()])
--             +- LogicalProject(k=[$0])
--                +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Rank(strategy=[RetractStrategy], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[], orderBy=[c DESC], select=[k, c], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[single], changelogMode=[I,UB,UA])
--    +- Calc(select=[k, c], where=[>(c, 2)], changelogMode=[I,UB,UA])
--       +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS c], changelogMode=[I,UB,UA])
--          +- Exchange(distribution=[hash[k]], changelogMode=[I])
--             +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k], metadata=[]]], fields=[k], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Rank(strategy=[RetractStrategy], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[], orderBy=[c DESC], select=[k, c])
-- +- Exchange(distribution=[single])
--    +- Calc(select=[k, c], where=[(c > 2)])
--       +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS c])
--          +- Exchange(distribution=[hash[k]])
--             +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k], metadata=[]]], fields=[k])
