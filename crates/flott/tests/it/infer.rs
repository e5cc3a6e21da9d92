//! CREATE TABLE statements that are proposed for data, and what reads with them.

use std::path::Path;

use flott::{InferRequest, InferredTable, Outcome, Session};

fn session(folder: &Path) -> Session {
    Session::builder().base_dir(folder).build().expect("a session")
}

async fn infer(folder: &Path, request: &InferRequest) -> flott::Result<InferredTable> {
    session(folder).infer(request).await
}

async fn proposal(folder: &Path, source: &str) -> InferredTable {
    infer(folder, &InferRequest::of(source)).await.expect("a proposal")
}

/// The lines of the columns, without commas.
fn columns(table: &InferredTable) -> Vec<&str> {
    let of_columns = table.statement.split_once("(\n").expect("columns").1.split_once("\n)").expect("an end").0;
    of_columns.lines().map(|l| l.trim().trim_end_matches(',')).collect()
}

/// Everything that a query reads with the proposed table, as text.
async fn read(folder: &Path, table: &InferredTable, query: &str) -> Vec<Vec<String>> {
    let mut session = session(folder);
    session.execute_sql("SET 'execution.runtime-mode' = 'batch'").await.expect("set");
    session.execute_sql(&table.statement).await.expect("the proposal is a statement");
    let mut query = session.sql_query(query).await.expect("a query");
    let mut rows = vec![];
    while let Some(batch) = query.next().await {
        rows.extend(query.texts(&batch).expect("texts"));
    }
    query.job.wait().await.expect("it reads");
    rows
}

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csv_file_with_names_empty_fields_and_numbers_of_articles() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "more/b.csv", "x,y\n1,2.5\n");
    write(folder.path(), "more/a.csv", "x,y\n3,4.5\n");
    let more = proposal(folder.path(), "more").await;
    assert_eq!(columns(&more), ["`x` BIGINT", "`y` DECIMAL(18, 1)"], "each file has its line of names: {more:?}");
    let mut rows = read(folder.path(), &more, "SELECT * FROM more").await;
    rows.sort();
    assert_eq!(rows, [["1", "2.5"], ["3", "4.5"]]);
    write(
        folder.path(),
        "orders-2026.csv",
        "id,article,price,at,paid,note\n\
         1,00017,9.50,2026-01-02 03:04:05,true,\"a, \"\"b\"\"\"\n\
         2,00018,,2026-01-02 03:04:05.25,false,\n\
         3,00019,120.125,,true,\"two\nlines\"\n",
    );
    let table = proposal(folder.path(), "orders-2026.csv").await;
    assert!(table.statement.starts_with("CREATE TABLE `orders_2026` ("), "{}", table.statement);
    assert_eq!(
        columns(&table),
        [
            "`id` BIGINT",
            "`article` STRING",
            "`price` DECIMAL(18, 3)",
            "`at` TIMESTAMP(3)",
            "`paid` BOOLEAN",
            "`note` STRING"
        ],
        "{table:?}"
    );
    assert!(table.statement.contains("'csv.ignore-first-line' = 'true'"), "{}", table.statement);
    assert!(table.notes.iter().any(|n| n == "read 3 rows with it"), "{:?}", table.notes);
    assert!(table.notes.iter().any(|n| n.contains("WATERMARK FOR `at` AS `at`")), "{:?}", table.notes);
    let rows = read(folder.path(), &table, "SELECT id, article, price, note FROM orders_2026 WHERE id < 3").await;
    assert_eq!(rows, [["1", "00017", "9.500", "a, \"b\""], ["2", "00018", "<NULL>", "<NULL>"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csv_file_without_names_and_with_another_delimiter() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "in/a.csv", "1;x;1.5e3;99999999999999999999\n-2;y;2;3\n");
    let mut request = InferRequest::of("in");
    request.options.push(("csv.field-delimiter".to_string(), ";".to_string()));
    request.table = Some("t".to_string());
    let table = infer(folder.path(), &request).await.expect("a proposal");
    assert_eq!(columns(&table), ["`f0` BIGINT", "`f1` STRING", "`f2` DOUBLE", "`f3` DECIMAL(38, 0)"], "{table:?}");
    let rows = read(folder.path(), &table, "SELECT * FROM t").await;
    assert_eq!(rows, [["1", "x", "1500.0", "99999999999999999999"], ["-2", "y", "2.0", "3"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_objects_in_folders_of_partitions() {
    let folder = tempfile::tempdir().expect("a folder");
    write(
        folder.path(),
        "events/day=2026-01-01/a.jsonl",
        "{\"id\":1,\"who\":{\"name\":\"a\",\"tags\":[\"x\"]},\"at\":\"2026-01-01T10:00:00Z\",\"odd\":1,\"none\":null}\n\
         {\"id\":2,\"who\":{\"name\":null,\"age\":7},\"at\":\"2026-01-01T10:00:00.123456Z\",\"odd\":\"b\"}\n",
    );
    let table = proposal(folder.path(), "events").await;
    assert_eq!(
        columns(&table),
        [
            "`id` BIGINT",
            "`who` ROW<`name` STRING, `tags` ARRAY<STRING>, `age` BIGINT>",
            "`at` TIMESTAMP(6) WITH LOCAL TIME ZONE",
            "`odd` STRING",
            "`none` STRING",
            "`day` STRING",
        ],
        "{table:?}"
    );
    assert!(table.statement.contains("PARTITIONED BY (`day`)"), "{}", table.statement);
    assert!(table.statement.contains("'json.timestamp-format.standard' = 'ISO-8601'"), "{}", table.statement);
    assert!(table.notes.iter().any(|n| n.starts_with("odd: ")), "{:?}", table.notes);
    assert!(table.notes.iter().any(|n| n.starts_with("none: ")), "{:?}", table.notes);
    let rows = read(folder.path(), &table, "SELECT id, `who`.name, `who`.age, odd, `day` FROM events").await;
    assert_eq!(rows, [["1", "a", "<NULL>", "1", "2026-01-01"], ["2", "<NULL>", "7", "b", "2026-01-01"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_a_schema_come_back_as_they_were_declared() {
    let declared = "`i` INT, `l` BIGINT, `d` DECIMAL(10, 2), `s` STRING, `b` BYTES, `f` FLOAT, `o` BOOLEAN, `t` TIMESTAMP(3), \
                    `dt` DATE, `a` ARRAY<INT>, `m` MAP<STRING, INT>, `r` ROW<`x` INT, `y` STRING>";
    let values = "1, CAST(2 AS BIGINT), CAST(3.25 AS DECIMAL(10, 2)), 'é', x'00ff', CAST(1.5 AS FLOAT), TRUE, \
                  TIMESTAMP '2026-01-02 03:04:05.678', DATE '2026-01-02', ARRAY[1, 2], MAP['k', 1], ROW(1, 'y')";
    for format in ["parquet", "orc", "avro"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = session(folder.path());
        let create = format!(
            "CREATE TABLE o ({declared}) WITH ('connector' = 'filesystem', 'path' = 'data', 'format' = '{format}')"
        );
        writer.execute_sql(&create).await.expect("declared");
        let insert = format!("INSERT INTO o SELECT {values}");
        let Outcome::Job(mut job) = writer.execute_sql(&insert).await.expect("starts") else { panic!("a job") };
        job.wait().await.expect("written");
        let mut request = InferRequest::of("data");
        request.format = Some(format.to_string());
        let table = infer(folder.path(), &request).await.expect("a proposal");
        assert!(table.notes.iter().any(|n| n == "read 1 rows with it"), "{format}: {table:?}");
        let found = columns(&table);
        let names = ["i", "l", "d", "s", "b", "f", "o", "t", "dt", "a", "m", "r"];
        assert_eq!(found.len(), names.len(), "{format}: {found:?}");
        for (column, name) in found.iter().zip(names) {
            assert!(column.starts_with(&format!("`{name}` ")), "{format}: {found:?}");
        }
        for (at, kind) in
            [(0, "INT"), (1, "BIGINT"), (5, "FLOAT"), (6, "BOOLEAN"), (8, "DATE"), (9, "ARRAY<"), (10, "MAP<")]
        {
            assert!(found[at].contains(kind), "{format}: {found:?}");
        }
        let query =
            "SELECT i, l, CAST(d AS DECIMAL(10, 2)), s, b, f, o, CAST(t AS TIMESTAMP(3)), dt, a, m, r FROM data";
        let rows = read(folder.path(), &table, query).await;
        let expected = [
            "1",
            "2",
            "3.25",
            "é",
            "x'00ff'",
            "1.5",
            "TRUE",
            "2026-01-02 03:04:05.678",
            "2026-01-02",
            "[1, 2]",
            "{k=1}",
            "(1, y)",
        ];
        assert_eq!(rows, [expected], "{format}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    write(place, "a.txt", "x\n");
    write(place, "empty/.hidden.csv", "1\n");
    write(place, "broken.json", "{\"a\":1}\n{\"a\":\n");
    write(place, "list.json", "[1,2]\n");
    write(place, "no.parquet", "not a file of Parquet");
    for (source, part) in [
        ("a.txt", "--format csv"),
        ("empty", "There is no file with content"),
        ("gone.csv", "does not exist"),
        ("broken.json", "is no JSON"),
        ("list.json", "is no JSON object"),
        ("no.parquet", "Parquet"),
        ("kafka://localhost:9092", "kafka://HOST:PORT/TOPIC"),
        ("https://localhost/", "/subjects/"),
        ("ftp://x/y.csv", "no file system for the scheme 'ftp'"),
    ] {
        let error = infer(place, &InferRequest::of(source)).await.expect_err(source).to_string();
        assert!(error.contains(part), "{source}: {error}");
    }
    let mut request = InferRequest::of("a.txt");
    request.format = Some("raw".to_string());
    let error = infer(place, &request).await.expect_err("raw").to_string();
    assert!(error.contains("does not say which columns"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_topic() {
    use flott_testkit::kafka::{Kafka, KafkaRecord};

    let Some(kafka) = Kafka::running() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let plain = kafka.topic(2).expect("a topic");
    kafka
        .write(&plain, &[KafkaRecord::of(0, r#"{"id":1,"v":0.5}"#), KafkaRecord::of(1, r#"{"id":2,"v":1.5,"w":"x"}"#)])
        .expect("written");
    let table = proposal(folder.path(), &format!("kafka://{}/{plain}", kafka.servers)).await;
    let mut found = columns(&table);
    found.sort_unstable();
    assert_eq!(found, ["`id` BIGINT", "`v` DOUBLE", "`w` STRING"], "{table:?}");
    assert!(table.notes.iter().any(|n| n == "read 2 rows with it"), "{:?}", table.notes);
    assert!(table.statement.contains("'format' = 'json'"), "{}", table.statement);

    let changes = kafka.topic(1).expect("a topic");
    let change = r#"{"payload":{"before":null,"after":{"id":7,"name":"a"},"op":"c","source":{},"ts_ms":1}}"#;
    kafka.write(&changes, &[KafkaRecord::of(0, change)]).expect("written");
    let table = proposal(folder.path(), &format!("kafka://{}/{changes}", kafka.servers)).await;
    assert_eq!(columns(&table), ["`id` BIGINT", "`name` STRING"], "{table:?}");
    assert!(table.statement.contains("'format' = 'debezium-json'"), "{}", table.statement);
    assert!(table.statement.contains("'debezium-json.schema-include' = 'true'"), "{}", table.statement);
    assert!(table.notes.iter().any(|n| n.contains("PRIMARY KEY")), "{:?}", table.notes);

    let empty = kafka.topic(1).expect("a topic");
    let source = format!("kafka://{}/{empty}", kafka.servers);
    let error = infer(folder.path(), &InferRequest::of(source)).await.expect_err("nothing is there").to_string();
    assert!(error.contains("no message with content"), "{error}");
}

/// Answers one request, and gives its first line.
fn registry(body: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{BufRead, BufReader, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let run = move || {
        let (stream, _) = listener.accept().expect("a request");
        let mut reader = BufReader::new(stream);
        let (mut first, mut line) = (String::new(), String::new());
        reader.read_line(&mut first).expect("a line");
        while reader.read_line(&mut line).expect("a line") > 2 {
            line.clear();
        }
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all(format!("{head}{body}").as_bytes()).expect("answered");
        first.trim().to_string()
    };
    (url, std::thread::spawn(run))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_of_a_schema_registry() {
    let body = r#"{"subject":"orders-value","version":2,"id":7,"schema":"{\"type\":\"record\",\"name\":\"o\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"at\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}]},{\"name\":\"day\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},{\"name\":\"odd\",\"type\":[\"int\",\"string\"]},{\"name\":\"tree\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"n\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"},{\"name\":\"l\",\"type\":[\"null\",\"n\"]},{\"name\":\"r\",\"type\":[\"null\",\"n\"]}]}]},{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"string\"}}]}"}"#;
    let folder = tempfile::tempdir().expect("a folder");
    let (url, asked) = registry(body);
    let mut request = InferRequest::of(format!("{url}/subjects/orders-value"));
    request.options.push(("avro-confluent.basic-auth.user-info".to_string(), "me:canary".to_string()));
    let table = infer(folder.path(), &request).await.expect("a proposal");
    assert_eq!(asked.join().expect("asked"), "GET /subjects/orders-value/versions/latest HTTP/1.1");
    assert_eq!(
        columns(&table),
        [
            "`id` BIGINT NOT NULL",
            "`at` TIMESTAMP(3)",
            "`day` DATE NOT NULL",
            "`tree` ROW<`v` INT NOT NULL>",
            "`m` MAP<STRING NOT NULL, STRING NOT NULL> NOT NULL",
        ],
        "{table:?}"
    );
    assert!(table.statement.starts_with("CREATE TABLE `orders` ("), "{}", table.statement);
    assert!(table.statement.contains(&format!("'avro-confluent.url' = '{url}'")), "{}", table.statement);
    assert!(!format!("{table:?}").contains("canary"), "{table:?}");
    for part in [
        "odd: left out",
        "tree.l: left out, its type contains itself",
        "properties.bootstrap.servers",
        "secrets are masked",
    ] {
        assert!(table.notes.iter().any(|n| n.contains(part)), "{part}: {:?}", table.notes);
    }
}
