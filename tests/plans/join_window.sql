-- Rows of the same window.
CREATE TABLE o (id INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE s (id INT, w INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT L.id, L.v, R.w, L.window_start FROM
(SELECT * FROM TABLE(TUMBLE(TABLE o, DESCRIPTOR(ts), INTERVAL '5' MINUTE))) L
LEFT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '5' MINUTE))) R
ON L.id = R.id AND L.window_start = R.window_start AND L.window_end = R.window_end;
