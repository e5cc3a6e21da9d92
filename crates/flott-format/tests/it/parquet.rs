//! parquet: what is written is read, by us and by the library; ranges, projections, damaged files.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch, TimestampMillisecondArray};
use flott_connector::format::{Encoder, FormatContext, FormatFactory};
use flott_core::{ChangeBatch, ErrorKind, Result};
use flott_format::parquet::ParquetFormat;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Type as PhysicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use crate::random::batch;
use crate::support::{context, encode, read_bulk, rows_of, schema, shown};

fn read(context: &FormatContext, file: &[u8], range: Option<(u64, u64)>, skip: u64) -> Result<(RecordBatch, Vec<u64>)> {
    read_bulk(&ParquetFormat, context, file, range, skip)
}

const ALL: &str = "ROW<a BOOLEAN, b TINYINT, c SMALLINT, d INT, e BIGINT, f FLOAT, g DOUBLE, h STRING, i BYTES, j DECIMAL(9, 2), j2 DECIMAL(18, 2), k DATE, l TIME(3), m TIMESTAMP(3), n TIMESTAMP(9), o TIMESTAMP_LTZ(6), p ARRAY<STRING>, q ARRAY<TIMESTAMP(3)>, r ROW<x INT, y ROW<z TIMESTAMP(6)>>, s MAP<STRING, BIGINT>, t DECIMAL(38, 0)>";

