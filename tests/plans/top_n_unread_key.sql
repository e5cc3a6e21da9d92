-- A rank keeps the key of its input, though nobody reads it: by it the rows that change are found.
CREATE TABLE t (k BIGINT, g STRING, v BIGINT) WITH ('connector' = 'fake');
EXPLAIN SELECT g, c FROM (
  SELECT g, c, ROW_NUMBER() OVER (PARTITION BY g ORDER BY c DESC) AS n
  FROM (SELECT g, k, COUNT(*) AS c FROM t GROUP BY g, k)
) WHERE n <= 3;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(g=[$0], c=[$1])
-- +- LogicalFilter(condition=[<=($2, 3)])
--    +- LogicalProject(g=[$0], c=[$2], n=[ROW_NUMBER() OVER (PARTITION BY $0 ORDER BY $2 DESC NULLS LAST)])
--       +- LogicalAggregate(group=[{0, 1}], c=[COUNT()])
--          +- LogicalProject(g=[$1], k=[$0])
--             +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[g, c])
-- +- Rank(strategy=[UpdateFastStrategy[0,1]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[g], orderBy=[c DESC], select=[g, k, c])
--    +- Exchange(distribution=[hash[g]])
--       +- GroupAggregate(groupBy=[g, k], select=[g, k, COUNT(*) AS c])
--          +- Exchange(distribution=[hash[g, k]])
--             +- Calc(select=[g, k])
--                +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k, g], metadata=[]]], fields=[k, g])
--
-- == Optimized Execution Plan ==
-- Calc(select=[g, c])
-- +- Rank(strategy=[UpdateFastStrategy[0,1]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=3], partitionBy=[g], orderBy=[c DESC], select=[g, k, c])
--    +- Exchange(distribution=[hash[g]])
--       +- GroupAggregate(groupBy=[g, k], select=[g, k, COUNT(*) AS c])
--          +- Exchange(distribution=[hash[g, k]])
--             +- Calc(select=[g, k])
--                +- TableSourceScan(table=[[default_catalog, default_database, t, project=[k, g], metadata=[]]], fields=[k, g])
