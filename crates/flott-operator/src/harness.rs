//! Drives a chain of operators without a runtime, step by step and the same way every time: exchanges by key group,
//! watermarks per channel, timers, barriers, snapshots and restores at another parallelism.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use flott_core::key_group::{hash_rows, key_group, owner, range_of};
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::lookup::{Lookup, LookupRows, SubtaskInfo};
use flott_graph::{Node, OperatorSpec, Partitioning};
use flott_state::{OperatorSnapshot, RestoredRun, RestoredState, StateRun};

use crate::build::build;
use crate::operator::{Emission, LookupRequest, Operator, OperatorContext, Progress};

/// More calls of `resume` than this for one call are a loop.
const RESUMES_MAX: usize = 1_000_000;

/// One subtask of an operator.
struct Instance {
    operator: Box<dyn Operator>,
    /// Of a lookup join.
    lookup: Option<Box<dyn Lookup>>,
    /// What it has asked for.
    requests: Vec<LookupRequest>,
    context: OperatorContext,
    /// By input the last watermark of each subtask before it.
    channels: Vec<Vec<i64>>,
    watermark: i64,
}

/// The lookup of a lookup join.
fn lookup_of(node: &Node, index: usize, parallelism: usize) -> Result<Option<Box<dyn Lookup>>> {
    match &node.spec {
        OperatorSpec::LookupJoin(spec) => spec.source.create_lookup(SubtaskInfo { index, parallelism }).map(Some),
        _ => Ok(None),
    }
}

/// A future of a test's lookup, which waits for nothing.
fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    match work.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => Err(Error::internal("a lookup of the harness must not wait")),
    }
}

/// An operator, and how rows come to each of its inputs.
pub type StageNode = (Node, Vec<Partitioning>);

/// The subtasks of an operator.
struct Stage {
    node: Node,
    /// By input.
    partitionings: Vec<Partitioning>,
    instances: Vec<Instance>,
}

/// What travels between stages.
enum Item {
    Batch(ChangeBatch),
    Watermark(Watermark),
}

/// The state of a whole chain at a barrier.
#[derive(Debug, Clone)]
pub struct HarnessSnapshot {
    /// By stage: the watermark, and the subtasks' states.
    pub stages: Vec<(i64, Vec<OperatorSnapshot>)>,
    /// Processing time.
    pub processing_time_ms: i64,
}

/// Operators one behind another, each with as many subtasks as the chain's parallelism.
pub struct Harness {
    stages: Vec<Stage>,
    parallelism: usize,
    max_parallelism: u16,
    processing_time_ms: i64,
    /// Lookups are answered when [`Harness::answer_lookups`] is called, not at once.
    pub defers_lookups: bool,
    /// What has left by port 0, in order.
    pub output: Vec<ChangeBatch>,
    /// What has left the last operator by port 1.
    pub late: Vec<ChangeBatch>,
    /// Watermarks that have left, the least over the subtasks.
    pub watermarks: Vec<Watermark>,
    out_channels: Vec<i64>,
}

impl Harness {
    /// A chain, given how rows come to each operator.
    pub fn new(nodes: &[(Node, Partitioning)], parallelism: usize, max_parallelism: u16) -> Result<Harness> {
        let stages = nodes.iter().map(|(n, p)| (n.clone(), vec![p.clone()]));
        Harness::of_stages(&stages.collect::<Vec<_>>(), parallelism, max_parallelism)
    }

    /// A chain whose first operator may have several inputs, given how rows come to each input of each operator.
    pub fn of_stages(nodes: &[StageNode], parallelism: usize, max_parallelism: u16) -> Result<Harness> {
        let mut stages = vec![];
        for (node, partitionings) in nodes {
            let instances = (0..parallelism)
                .map(|subtask| {
                    Ok(Instance {
                        operator: build(node, subtask, parallelism, max_parallelism)?,
                        lookup: lookup_of(node, subtask, parallelism)?,
                        requests: vec![],
                        context: OperatorContext::default(),
                        channels: vec![vec![i64::MIN; parallelism]; partitionings.len()],
                        watermark: i64::MIN,
                    })
                })
                .collect::<Result<_>>()?;
            stages.push(Stage { node: node.clone(), partitionings: partitionings.clone(), instances });
        }
        Ok(Harness {
            stages,
            parallelism,
            max_parallelism,
            processing_time_ms: 0,
            defers_lookups: false,
            output: vec![],
            late: vec![],
            watermarks: vec![],
            out_channels: vec![i64::MIN; parallelism],
        })
    }