/// The batch with its TIMESTAMP(9) column cut to microseconds.
fn with_micros(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().map(|c| match c.as_primitive_opt::<TimestampNanosecondType>() {
        Some(nanos) => Arc::new(nanos.unary::<_, TimestampNanosecondType>(|v| v.div_euclid(1000) * 1000)),
        None => c.clone(),
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read(batch in batch(ALL, 40), style in 0usize..4) {
        let options: &[(&str, &str)] = [
            &[][..],
            &[("write.int64.timestamp", "true"), ("timestamp.time.unit", "micros"), ("compression", "ZSTD")],
            &[("compression", "NONE"), ("writer.version", "v2"), ("enable.dictionary", "false")],
            &[("compression", "GZIP"), ("block.size", "1")],
        ][style];
        let c = context(ALL, ALL, options);
        let file = encode(&ParquetFormat, &c, &batch);
        let (back, _) = read(&c, &file, None, 0).unwrap();
        // Microseconds cut nanoseconds.
        let expected = if style == 1 { with_micros(&batch) } else { batch.clone() };
        prop_assert_eq!(shown(&back), shown(&expected));
        // The library reads the same file.
        let library = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
        prop_assert_eq!(library.map(|b| b.unwrap().num_rows()).sum::<usize>(), batch.num_rows());
    }

    #[test]
    fn damaged_files_never_panic(cut in 0usize..600, flips in prop::collection::vec((0usize..600, any::<u8>()), 0..6)) {
        let c = context("ROW<a INT, b STRING>", "ROW<a INT, b STRING>", &[("compression", "NONE")]);
        let mut file = encode(&ParquetFormat, &c, &rows_of("{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}", "ROW<a INT, b STRING>"));
        for (at, byte) in flips {
            let len = file.len();
            file[at % len] ^= byte;
        }
        file.truncate(file.len().saturating_sub(cut % 50));
        match read(&c, &file, None, 0) {
            Ok(_) => {}
            Err(e) => prop_assert!(e.kind() == ErrorKind::Data || e.kind() == ErrorKind::User, "{}", e),
        }
    }
}

#[test]
fn timestamps_are_int96_unless_asked_otherwise() {
    let row = "ROW<a TIMESTAMP(3), b TIMESTAMP_LTZ(6) NOT NULL>";
    let batch = rows_of("{\"a\":\"1969-12-31 23:59:59.999\",\"b\":\"2020-01-01 00:00:00.000001Z\"}", row);
    let physical = |options: &[(&str, &str)]| {
        let file = encode(&ParquetFormat, &context(row, row, options), &batch);
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        (0..2).map(|i| schema.column(i).physical_type()).collect::<Vec<_>>()
    };
    assert_eq!(physical(&[]), [PhysicalType::INT96, PhysicalType::INT96]);
    assert_eq!(physical(&[("write.int64.timestamp", "true")]), [PhysicalType::INT64, PhysicalType::INT64]);
}

#[test]
fn nested_timestamps_are_int96_too() {
    let row = "ROW<i INT, r ROW<t TIMESTAMP(3) NOT NULL, s STRING>, a ARRAY<TIMESTAMP(6)>, m MAP<STRING, ROW<x INT, t TIMESTAMP(9)>>, aa ARRAY<ARRAY<TIMESTAMP(3) NOT NULL>>, last INT>";
    let json = [
        r#"{"i":1,"r":{"t":"0001-01-01 00:00:00","s":"x"},"a":["9999-12-31 23:59:59.999999",null,"2020-01-01 00:00:00"],"aa":[["2020-01-01 00:00:00","2020-01-02 00:00:00"],[],["2020-01-03 00:00:00"]],"last":4}"#,
        r#"{"i":2,"r":null,"a":[],"m":{"2020-01-01 00:00:00Z":{"x":1,"t":"2020-01-01 00:00:00.000000001"}},"aa":[],"last":5}"#,
        r#"{"i":3,"a":null,"m":{},"aa":[null,[]],"last":6}"#,
        r#"{"i":4,"r":{"t":"2020-01-01 00:00:00.001"},"a":[null],"m":{"2020-01-01 00:00:00Z":null,"1969-01-01 00:00:00Z":{"t":null}},"last":7}"#,
    ];
    let batch = rows_of(&json.join("\n"), row);
    let file_of = |options: &[(&str, &str)]| encode(&ParquetFormat, &context(row, row, options), &batch);
    let physical = |file: &[u8]| {
        let reader = SerializedFileReader::new(bytes::Bytes::from(file.to_vec())).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        schema.columns().iter().map(|c| c.physical_type()).collect::<Vec<_>>()
    };
    use PhysicalType::{BYTE_ARRAY, INT32, INT64, INT96};
    let file = file_of(&[]);
    assert_eq!(physical(&file), [INT32, INT96, BYTE_ARRAY, INT96, BYTE_ARRAY, INT32, INT96, INT96, INT32]);
    let (back, _) = read(&context(row, row, &[]), &file, None, 0).unwrap();
    assert_eq!(shown(&back), shown(&batch));
    let int64 = file_of(&[("write.int64.timestamp", "true")]);
    assert_eq!(physical(&int64), [INT32, INT64, BYTE_ARRAY, INT64, BYTE_ARRAY, INT32, INT64, INT64, INT32]);
    // In another zone a TIMESTAMP is another instant, below as well as on top.
    let mut berlin = context(row, row, &[]);
    berlin.local_time_zone = "Europe/Berlin".into();
    let file = encode(&ParquetFormat, &berlin, &batch);
    assert_eq!(shown(&read(&berlin, &file, None, 0).unwrap().0), shown(&batch));
    // The library sees the same structure.
    let library = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
    let library = library.map(|b| b.unwrap()).next().unwrap();
    let lengths = |c: &dyn Array| c.as_list::<i32>().iter().map(|l| l.map(|l| l.len())).collect::<Vec<_>>();
    assert_eq!(lengths(library.column(2)), [Some(3), Some(0), None, Some(1)]);
    assert_eq!(lengths(library.column(4)), [Some(3), Some(0), Some(2), None]);
}

#[test]
fn far_years_survive_int96() {
    let row = "ROW<a TIMESTAMP(6)>";
    let text = "{\"a\":\"0001-01-01 00:00:00\"}\n{\"a\":\"9999-12-31 23:59:59.999999\"}";
    let c = context(row, row, &[]);
    let file = encode(&ParquetFormat, &c, &rows_of(text, row));
    let (back, _) = read(&c, &file, None, 0).unwrap();
    assert_eq!(shown(&back), ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]);
    // In nanoseconds they do not fit, which is an error and never another date.
    let nanos = context("ROW<a TIMESTAMP(9)>", "ROW<a TIMESTAMP(9)>", &[]);
    let int64 = encode(&ParquetFormat, &context(row, row, &[("write.int64.timestamp", "true")]), &rows_of(text, row));
    let e = read(&nanos, &int64, None, 0).expect_err("outside");
    assert!(e.to_string().contains("outside the years 1677 to 2262"), "{e}");
}

#[test]
fn the_local_zone_counts_for_timestamp_only() {
    let row = "ROW<a TIMESTAMP(3), b TIMESTAMP_LTZ(3)>";
    let batch = rows_of("{\"a\":\"2020-07-01 12:00:00\",\"b\":\"2020-07-01 12:00:00Z\"}", row);
    let mut berlin = context(row, row, &[]);
    berlin.local_time_zone = "Europe/Berlin".into();
    let file = encode(&ParquetFormat, &berlin, &batch);
    assert_eq!(shown(&read(&berlin, &file, None, 0).unwrap().0), shown(&batch));
    let utc = context(row, row, &[("utc-timezone", "true")]);
    assert_eq!(shown(&read(&utc, &file, None, 0).unwrap().0), ["2020-07-01T10:00:00|2020-07-01T12:00:00Z"]);
}

#[test]
fn columns_by_name_in_any_order() {
    let row = "ROW<a INT, b STRING, c BIGINT>";
    let file =
        encode(&ParquetFormat, &context(row, row, &[]), &rows_of("{\"a\":1,\"b\":\"x\",\"c\":3}\n{\"a\":2}", row));
    let wanted = |row: &str| read(&context(row, row, &[]), &file, None, 0);
    assert_eq!(shown(&wanted("ROW<c BIGINT, a INT>").unwrap().0), ["3|1", "NULL|2"]);
    assert_eq!(shown(&wanted("ROW<a BIGINT, c DECIMAL(20, 1)>").unwrap().0), ["1|3.0", "2|NULL"]);
    assert_eq!(wanted("ROW<>").unwrap().0.num_rows(), 2);
    let e = wanted("ROW<b INT>").expect_err("another type");
    assert!(e.to_string().contains("The file holds Utf8, but the column is declared INT"), "{e}");
    let e = wanted("ROW<c BIGINT NOT NULL>").expect_err("a NULL");
    assert!(e.to_string().contains("declared BIGINT NOT NULL") && e.context("file").is_some(), "{e}");
}

#[test]
fn a_column_that_the_file_lacks_is_null() {
    let row = "ROW<a INT, r ROW<x INT>>";
    let file = encode(&ParquetFormat, &context(row, row, &[]), &rows_of("{\"a\":1,\"r\":{\"x\":2}}\n{\"a\":3}", row));
    let wanted = |row: &str| read(&context(row, row, &[]), &file, None, 0);
    let (back, _) =
        wanted("ROW<price DECIMAL(5, 2), a INT, tags ARRAY<STRING>, m MAP<STRING, INT>, r2 ROW<z INT NOT NULL>>")
            .unwrap();
    assert_eq!(shown(&back), ["NULL|1|NULL|NULL|NULL", "NULL|3|NULL|NULL|NULL"]);
    assert_eq!(wanted("ROW<price INT>").unwrap().0.column(0).null_count(), 2);
    let (back, _) = wanted("ROW<r ROW<y STRING, x BIGINT>>").unwrap();
    let r = back.column(0).as_struct();
    assert_eq!((r.column(0).null_count(), r.column(1).null_count(), r.null_count()), (2, 1, 1));
    let e = wanted("ROW<price INT NOT NULL>").expect_err("missing");
    assert_eq!(e.context("column"), Some("price"));
    let text = e.to_string();
    assert!(text.contains("The file has no column 'price', which is declared NOT NULL"), "{e}");
    assert!(text.contains("The file has: a, r"), "{e}");
    let e = wanted("ROW<r ROW<y STRING NOT NULL>>").expect_err("missing");
    assert!(e.to_string().contains("The file has no column 'r.y'"), "{e}");
}

#[test]
fn ranges_and_positions_cover_every_row_once() {
    let row = "ROW<a BIGINT>";
    let c = context(row, row, &[("block.size", "1"), ("batch-size", "7")]);
    let mut encoder = ParquetFormat.encoding(&c).unwrap().create().unwrap();
    let mut file = vec![];
    for group in 0..5i64 {
        let text: Vec<String> = (0..20).map(|i| format!("{{\"a\":{}}}", group * 20 + i)).collect();
        encoder.encode(&ChangeBatch::append(rows_of(&text.join("\n"), row)), &mut file).unwrap();
        assert_eq!(encoder.buffered_bytes(), 0);
    }
    encoder.finish(&mut file).unwrap();
    let all: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    assert_eq!(shown(&read(&c, &file, None, 0).unwrap().0), all);
    let size = file.len() as u64;
    for cuts in [vec![0, size], vec![0, size / 2, size], vec![0, 4, 5, size / 3, size / 2, size]] {
        let mut parts = vec![];
        for w in cuts.windows(2) {
            parts.extend(shown(&read(&c, &file, Some((w[0], w[1])), 0).unwrap().0));
        }
        assert_eq!(parts, all, "{cuts:?}");
    }
    let (_, positions) = read(&c, &file, None, 0).unwrap();
    for skip in positions.iter().copied().chain([0, 1, 19, 20, 99, 100, 1000]) {
        let (rest, positions) = read(&c, &file, None, skip).unwrap();
        assert_eq!(shown(&rest), all[(skip as usize).min(100)..], "skip {skip}");
        assert!(positions.last().is_none_or(|p| *p == 100));
    }
}

#[test]
fn files_that_are_no_parquet() {
    let c = context("ROW<a INT>", "ROW<a INT>", &[]);
    for file in [&b""[..], b"PAR1", b"not parquet at all, really not", b"PAR1\xff\xff\xff\x7fPAR1"] {
        let e = read(&c, file, None, 0).expect_err("no parquet");
        assert_eq!(e.kind(), ErrorKind::Data, "{e}");
        assert!(e.to_string().contains("not a valid Parquet file") && e.to_string().contains("t/part.parquet"), "{e}");
    }
}

#[test]
fn an_empty_file_has_a_schema() {
    let c = context("ROW<a INT>", "ROW<a INT>", &[]);
    let mut encoder: Box<dyn Encoder> = ParquetFormat.encoding(&c).unwrap().create().unwrap();
    let mut file = vec![];
    encoder.finish(&mut file).unwrap();
    assert_eq!(read(&c, &file, None, 0).unwrap().0.num_rows(), 0);
    assert!(encoder.encode(&ChangeBatch::empty(schema("ROW<a INT>")), &mut file).is_err());
}

#[test]
fn int96_of_the_library_is_read() {
    // 1970-01-01 is Julian day 2440588: the value that other engines write.
    let row = "ROW<a TIMESTAMP(3)>";
    let c = context(row, row, &[]);
    let batch = RecordBatch::try_new(
        schema(row),
        vec![Arc::new(TimestampMillisecondArray::from(vec![Some(0), None, Some(-1), Some(86_400_001)]))],
    )
    .unwrap();
    let file = encode(&ParquetFormat, &c, &batch);
    let (back, _) = read(&c, &file, None, 0).unwrap();
    let column = back.column(0).as_primitive::<TimestampMillisecondType>();
    assert_eq!(column.iter().collect::<Vec<_>>(), [Some(0), None, Some(-1), Some(86_400_001)]);
    let library = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
    let first = library.map(|b| b.unwrap()).next().unwrap();
    let nanos = arrow_cast::cast(
        first.column(0),
        &arrow_schema::DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None),
    )
    .unwrap();
    assert_eq!(nanos.as_primitive::<TimestampMicrosecondType>().value(3), 86_400_001_000);
    assert!(nanos.is_null(1));
}

#[test]
fn options_are_checked() {
    for (options, part) in [
        (&[("compression", "BROTLI5")][..], "expected one of"),
        (&[("compression", "ZSTD"), ("compression.codec.zstd.level", "99")], "zstd.level"),
        (&[("block.size", "0")], "must be positive"),
        (&[("timestamp.time.unit", "days")], "expected one of"),
    ] {
        let e = ParquetFormat.encoding(&context("ROW<a INT>", "ROW<a INT>", options)).err().expect(part).to_string();
        assert!(e.contains(part), "{e}");
    }
    let e = ParquetFormat.message_decoding(&context("ROW<a INT>", "ROW<a INT>", &[])).err().expect("files").to_string();
    assert!(e.contains("reads files, not messages"), "{e}");
}
