//! `flott explain`

use clap::Args;
use flott::ExplainDetail;

use crate::exit::Failure;
use crate::output;
use crate::script::{self, Earlier, ScriptArgs};

#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Show which kinds of change each operator emits
    #[arg(long)]
    changelog: bool,
    /// Show instead where watermarks come from, where event time is lost and when windows fire
    #[arg(long)]
    watermarks: bool,
}

/// Takes the script's definitions and explains its jobs; nothing runs.
pub(crate) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let (text, mut session) = script::open(&args.script, Earlier::default())?;
    let in_script = |e: flott::Error| Failure::from(e).with("script", args.script.file.display());
    let asked = [(args.changelog, ExplainDetail::ChangelogMode), (args.watermarks, ExplainDetail::Watermark)];
    let details: Vec<ExplainDetail> = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, d)| d).collect();
    // A mistake in the last statement is found before anything is shown.
    for statement in flott::statements(&text).map_err(in_script)? {
        statement.map_err(in_script)?;
    }
    for statement in flott::statements(&text).map_err(in_script)? {
        let statement = statement.map_err(in_script)?;
        if let Some(plan) = session.explain(&statement, &details).map_err(in_script)? {
            output::out(&format!("{plan}\n"))?;
        }
    }
    Ok(())
}
