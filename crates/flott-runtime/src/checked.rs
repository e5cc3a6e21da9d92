//! An operator that is watched: whether the kinds of its rows are those that its plan says.
//!
//! What an operator keeps and leaves out follows from the plan's changelog modes. A source that gives other kinds than its
//! connector declares is an error at the first operator that was planned for inserts alone: batches without kinds are not
//! looked at, so that it costs nothing per row. Joins, projections and unions follow the kinds of their rows, as Flink's, and
//! pass them on.
//!
//! In builds with debug assertions each operator's own rows are checked too: a rule of the planner that promises too much is
//! a wrong result somewhere else. Here it is an error where it happens, in every test that runs.

use arrow_array::{RecordBatch, UInt32Array};
use flott_connector::factory::ChangelogMode;
use flott_core::{ChangeBatch, Error, Result, RowKind, Watermark};
use flott_graph::{Node, OperatorSpec};
use flott_operator::operator::Awaiting;
use flott_operator::{Emission, Operator, OperatorContext, Progress};
use flott_state::{OperatorSnapshot, RestoredState};

/// See the module.
pub(crate) struct Checked {
    name: String,
    inner: Box<dyn Operator>,
    inputs: Vec<ChangelogMode>,
    output: ChangelogMode,
    /// It was planned for what its inputs promise, and does not follow the kinds of other rows.
    relies: bool,
    /// Its inputs have kept what they promise. A source that does not makes promises of all behind it void.
    is_fed_well: bool,
}

fn other_kind(batch: &ChangeBatch, mode: ChangelogMode) -> Option<RowKind> {
    let kinds = batch.kinds.as_ref()?;
    kinds.iter().find(|kind| !mode.contains(*kind))
}

/// Whether an operator's work depends on which kinds of rows the plan says there are.
fn relies(spec: &OperatorSpec) -> bool {
    match spec {
        OperatorSpec::Source(_)
        | OperatorSpec::Calc(_)
        | OperatorSpec::WatermarkAssigner(_)
        | OperatorSpec::Union
        | OperatorSpec::Unnest(_)
        | OperatorSpec::ChangelogFunction(_)
        | OperatorSpec::Join(_)
        | OperatorSpec::LookupJoin(_)
        | OperatorSpec::Expand(_)
        | OperatorSpec::WindowTableFunction(_)
        | OperatorSpec::MiniBatchAssigner(_)
        | OperatorSpec::ChangelogNormalize(_)
        | OperatorSpec::DropUpdateBefore
        | OperatorSpec::SinkMaterialize(_)
        | OperatorSpec::Sink(_) => false,
        OperatorSpec::IntervalJoin(_)
        | OperatorSpec::WindowJoin(_)
        | OperatorSpec::TemporalJoin(_)
        | OperatorSpec::LocalWindowAggregate(_)
        | OperatorSpec::GlobalWindowAggregate(_)
        | OperatorSpec::WindowAggregate(_)
        | OperatorSpec::GroupAggregate(_)
        | OperatorSpec::LocalGroupAggregate(_)
        | OperatorSpec::GlobalGroupAggregate(_)
        | OperatorSpec::IncrementalGroupAggregate(_)
        | OperatorSpec::Rank(_)
        | OperatorSpec::Deduplicate(_)
        | OperatorSpec::WindowRank(_)
        | OperatorSpec::OverAggregate(_)
        | OperatorSpec::Sort(_)
        | OperatorSpec::TemporalSort(_)
        | OperatorSpec::Match(_) => true,
    }
}

impl Checked {
    /// The operator, watched where there is something to watch. `inputs`: what the plan says of the rows of each input.
    pub(crate) fn watched(node: &Node, inner: Box<dyn Operator>, inputs: Vec<ChangelogMode>) -> Box<dyn Operator> {
        let relies = relies(&node.spec) && inputs.iter().any(ChangelogMode::is_insert_only);
        if !relies && !cfg!(debug_assertions) {
            return inner;
        }
        let (name, output) = (node.name.clone(), node.changelog_mode);
        Box::new(Checked { name, inner, inputs, output, relies, is_fed_well: true })
    }

    fn check(&self, from: usize, context: &OperatorContext) -> Result<()> {
        if !cfg!(debug_assertions) || !self.is_fed_well {
            return Ok(());
        }
        for emission in context.emissions.iter().skip(from) {
            if let Emission::Batch { port: 0, batch } = emission
                && let Some(kind) = other_kind(batch, self.output)
            {
                let message = format!("{} among rows that the plan says are [{}]", kind.short_string(), self.output);
                return Err(Error::internal(message).with("operator", &self.name));
            }
        }
        Ok(())
    }

    fn then(
        &mut self,
        context: &mut OperatorContext,
        call: impl FnOnce(&mut dyn Operator, &mut OperatorContext) -> Result<Progress>,
    ) -> Result<Progress> {
        let from = context.emissions.len();
        let progress = call(self.inner.as_mut(), context)?;
        self.check(from, context)?;
        Ok(progress)
    }
}

impl Operator for Checked {
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(mode) = self.inputs.get(input).filter(|mode| mode.is_insert_only() || cfg!(debug_assertions))
            && let Some(kind) = other_kind(&batch, *mode)
        {
            if self.relies && mode.is_insert_only() {
                let message = format!("{} among rows that were only to be added: [{mode}]", kind.short_string());
                let error = Error::user(message).hint(
                    "A source gives other changes than its connector declares. Let it declare them, or drop what is no insert \
                     before it is read",
                );
                return Err(error.with("operator", &self.name));
            }
            self.is_fed_well = false;
        }
        self.then(context, |inner, context| inner.process_batch(input, batch, context))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then(context, |inner, context| inner.process_watermark(watermark, context))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.then(context, |inner, context| inner.on_processing_time(context))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.then(context, |inner, context| inner.resume(context))
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.then(context, |inner, context| inner.prepare_snapshot(context))
    }

    fn on_lookup(
        &mut self,
        id: u64,
        rows: RecordBatch,
        keys: &UInt32Array,
        context: &mut OperatorContext,
    ) -> Result<Progress> {
        self.then(context, |inner, context| inner.on_lookup(id, rows, keys, context))
    }

    fn awaiting(&self) -> Awaiting {
        self.inner.awaiting()
    }

    fn stores_what_waits(&self) -> bool {
        self.inner.stores_what_waits()
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        self.inner.snapshot_state()
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.inner.restore_state(state)
    }

    fn end_input(&mut self, input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.then(context, |inner, context| inner.end_input(input, context))
    }

    fn holds_output(&self) -> bool {
        self.inner.holds_output()
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        self.inner.next_event_time_timer()
    }
}
