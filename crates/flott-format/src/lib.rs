//! Formats: csv, json, parquet and more, decoded straight into Arrow
