//! `flott infer`

use std::path::Path;

use clap::Args;
use flott::InferRequest;

use crate::exit::Failure;
use crate::output;
use crate::script::{self, Earlier, SessionArgs};

#[derive(Args)]
pub(crate) struct InferArgs {
    /// A file or folder, kafka://HOST:PORT/TOPIC, or a schema registry's https://HOST:PORT/subjects/NAME
    source: String,
    /// The format, where neither the name nor the data tells
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The name of the table
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// An option of the table, such as csv.field-delimiter=; or properties.security.protocol=SSL
    #[arg(short, long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Records that are looked at, at most
    #[arg(long, value_name = "N", default_value_t = flott::SAMPLE_RECORDS)]
    records: usize,
    #[command(flatten)]
    session: SessionArgs,
}

/// Prints a CREATE TABLE for data; what a person has to look at goes to stderr.
pub(crate) fn infer(args: &InferArgs) -> Result<(), Failure> {
    let mut request = InferRequest::of(&args.source);
    request.format.clone_from(&args.format);
    request.table.clone_from(&args.table);
    request.records = args.records.max(1);
    for option in &args.options {
        let (key, value) = option.split_once('=').ok_or_else(|| {
            let error = flott::Error::user(format!("'--option {option}' is not KEY=VALUE"));
            Failure::of_arguments(error.hint("Write --option csv.field-delimiter=';'"))
        })?;
        request.options.push((key.trim().to_string(), value.to_string()));
    }
    let session = script::session(&args.session, Path::new("."), "infer", Earlier::default())?;
    let inferred = script::runtime()?.block_on(session.infer(&request))?;
    for note in &inferred.notes {
        output::note(&format!("-- {note}"));
    }
    Ok(output::out(&format!("{};\n", inferred.statement))?)
}
