-- The version at a row's time.
CREATE TABLE o (currency STRING, amount INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE rates (currency STRING, rate INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (currency) NOT ENFORCED)
WITH ('connector' = 'fake');
EXPLAIN SELECT o.amount * r.rate FROM o JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(EXPR$0=[*($1, $4)])
-- +- LogicalJoin(condition=[=($0, $3)], joinType=[inner], asOf=[ts])
--    :- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--    :  +- LogicalTableScan(table=[[default_catalog, default_database, o]])
--    +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--       +- LogicalTableScan(table=[[default_catalog, default_database, rates]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[*(amount, rate) AS EXPR$0])
-- +- TemporalJoin(joinType=[InnerJoin], where=[=(currency, currency0)], select=[currency, amount, ts, currency0, rate, ts0])
--    :- Exchange(distribution=[hash[currency]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[currency, amount, ts])
--    +- Exchange(distribution=[hash[currency]])
--       +- TableSourceScan(table=[[default_catalog, default_database, rates, watermark=[ts]]], fields=[currency, rate, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[(amount * rate) AS EXPR$0])
-- +- TemporalJoin(joinType=[InnerJoin], where=[(currency = currency0)], select=[currency, amount, ts, currency0, rate, ts0])
--    :- Exchange(distribution=[hash[currency]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[currency, amount, ts])
--    +- Exchange(distribution=[hash[currency]])
--       +- TableSourceScan(table=[[default_catalog, default_database, rates, watermark=[ts]]], fields=[currency, rate, ts])
