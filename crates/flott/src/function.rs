//! Functions in Rust for the SQL of a session.
//!
//! A function gets the columns of its arguments, a batch of rows at a time, and gives back the column of its results. Its
//! [`FunctionSignature`] says the types in SQL; arguments are cast to them where that loses nothing, and results are checked
//! against them: a value that the type does not have (a NULL where it is NOT NULL, a text that is too long for its VARCHAR, a
//! decimal with too many digits) ends the job with an error that names the function.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flott::Session;
//! use flott::arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
//! use flott::arrow_array::{Array, ArrayRef, StringArray, cast::AsArray, types::Int64Type};
//! use flott::function::{FunctionDefinition, FunctionSignature};
//!
//! /// 1995 becomes `19.95 EUR`.
//! fn euros(arguments: &[ArrayRef], _rows: usize) -> flott::Result<ArrayRef> {
//!     let cents = arguments[0].as_primitive::<Int64Type>();
//!     let text = |c: i64| format!("{}.{:02} EUR", c / 100, (c % 100).abs());
//!     Ok(Arc::new(cents.iter().map(|c| c.map(text)).collect::<StringArray>()))
//! }
//!
//! /// A table function: a row for each word of a line.
//! fn words(arguments: &[ArrayRef], _rows: usize) -> flott::Result<ArrayRef> {
//!     let fields = vec![flott::arrow_schema::Field::new("word", flott::arrow_schema::DataType::Utf8, true)];
//!     let mut rows = ListBuilder::new(StructBuilder::new(fields, vec![Box::new(StringBuilder::new())]));
//!     for line in arguments[0].as_string::<i32>() {
//!         for word in line.unwrap_or_default().split_whitespace() {
//!             let row = rows.values();
//!             row.field_builder::<StringBuilder>(0).expect("a column of texts").append_value(word);
//!             row.append(true);
//!         }
//!         rows.append(true);
//!     }
//!     Ok(Arc::new(rows.finish()))
//! }
//!
//! #[tokio::main]
//! async fn main() -> flott::Result<()> {
//!     let mut session = Session::builder()
//!         .function("EUROS", FunctionDefinition::new(FunctionSignature::scalar(&[("cents", "BIGINT")], "STRING")?, euros))
//!         .function("WORDS", FunctionDefinition::new(
//!             FunctionSignature::table(&[("line", "STRING")], &[("word", "STRING NOT NULL")])?,
//!             words,
//!         ))
//!         .build()?;
//!     let sql = "SELECT word, euros(cents) FROM (VALUES ('a pot of tea', 350)) AS t (line, cents), \
//!                LATERAL TABLE(words(line)) WHERE word <> 'of'";
//!     let batches = session.sql_query(sql).await?.collect().await?;
//!     let rows: Vec<(&str, &str)> = batches
//!         .iter()
//!         .flat_map(|b| b.column(0).as_string::<i32>().iter().zip(b.column(1).as_string::<i32>()))
//!         .filter_map(|(word, price)| Some((word?, price?)))
//!         .collect();
//!     assert_eq!(rows, [("a", "3.50 EUR"), ("pot", "3.50 EUR"), ("tea", "3.50 EUR")]);
//!     Ok(())
//! }
//! ```
//!
//! | where a name stands for several | what is called |
//! |---|---|
//! | a temporary system function: of the program, or CREATE TEMPORARY SYSTEM FUNCTION | first |
//! | a built-in function | then |
//! | CREATE TEMPORARY FUNCTION | then |
//! | CREATE FUNCTION | last |
//!
//! A function is called by all threads of a job at once and must not keep what its results depend on: a job that starts again
//! calls it again for rows that it had seen. One whose results change from call to call says so
//! ([`FunctionDefinition::non_deterministic`]). It must not wait for anything outside: the thread that calls it has other work.
//!
//! To let SQL bring functions itself, see `CREATE FUNCTION .. LANGUAGE WASM` and `LANGUAGE SQL`.

pub use flott_connector::function::{
    FunctionArtifact, FunctionDefinition, FunctionLanguage, FunctionSignature, ProgramFunctions, UserFunction,
};
