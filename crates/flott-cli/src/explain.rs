//! `flott explain`

use flott::{Outcome, Restore, Result, SpannedStatement, Statement};

use crate::{ExplainArgs, output, run};

/// Runs the script's definitions and explains its jobs.
pub(crate) fn explain(args: &ExplainArgs) -> Result<()> {
    let (text, mut session) = run::open(&args.script, Restore::Ask)?;
    let statements = session.parse(&text).map_err(|e| e.with("script", args.script.file.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for statement in statements {
            let is_job =
                matches!(statement.statement, Statement::Query(_) | Statement::Insert(_) | Statement::StatementSet(_));
            let statement = if is_job { explained(statement, args.changelog) } else { statement };
            match session.execute(&statement).await.map_err(|e| e.with("script", args.script.file.display()))? {
                Outcome::Text(plan) => output::out(&format!("{plan}\n"))?,
                _ => continue,
            }
        }
        Ok(())
    })
}

fn explained(statement: SpannedStatement, changelog: bool) -> SpannedStatement {
    let details = if changelog { vec![flott::ExplainDetail::ChangelogMode] } else { vec![] };
    SpannedStatement { statement: Statement::Explain { details, inner: Box::new(statement.statement) }, ..statement }
}
