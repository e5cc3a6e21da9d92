//! `blackhole`.

use flott_connector::factory::{ChangelogMode, ConnectorFactory};
use flott_connector_basic::blackhole::Blackhole;
use flott_testkit::{TableBuilder, batch, writer_context};

#[tokio::test]
async fn it_takes_everything_and_wants_no_update_before() {
    let table = TableBuilder::new("t", "a INT").option("connector", "blackhole");
    let sink = Blackhole.sink(&table.sink()).expect("a sink");
    assert_eq!(sink.changelog_mode, ChangelogMode::UPSERT);
    let mut writer = sink.sink.create_writer(writer_context(0, 1), vec![]).expect("a writer");
    writer.write(batch("a INT", &["+I[1]", "-U[1]", "+U[2]", "-D[2]"])).await.expect("written");
    writer.flush(true).await.expect("flushed");
    assert_eq!(writer.bytes_written(), 0);
}

#[test]
fn it_has_no_options_and_is_no_source() {
    let table = TableBuilder::new("t", "a INT").option("connector", "blackhole");
    assert!(Blackhole.sink(&table.clone().option("path", "/tmp").sink()).is_err());
    let e = Blackhole.source(&table.source()).err().expect("refused");
    assert!(e.to_string().contains("can only be used as a sink"), "{e}");
}
