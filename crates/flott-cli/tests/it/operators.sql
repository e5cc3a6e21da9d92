SET 'execution.checkpointing.dir' = 'checkpoints';
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE a (id BIGINT, k AS MOD(id, 7), v AS MOD(id * 37, 101), ts AS TO_TIMESTAMP_LTZ(id * 10, 3), pt AS PROCTIME(),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH ('connector' = 'datagen', 'rows-per-second' = '250',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '500');
CREATE TABLE b (id BIGINT, k AS MOD(id, 5), w AS MOD(id * 53, 97), ts AS TO_TIMESTAMP_LTZ(id * 20, 3),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH ('connector' = 'datagen', 'rows-per-second' = '125',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '250');
CREATE VIEW versions AS SELECT k, w, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS n FROM b) WHERE n = 1;
CREATE TABLE grouped (k BIGINT, n BIGINT, total BIGINT, least BIGINT, texts BIGINT) WITH ('connector' = 'filesystem', 'path' = 'grouped', 'format' = 'debezium-json');
CREATE TABLE joined (x BIGINT, y BIGINT) WITH ('connector' = 'filesystem', 'path' = 'joined', 'format' = 'debezium-json');
CREATE TABLE semi (x BIGINT) WITH ('connector' = 'filesystem', 'path' = 'semi', 'format' = 'debezium-json');
CREATE TABLE near (x BIGINT, y BIGINT) WITH ('connector' = 'filesystem', 'path' = 'near', 'format' = 'csv');
CREATE TABLE versioned (x BIGINT, w BIGINT) WITH ('connector' = 'filesystem', 'path' = 'versioned', 'format' = 'csv');
CREATE TABLE windowed (x BIGINT, y BIGINT) WITH ('connector' = 'filesystem', 'path' = 'windowed', 'format' = 'csv');
CREATE TABLE ranked (k BIGINT, v BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'ranked', 'format' = 'debezium-json');
CREATE TABLE ranked_groups (k BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'ranked_groups', 'format' = 'debezium-json');
CREATE TABLE firsts (k BIGINT, id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'firsts', 'format' = 'debezium-json');
CREATE TABLE lasts (k BIGINT, id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'lasts', 'format' = 'debezium-json');
CREATE TABLE recent (id BIGINT, total BIGINT) WITH ('connector' = 'filesystem', 'path' = 'recent', 'format' = 'csv');
CREATE TABLE so_far (id BIGINT, total BIGINT, before BIGINT) WITH ('connector' = 'filesystem', 'path' = 'so_far', 'format' = 'csv');
CREATE TABLE arrived (id BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'arrived', 'format' = 'debezium-json');
CREATE TABLE best (w TIMESTAMP_LTZ(3), k BIGINT, v BIGINT) WITH ('connector' = 'filesystem', 'path' = 'best', 'format' = 'csv');
CREATE TABLE runs (k BIGINT, up BIGINT, down BIGINT) WITH ('connector' = 'filesystem', 'path' = 'runs', 'format' = 'csv');
CREATE TABLE sorted (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'sorted', 'format' = 'csv');
CREATE TABLE hops (w TIMESTAMP_LTZ(3), k BIGINT, n BIGINT, d BIGINT) WITH ('connector' = 'filesystem', 'path' = 'hops', 'format' = 'csv');
CREATE TABLE cumulated (w TIMESTAMP_LTZ(3), n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'cumulated', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
INSERT INTO grouped SELECT k, COUNT(*), SUM(v), MIN(v), COUNT(DISTINCT v) FROM a GROUP BY k;
INSERT INTO joined SELECT a.id, b.id FROM a LEFT JOIN b ON a.v = b.w AND a.k = b.k;
INSERT INTO semi SELECT id FROM a WHERE v IN (SELECT w FROM b WHERE k = 3);
INSERT INTO near SELECT a.id, b.id FROM a JOIN b ON a.k = b.k AND a.ts BETWEEN b.ts - INTERVAL '0.1' SECOND AND b.ts;
INSERT INTO versioned SELECT a.id, v.w FROM a JOIN versions FOR SYSTEM_TIME AS OF a.ts AS v ON a.k = v.k;
INSERT INTO windowed SELECT x.id, y.id FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND) x
  JOIN TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '2' SECOND) y
  ON x.v = y.w AND x.window_start = y.window_start AND x.window_end = y.window_end;
INSERT INTO ranked SELECT k, v, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, id) AS n FROM a) WHERE n <= 3;
INSERT INTO ranked_groups SELECT k, c FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY c DESC, k) AS n FROM (SELECT k, COUNT(*) AS c FROM a GROUP BY k)) WHERE n <= 3;
INSERT INTO firsts SELECT k, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n FROM a) WHERE n = 1;
INSERT INTO lasts SELECT k, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS n FROM a) WHERE n = 1;
INSERT INTO so_far SELECT id, SUM(v) OVER w, LAG(v) OVER w FROM a WINDOW w AS (PARTITION BY k ORDER BY ts);
INSERT INTO recent SELECT id, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) FROM a;
INSERT INTO arrived SELECT id, COUNT(*) OVER (PARTITION BY k ORDER BY pt) FROM a;
INSERT INTO best SELECT window_start, k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY v DESC, id) AS n
  FROM TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) WHERE n <= 2;
INSERT INTO runs SELECT * FROM a MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES COUNT(u.id) AS up, LAST(d.v) AS down
  AFTER MATCH SKIP PAST LAST ROW PATTERN (u+ d) DEFINE u AS LAST(u.v, 1) IS NULL OR u.v > LAST(u.v, 1), d AS d.v < LAST(u.v));
INSERT INTO sorted SELECT id FROM a ORDER BY ts;
INSERT INTO hops SELECT window_start, k, COUNT(*), COUNT(DISTINCT v) FROM HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)
  GROUP BY k, window_start, window_end;
INSERT INTO cumulated SELECT window_end, COUNT(*) FROM CUMULATE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '4' SECOND)
  GROUP BY window_start, window_end;
END;