    /// The same chain from a snapshot, at any parallelism. What has been emitted before is not part of it.
    pub fn restore(
        nodes: &[(Node, Partitioning)],
        snapshot: &HarnessSnapshot,
        parallelism: usize,
        max_parallelism: u16,
    ) -> Result<Harness> {
        let stages = nodes.iter().map(|(n, p)| (n.clone(), vec![p.clone()]));
        Harness::restore_stages(&stages.collect::<Vec<_>>(), snapshot, parallelism, max_parallelism)
    }

    /// As [`Harness::restore`], for an operator with several inputs.
    pub fn restore_stages(
        nodes: &[StageNode],
        snapshot: &HarnessSnapshot,
        parallelism: usize,
        max_parallelism: u16,
    ) -> Result<Harness> {
        let mut harness = Harness::of_stages(nodes, parallelism, max_parallelism)?;
        harness.processing_time_ms = snapshot.processing_time_ms;
        for (stage, (watermark, states)) in harness.stages.iter_mut().zip(&snapshot.stages) {
            for (subtask, instance) in stage.instances.iter_mut().enumerate() {
                let own = range_of(subtask, parallelism, max_parallelism);
                let mut runs = vec![];
                for run in states.iter().flat_map(|s| &s.runs) {
                    let mine: Vec<bool> = run.key_groups()?.values().iter().map(|g| own.contains(g)).collect();
                    if mine.iter().all(|m| *m) {
                        runs.push(RestoredRun { run: Arc::clone(run) });
                    } else if mine.contains(&true) {
                        let rows = arrow_select::filter::filter_record_batch(run.rows()?, &BooleanArray::from(mine))?;
                        runs.push(RestoredRun { run: StateRun::seal(run.table.clone(), rows)? });
                    }
                }
                let version = states.iter().map(|s| s.version).max().unwrap_or(0);
                let metas = states.iter().map(|s| s.meta.clone()).collect();
                instance.operator.restore_state(RestoredState { version, metas, runs })?;
                instance.channels.iter_mut().for_each(|c| c.fill(*watermark));
                instance.watermark = *watermark;
                instance.context.watermark = (*watermark != i64::MIN).then_some(Watermark(*watermark));
            }
        }
        let time = harness.processing_time_ms;
        harness.set_processing_time(time)?;
        Ok(harness)
    }

    /// Rows from a subtask before the chain.
    pub fn process(&mut self, from: usize, batch: ChangeBatch) -> Result<()> {
        self.process_input(0, from, batch)
    }

    /// Rows for one input of the first operator.
    pub fn process_input(&mut self, input: usize, from: usize, batch: ChangeBatch) -> Result<()> {
        self.route(0, input, from % self.parallelism, vec![Item::Batch(batch)])
    }

    /// A watermark from a subtask before the chain.
    pub fn watermark(&mut self, from: usize, watermark: Watermark) -> Result<()> {
        let inputs = self.stages.first().map_or(0, |s| s.partitionings.len());
        (0..inputs).try_for_each(|input| self.watermark_input(input, from, watermark))
    }

    /// A watermark for one input of the first operator.
    pub fn watermark_input(&mut self, input: usize, from: usize, watermark: Watermark) -> Result<()> {
        self.route(0, input, from % self.parallelism, vec![Item::Watermark(watermark)])
    }

    /// A watermark from all subtasks before the chain.
    pub fn watermark_all(&mut self, watermark: Watermark) -> Result<()> {
        (0..self.parallelism).try_for_each(|from| self.watermark(from, watermark))
    }

    /// Processing time moves to this; timers that are due are called.
    pub fn set_processing_time(&mut self, ms: i64) -> Result<()> {
        self.processing_time_ms = ms;
        for stage in 0..self.stages.len() {
            for subtask in 0..self.parallelism {
                let timer = &mut self.stages[stage].instances[subtask].context.timer_ms;
                // An operator that was just restored has had no call in which to ask for a timer.
                if timer.is_none_or(|t| t <= ms) {
                    *timer = None;
                    self.call(stage, subtask, |o, c| o.on_processing_time(c))?;
                }
            }
        }
        Ok(())
    }

