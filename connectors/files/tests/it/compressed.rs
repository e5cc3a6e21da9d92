//! Compressed files.

use std::io::Write;
use std::path::Path;

use flott_core::ErrorKind;
use flott_testkit::suite;

use crate::support::*;

fn compress(ending: &str, content: &[u8]) -> Vec<u8> {
    match ending {
        "gz" | "gzip" | "GZ" => {
            let mut e = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
            e.write_all(content).expect("written");
            e.finish().expect("finished")
        }
        "deflate" => {
            let mut e = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
            e.write_all(content).expect("written");
            e.finish().expect("finished")
        }
        "zst" => zstd::encode_all(content, 3).expect("compressed"),
        "bz2" => {
            let mut e = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::best());
            e.write_all(content).expect("written");
            e.finish().expect("finished")
        }
        "xz" => {
            let mut e = xz2::write::XzEncoder::new(vec![], 6);
            e.write_all(content).expect("written");
            e.finish().expect("finished")
        }
        other => panic!("{other}"),
    }
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, content).expect("written");
}

const ENDINGS: [&str; 7] = ["gz", "gzip", "GZ", "deflate", "zst", "bz2", "xz"];

#[tokio::test]
async fn known_by_their_ending() {
    let (_dir, path) = temp();
    let content: String = (0..50_000).map(|i| format!("{i},{}\n", i * 31 % 1_009)).collect();
    for ending in ENDINGS {
        let file = path.join(format!("f.{ending}"));
        write(&file, &compress(ending, content.as_bytes()));
        let table = Table::new(&file, "a INT, b INT").option("source.split-size", "1 kb");
        let rows = table.read().await;
        assert_eq!((rows.len(), rows[49_999].as_str()), (50_000, "+I[49999, 145]"), "{ending}");
        suite::source_restores(&table.source(), &[1, 2], 2).await;
        std::fs::remove_file(&file).expect("removed");
    }
}

#[tokio::test]
async fn several_members_in_a_row() {
    let (_dir, path) = temp();
    for ending in ["gz", "zst", "bz2", "xz"] {
        let file = path.join(format!("f.{ending}"));
        let both = [compress(ending, b"1\n"), compress(ending, b"2\n")].concat();
        write(&file, &both);
        assert_eq!(Table::new(&file, "a INT").read().await, ["+I[1]", "+I[2]"], "{ending}");
    }
}

#[tokio::test]
async fn cut_off_and_damaged_files_are_errors() {
    let (_dir, path) = temp();
    let content: String = (0..400).map(|i| format!("{i},{}\n", i * 31 % 1_009)).collect();
    for ending in ["gz", "deflate", "zst", "bz2", "xz"] {
        let file = path.join(format!("f.{ending}"));
        let whole = compress(ending, content.as_bytes());
        for length in (1..whole.len()).step_by(7).chain([whole.len() - 1]) {
            write(&file, &whole[..length]);
            let table = Table::new(&file, "a INT, b INT");
            let e = table.try_read(1).await.err().unwrap_or_else(|| panic!("{ending} of {length} bytes"));
            assert_eq!(e.kind(), ErrorKind::Data, "{ending} of {length} bytes: {e}");
            assert_eq!(e.context("file"), file.to_str(), "{e}");
            assert!(e.to_string().contains("damaged or cut off"), "{e}");
        }
    }
    let file = path.join("g.gz");
    write(&file, b"this is no gzip");
    let e = Table::new(&file, "a INT").try_read(1).await.expect_err("no gzip");
    assert_eq!(e.kind(), ErrorKind::Data);
}
