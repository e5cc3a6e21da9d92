-- The version at a row's time.
CREATE TABLE o (currency STRING, amount INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE rates (currency STRING, rate INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (currency) NOT ENFORCED)
WITH ('connector' = 'fake');
EXPLAIN SELECT o.amount * r.rate FROM o JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