    /// Answers all lookups that are under way, the last or the first one first.
    pub fn answer_lookups(&mut self, last_first: bool) -> Result<()> {
        self.answer(last_first, |_| true)
    }

    fn answer(&mut self, last_first: bool, of: impl Fn(&dyn Operator) -> bool) -> Result<()> {
        for stage in 0..self.stages.len() {
            for subtask in 0..self.parallelism {
                if !of(self.stages[stage].instances[subtask].operator.as_ref()) {
                    continue;
                }
                loop {
                    let instance = &mut self.stages[stage].instances[subtask];
                    if instance.requests.is_empty() {
                        break;
                    }
                    let at = if last_first { instance.requests.len() - 1 } else { 0 };
                    let LookupRequest { id, keys } = instance.requests.remove(at);
                    let lookup =
                        instance.lookup.as_mut().ok_or_else(|| Error::internal("an operator without lookups asked"))?;
                    let LookupRows { rows, keys } = at_once(lookup.lookup(&keys))?;
                    self.call(stage, subtask, |o, c| o.on_lookup(id, rows, &keys, c))?;
                }
            }
        }
        Ok(())
    }

    /// A barrier: rows that are held back leave, then all state is sealed.
    pub fn snapshot(&mut self) -> Result<HarnessSnapshot> {
        self.answer(false, |operator| !operator.stores_what_waits())?;
        let mut stages = vec![];
        for stage in 0..self.stages.len() {
            for subtask in 0..self.parallelism {
                self.call(stage, subtask, |o, c| o.prepare_snapshot(c))?;
            }
            let instances = &mut self.stages[stage].instances;
            if let Some(i) = instances.iter().position(|i| i.operator.holds_output() && !i.operator.stores_what_waits())
            {
                return Err(Error::internal(format!("subtask {i} of stage {stage} holds rows back at a barrier")));
            }
            let watermark = instances.iter().map(|i| i.watermark).min().unwrap_or(i64::MIN);
            let states = instances.iter_mut().map(|i| i.operator.snapshot_state()).collect::<Result<_>>()?;
            stages.push((watermark, states));
        }
        Ok(HarnessSnapshot { stages, processing_time_ms: self.processing_time_ms })
    }

    /// The end of a bounded input: the last watermark, then the end.
    pub fn end_input(&mut self) -> Result<()> {
        self.watermark_all(Watermark::MAX)?;
        self.answer_lookups(false)?;
        for stage in 0..self.stages.len() {
            for subtask in 0..self.parallelism {
                for input in 0..self.stages[stage].partitionings.len() {
                    self.call(stage, subtask, |o, c| o.end_input(input, c))?;
                }
            }
        }
        Ok(())
    }

    /// Entries of state over all operators.
    pub fn state_rows(&self) -> u64 {
        self.stages.iter().flat_map(|s| &s.instances).map(|i| i.context.metrics.state_rows).sum()
    }

    /// Bytes of state over all operators, as they estimate them.
    pub fn state_bytes(&self) -> u64 {
        self.stages.iter().flat_map(|s| &s.instances).map(|i| i.context.metrics.state_bytes).sum()
    }

    /// Rows that came too late over all operators.
    pub fn late_records_dropped(&self) -> u64 {
        self.stages.iter().flat_map(|s| &s.instances).map(|i| i.context.metrics.late_records_dropped).sum()
    }

    /// What came out since the last time this was asked.
    pub fn take_output(&mut self) -> Vec<ChangeBatch> {
        std::mem::take(&mut self.output)
    }

