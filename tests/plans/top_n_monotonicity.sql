-- A sum of counts only rises: the rows that a Top-N needs are those that are its first.
CREATE TABLE t (k BIGINT, s STRING, v BIGINT) WITH ('connector' = 'fake');
EXPLAIN SELECT k, c FROM (
  SELECT k, c, ROW_NUMBER() OVER (ORDER BY c DESC) AS n
  FROM (SELECT k, SUM(c) AS c FROM (SELECT k, s, COUNT(*) AS c FROM t GROUP BY k, s) GROUP BY k)
) WHERE n <= 3;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], c=[$1])
-- +- LogicalFilter(condition=[<=($2, 3)])
--    +- LogicalProject(k=[$0], c=[$1], n=[ROW_NUMBER() OVER (ORDER BY $1 DESC NULLS LAST)])
--       +- LogicalAggregate(group=[{0}], c=[SUM($1)])
--          +- LogicalProject(k=[$0], c=[$2])
--             +- LogicalAggregate(group=[{0, 1}], c=[COUNT()])
--                +- LogicalProject(k=[$0], s=[$1])
--                   +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Rank(strategy=[UpdateFastStrategy[0]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[], orderBy=[c DESC], select=[k, c])
-- +- Exchange(distribution=[single])
--    +- GroupAggregate(groupBy=[k], select=[k, SUM_RETRACT(c) AS c])
--       +- Exchange(distribution=[hash[k]])
--          +- Calc(select=[k, c])
--             +- GroupAggregate(groupBy=[k, s], select=[k, s, COUNT(*) AS c])
--                +- Exchange(distribution=[hash[k, s]])
--                   +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k, s], metadata=[]]], fields=[k, s])
--
-- == Optimized Execution Plan ==
-- Rank(strategy=[UpdateFastStrategy[0]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[], orderBy=[c DESC], select=[k, c])
-- +- Exchange(distribution=[single])
--    +- GroupAggregate(groupBy=[k], select=[k, SUM_RETRACT(c) AS c])
--       +- Exchange(distribution=[hash[k]])
--          +- Calc(select=[k, c])
--             +- GroupAggregate(groupBy=[k, s], select=[k, s, COUNT(*) AS c])
--                +- Exchange(distribution=[hash[k, s]])
--                   +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k, s], metadata=[]]], fields=[k, s])
