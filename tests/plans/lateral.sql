-- LATERAL: queries in FROM that name columns of the tables before them.
CREATE TABLE a (id INT NOT NULL, x STRING) WITH ('connector' = 'fake');
CREATE TABLE b (aid INT, v INT) WITH ('connector' = 'fake');
EXPLAIN SELECT x, s.w, t.c, u.v FROM a
CROSS JOIN LATERAL (SELECT v + a.id AS w FROM b WHERE aid = a.id AND v > 1) AS s
LEFT JOIN LATERAL (SELECT COUNT(*) AS c FROM b WHERE aid = a.id) AS t ON TRUE,
LATERAL (SELECT DISTINCT v FROM b WHERE aid = a.id) AS u;