    /// One call of an operator, and what follows from it.
    fn call(
        &mut self,
        stage: usize,
        subtask: usize,
        call: impl FnOnce(&mut dyn Operator, &mut OperatorContext) -> Result<Progress>,
    ) -> Result<()> {
        let now = self.processing_time_ms;
        let instance = &mut self.stages[stage].instances[subtask];
        instance.context.processing_time_ms = now;
        let mut progress = call(instance.operator.as_mut(), &mut instance.context)?;
        let mut resumes = 0;
        loop {
            let instance = &mut self.stages[stage].instances[subtask];
            let emissions = std::mem::take(&mut instance.context.emissions);
            let last = stage + 1 == self.stages.len();
            let mut items = vec![];
            for emission in emissions {
                match emission {
                    Emission::Batch { port: 0, batch } => items.push(Item::Batch(batch)),
                    Emission::Batch { batch, .. } if last => self.late.push(batch),
                    Emission::Batch { .. } => {}
                    Emission::Watermark(w) => items.push(Item::Watermark(w)),
                }
            }
            if last {
                for item in items {
                    match item {
                        Item::Batch(batch) => self.output.push(batch),
                        Item::Watermark(w) => {
                            let before = self.out_channels.iter().min().copied();
                            self.out_channels[subtask] = self.out_channels[subtask].max(w.0);
                            let after = self.out_channels.iter().min().copied();
                            self.watermarks.extend((after > before).then(|| Watermark(after.unwrap_or(i64::MIN))));
                        }
                    }
                }
            } else {
                self.route(stage + 1, 0, subtask, items)?;
            }
            let instance = &mut self.stages[stage].instances[subtask];
            instance.requests.append(&mut instance.context.requests);
            if progress == Progress::Done {
                if !instance.requests.is_empty() && !self.defers_lookups {
                    return self.answer_lookups(false);
                }
                return Ok(());
            }
            resumes += 1;
            if resumes > RESUMES_MAX {
                return Err(Error::internal(format!("stage {stage} never comes to an end")));
            }
            let instance = &mut self.stages[stage].instances[subtask];
            progress = instance.operator.resume(&mut instance.context)?;
        }
    }

    /// Items from a subtask to the subtasks of a stage.
    fn route(&mut self, stage: usize, input: usize, from: usize, items: Vec<Item>) -> Result<()> {
        for item in items {
            match item {
                Item::Batch(batch) => {
                    for (to, part) in self.split(stage, input, from, batch)? {
                        self.call(stage, to, |o, c| o.process_batch(input, part, c))?;
                    }
                }
                Item::Watermark(watermark) => {
                    let targets = match self.stages[stage].partitionings[input] {
                        Partitioning::Forward => from..from + 1,
                        _ => 0..self.parallelism,
                    };
                    for to in targets {
                        let Stage { partitionings, instances, .. } = &mut self.stages[stage];
                        let instance = &mut instances[to];
                        let channel = &mut instance.channels[input][from];
                        *channel = (*channel).max(watermark.0);
                        let least_of = |(input, channels): (usize, &Vec<i64>)| match partitionings[input] {
                            Partitioning::Forward => channels[to],
                            _ => channels.iter().copied().min().unwrap_or(i64::MIN),
                        };
                        let least = instance.channels.iter().enumerate().map(least_of).min().unwrap_or(i64::MIN);
                        if least > instance.watermark {
                            instance.watermark = least;
                            instance.context.watermark = Some(Watermark(least));
                            instance.context.arrived = instance.context.watermark;
                            self.call(stage, to, |o, c| o.process_watermark(Watermark(least), c))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn split(&self, stage: usize, input: usize, from: usize, batch: ChangeBatch) -> Result<Vec<(usize, ChangeBatch)>> {
        Ok(match &self.stages[stage].partitionings[input] {
            Partitioning::Forward => vec![(from, batch)],
            Partitioning::Rebalance => vec![((from + 1) % self.parallelism, batch)],
            Partitioning::Broadcast => (0..self.parallelism).map(|to| (to, batch.clone())).collect(),
            Partitioning::Singleton => vec![(0, batch)],
            Partitioning::Hash(keys) => {
                let columns: Vec<ArrayRef> = keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
                let mut hashes = vec![];
                hash_rows(&columns, batch.num_rows(), &mut hashes)?;
                let mut rows: Vec<Vec<u32>> = vec![vec![]; self.parallelism];
                for (row, hash) in hashes.iter().enumerate() {
                    let group = key_group(*hash, self.max_parallelism);
                    rows[owner(group, self.parallelism, self.max_parallelism)].push(row as u32);
                }
                let mut parts = vec![];
                for (to, rows) in rows.into_iter().enumerate().filter(|(_, r)| !r.is_empty()) {
                    parts.push((to, batch.take(&UInt32Array::from(rows))?));
                }
                parts
            }
        })
    }

    /// The operator's description, for messages of tests.
    pub fn name(&self, stage: usize) -> &str {
        self.stages.get(stage).map_or("", |s| s.node.name.as_str())
    }
}
