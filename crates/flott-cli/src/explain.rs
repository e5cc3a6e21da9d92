//! `flott explain`

use flott::{ExplainDetail, Restore, Result};

use crate::{ExplainArgs, output, run};

/// Takes the script's definitions and explains its jobs; nothing runs.
pub(crate) fn explain(args: &ExplainArgs) -> Result<()> {
    let (text, mut session) = run::open(&args.script, Restore::Ask)?;
    let in_script = |e: flott::Error| e.with("script", args.script.file.display());
    let details = if args.changelog { vec![ExplainDetail::ChangelogMode] } else { vec![] };
    for statement in session.parse(&text).map_err(in_script)? {
        if let Some(plan) = session.explain(&statement, &details).map_err(in_script)? {
            output::out(&format!("{plan}\n"))?;
        }
    }
    Ok(())
}
