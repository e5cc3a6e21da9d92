//! The tasks of one attempt and its coordinator, which is the real one: what an attempt does without the outside.
//!
//! Tasks name checkpoints and files as if theirs were the only attempt, so that attempts that stand alike are alike.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::sink::Committable;
use flott_connector::source::SourceSplit;
use flott_core::CheckpointId;
use flott_graph::NodeId;
use flott_runtime::api::SplitState;

use super::works::{Restored, Works, own_name};
use super::world::{Output, Rows};
use super::{Budget, Config, OPERATOR, SOURCE, Sabotage, sink_node};
use crate::checkpoint::{CheckpointCoordinator, Collected, OperatorPart, Topology};

/// What travels from a source to the tasks behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Row(u8),
    Barrier(CheckpointId),
    End,
}

#[derive(Debug, Clone, Default, Hash)]
struct SinkTask {
    /// Items that it has read, of those that are still in the log.
    read: usize,
    open: Option<Rows>,
    closed: u8,
    ended: bool,
}

/// A source with its split, an operator that counts, and a writer for each sink.
#[derive(Debug, Clone, Default, Hash)]
struct Worker {
    position: u8,
    commands: VecDeque<CheckpointId>,
    /// What not every task has read.
    log: VecDeque<Item>,
    source_ended: bool,
    operator_read: usize,
    counted: u8,
    operator_ended: bool,
    /// It has closed the epoch with which the job is to end.
    stopped: bool,
    /// Counts at barriers, on their way to the store.
    writing: VecDeque<(CheckpointId, u8)>,
    sinks: Vec<SinkTask>,
}

/// A step of a task or of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Source `.0` emits `.1` rows, then the barrier that it was told of.
    Barrier(usize, u8),
    /// Source `.0` emits what is left and ends.
    End(usize),
    /// Operator `.0` reads up to the next barrier or the end.
    Operator(usize),
    /// The state of operator `.0` is stored.
    Stored(usize),
    /// Writer `.1` of worker `.0` reads up to the next barrier or the end.
    Sink(usize, usize),
    Trigger,
    TimeOut,
    /// A user wants the job to stop with a savepoint, which can be written or not.
    Stop {
        fails: bool,
    },
    /// The checkpoint with which it was to stop came to nothing: the next one.
    StopAgain,
    /// All tasks have ended.
    Finish,
}

/// What follows a complete checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    GoesOn,
    /// The job stops as a user has asked it to.
    Suspends,
    /// All input is read.
    Finishes,
}

/// The job is to end with this checkpoint or one that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stop {
    first: CheckpointId,
    /// The savepoint that was to come before cannot be written: the job goes on behind the checkpoint.
    fails: bool,
}

/// The tasks of an attempt, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    coordinator: CheckpointCoordinator,
    workers: Vec<Worker>,
    stop: Option<Stop>,
    /// The stop is taken back once the checkpoint is committed.
    resumes: bool,
    /// Closed since it was last asked.
    staged: Vec<(Output, Rows)>,
}

impl Step {
    /// The same of the other worker.
    fn of_other(self) -> Step {
        match self {
            Step::Barrier(w, rows) => Step::Barrier(1 - w, rows),
            Step::End(w) => Step::End(1 - w),
            Step::Operator(w) => Step::Operator(1 - w),
            Step::Stored(w) => Step::Stored(1 - w),
            Step::Sink(w, s) => Step::Sink(1 - w, s),
            Step::Trigger | Step::TimeOut | Step::Stop { .. } | Step::StopAgain | Step::Finish => self,
        }
    }
}

impl Tasks {
    pub(super) fn new(config: &Config, restored: &[Restored]) -> Tasks {
        let tasks = |node: NodeId| (0..config.workers).map(move |w| (node, w));
        let topology = Topology {
            sources: tasks(SOURCE).collect(),
            operators: tasks(OPERATOR).collect(),
            sinks: (0..config.sinks).flat_map(|s| tasks(sink_node(s))).collect(),
        };
        let worker = |r: &Restored| Worker {
            position: r.position,
            counted: r.counted,
            sinks: vec![SinkTask::default(); config.sinks],
            ..Worker::default()
        };
        Tasks {
            coordinator: CheckpointCoordinator::new(topology, CheckpointId(0)),
            workers: restored.iter().map(worker).collect(),
            stop: None,
            resumes: false,
            staged: vec![],
        }
    }

    pub(super) fn finalized(&mut self) {
        self.coordinator.finalized();
        if std::mem::take(&mut self.resumes) {
            self.resume();
        }
    }

    fn resume(&mut self) {
        self.stop = None;
        self.workers.iter_mut().for_each(|w| w.stopped = false);
    }

    pub(super) fn take_staged(&mut self) -> Vec<(Output, Rows)> {
        std::mem::take(&mut self.staged)
    }

    fn reading(&self) -> impl Iterator<Item = Step> {
        self.workers.iter().enumerate().flat_map(|(w, worker)| {
            let operator = (worker.operator_read < worker.log.len()).then_some(Step::Operator(w));
            let sinks = worker.sinks.iter().enumerate();
            let sinks =
                sinks.filter(move |(_, sink)| sink.read < worker.operator_read).map(move |(s, _)| Step::Sink(w, s));
            operator.into_iter().chain(sinks)
        })
    }

    fn stored(&self) -> impl Iterator<Item = Step> {
        self.workers.iter().enumerate().filter(|(_, w)| !w.writing.is_empty()).map(|(w, _)| Step::Stored(w))
    }

    /// All steps that can be taken. `home` is whether the store is: nothing is decided or committed at the moment.
    pub(super) fn steps(&self, config: &Config, budget: Budget, home: bool) -> Vec<Step> {
        let mut steps = vec![];
        for (w, worker) in self.workers.iter().enumerate().filter(|(_, worker)| !worker.source_ended) {
            if !worker.commands.is_empty() {
                steps.push(Step::Barrier(w, 0));
                if worker.position < config.rows && !worker.stopped {
                    steps.push(Step::Barrier(w, 1));
                }
            }
            if !worker.stopped {
                steps.push(Step::End(w));
            }
        }
        steps.extend(self.stored());
        steps.extend(self.reading());
        if home && self.coordinator.can_trigger() {
            if self.stop.is_some() {
                steps.push(Step::StopAgain);
            } else {
                steps.extend((budget.triggers > 0).then_some(Step::Trigger));
                steps.extend([true, false].into_iter().filter(|_| budget.stops > 0).map(|fails| Step::Stop { fails }));
            }
        }
        if budget.time_outs > 0 && self.coordinator.pending().is_some() {
            steps.push(Step::TimeOut);
        }
        if home && self.all_ended() {
            steps.push(Step::Finish);
        }
        steps
    }

    /// A step that nothing else can disturb and that disturbs nothing else: a report that does not complete the checkpoint
    /// under way. Before and after it the checkpoint can time out, or the job end, with the same result: what a writer has
    /// prepared is carried, everything else is dropped.
    fn undisturbed(&self, config: &Config) -> Option<Step> {
        let is_under_way = self.coordinator.pending().is_some();
        let is_quiet = |step: &Step| !is_under_way || self.clone().take(config, *step, true).is_none();
        self.reading().chain(self.stored()).find(is_quiet)
    }

    fn some_steps(&self, config: &Config, budget: Budget) -> Vec<Step> {
        match self.undisturbed(config) {
            Some(step) => vec![step],
            None => self.steps(config, budget, true),
        }
    }

    fn all_ended(&self) -> bool {
        self.workers.iter().all(|w| w.source_ended && w.operator_ended && w.sinks.iter().all(|s| s.ended))
    }

    /// Takes a step; gives what is complete then, and whether it is the end of the job.
    pub(super) fn take(&mut self, config: &Config, step: Step, home: bool) -> Option<(Collected, End)> {
        match step {
            Step::Barrier(w, rows) => self.barrier(config, w, rows),
            Step::End(w) => {
                let worker = &mut self.workers[w];
                while worker.position < config.rows {
                    worker.emit();
                }
                worker.log.push_back(Item::End);
                worker.source_ended = true;
                worker.commands.clear();
                self.coordinator.task_ended((SOURCE, w));
            }
            Step::Operator(w) => self.operator(w),
            Step::Stored(w) => {
                if let Some((checkpoint, counted)) = self.workers[w].writing.pop_front() {
                    let meta = counted.to_string().into_bytes();
                    let part = OperatorPart { watermark_ms: w as i64, version: 1, meta, runs: vec![] };
                    self.coordinator.operator_stored(checkpoint, (OPERATOR, w), part);
                }
            }
            Step::Sink(w, s) => self.sink(w, s),
            Step::Trigger | Step::StopAgain => drop(self.trigger()),
            Step::Stop { fails } => {
                let first = self.trigger();
                self.stop = Some(Stop { first, fails });
            }
            Step::TimeOut => {
                self.coordinator.abort();
                if config.sabotage == Some(Sabotage::ForgetsAbortedOutput) {
                    drop(self.coordinator.take_undecided());
                }
                if self.stop.is_some_and(|stop| stop.fails) {
                    self.resume();
                }
            }
            Step::Finish => return Some((self.coordinator.take_final(), End::Finishes)),
        }
        self.workers.iter_mut().for_each(Worker::forget);
        if !home {
            return None;
        }
        let collected = self.coordinator.take_complete()?;
        let end = match self.stop {
            Some(stop) if collected.checkpoint >= Some(stop.first) => {
                self.resumes = stop.fails;
                if stop.fails { End::GoesOn } else { End::Suspends }
            }
            _ => End::GoesOn,
        };
        Some((collected, end))
    }

    fn trigger(&mut self) -> CheckpointId {
        let checkpoint = self.coordinator.trigger();
        self.coordinator.set_enumerators(BTreeMap::new());
        for worker in self.workers.iter_mut().filter(|w| !w.source_ended) {
            worker.commands.push_back(checkpoint);
        }
        checkpoint
    }

    fn barrier(&mut self, config: &Config, w: usize, rows: u8) {
        let worker = &mut self.workers[w];
        for _ in 0..rows {
            worker.emit();
        }
        let Some(checkpoint) = worker.commands.pop_front() else { return };
        worker.log.push_back(Item::Barrier(checkpoint));
        worker.stopped = self.stop.is_some_and(|stop| checkpoint >= stop.first);
        let ahead = u8::from(config.sabotage == Some(Sabotage::ReportsPositionsBehindTheBarrier));
        let position = (worker.position + ahead).to_string().into_bytes();
        let split = SourceSplit { id: w.to_string(), data: Versioned::new(1, position) };
        self.coordinator.source_snapshot(checkpoint, (SOURCE, w), vec![SplitState { split, watermark_ms: 0 }]);
    }

    fn operator(&mut self, w: usize) {
        let worker = &mut self.workers[w];
        while let Some(item) = worker.log.get(worker.operator_read).copied() {
            worker.operator_read += 1;
            match item {
                Item::Row(_) => worker.counted += 1,
                Item::Barrier(checkpoint) => {
                    worker.writing.push_back((checkpoint, worker.counted));
                    return self.coordinator.operator_snapshot(checkpoint, (OPERATOR, w));
                }
                Item::End => {
                    worker.operator_ended = true;
                    return self.coordinator.task_ended((OPERATOR, w));
                }
            }
        }
    }

    fn sink(&mut self, w: usize, s: usize) {
        let worker = &mut self.workers[w];
        let sink = &mut worker.sinks[s];
        while let Some(item) = worker.log.get(sink.read).copied() {
            sink.read += 1;
            let checkpoint = match item {
                Item::Row(row) => {
                    let (from, _) = sink.open.unwrap_or((row, row));
                    sink.open = Some((from, row + 1));
                    continue;
                }
                Item::Barrier(checkpoint) => Some(checkpoint),
                Item::End => None,
            };
            sink.ended = checkpoint.is_none();
            let mut committables = vec![];
            if let Some(rows) = sink.open.take() {
                let output = Output { sink: s as u8, generation: 0, worker: w as u8, number: sink.closed };
                self.staged.push((output, rows));
                committables.push(Committable { id: own_name(w, sink.closed), data: Versioned::default() });
                sink.closed += 1;
            }
            return self.coordinator.sink_prepared(checkpoint, (sink_node(s), w), committables, vec![]);
        }
    }

    fn fingerprint(&self) -> u128 {
        let mut print = Fingerprint::default();
        self.coordinator.hash_all(&mut print);
        (&self.workers, self.stop, self.resumes, &self.staged).hash(&mut print);
        print.finish()
    }
}

impl Worker {
    fn emit(&mut self) {
        self.log.push_back(Item::Row(self.position));
        self.position += 1;
    }

    fn forget(&mut self) {
        let read = self.sinks.iter().map(|s| s.read).min().unwrap_or(0).min(self.operator_read);
        drop(self.log.drain(..read));
        self.operator_read -= read;
        self.sinks.iter_mut().for_each(|s| s.read -= read);
    }
}

/// 128 bits of whatever is hashed: two lanes that take the same words and multiply them with different odd numbers, the
/// product folded. Of a hundred million states two look alike with a chance of less than one in 10^20.
pub(super) struct Fingerprint {
    lanes: [u64; 2],
}

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint { lanes: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344] }
    }
}

impl Fingerprint {
    #[inline]
    fn mix(&mut self, word: u64) {
        let fold = |lane: u64, with: u64| {
            let product = u128::from(lane ^ word) * u128::from(with);
            (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(29)
        };
        self.lanes =
            [fold(self.lanes[0], 0x9e37_79b9_7f4a_7c15), fold(self.lanes[1].rotate_left(17), 0xd1b5_4a32_d192_ed03)];
    }

    pub(super) fn finish(mut self) -> u128 {
        // The last word is in few bits of a lane so far.
        self.mix(0xa409_3822_299f_31d0);
        self.mix(0x082e_fa98_ec4e_6c89);
        (u128::from(self.lanes[0]) << 64) | u128::from(self.lanes[1])
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        // With their number, so that zeroes count.
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, i: u8) {
        self.mix(u64::from(i));
    }

    fn write_u32(&mut self, i: u32) {
        self.mix(u64::from(i));
    }

    fn write_u64(&mut self, i: u64) {
        self.mix(i);
    }

    fn write_usize(&mut self, i: usize) {
        self.mix(i as u64);
    }

    fn finish(&self) -> u64 {
        self.lanes[0] ^ self.lanes[1]
    }
}

/// A way in which tasks go on up to the next complete checkpoint or the end of the job.
pub(super) struct Way {
    /// For people.
    pub(super) steps: Vec<Step>,
    pub(super) collected: u32,
    pub(super) end: End,
    pub(super) tasks: u32,
    pub(super) staged: Vec<(Output, Rows)>,
    pub(super) budget: Budget,
}

/// All tasks that were ever seen, and all ways in which each of them can go on.
pub(super) struct AllTasks {
    config: Arc<Config>,
    all: Vec<Rc<Tasks>>,
    numbers: HashMap<u128, u32>,
    ways: HashMap<(u32, Budget), Rc<[Way]>>,
    unlike: HashMap<(u32, Budget), Rc<[usize]>>,
    /// States of tasks on all ways.
    pub(super) seen: usize,
}

struct Complete {
    steps: Vec<Step>,
    collected: u32,
    end: End,
    tasks: Tasks,
    budget: Budget,
}

impl AllTasks {
    pub(super) fn new(config: &Arc<Config>) -> AllTasks {
        AllTasks {
            config: Arc::clone(config),
            all: vec![],
            numbers: HashMap::new(),
            ways: HashMap::new(),
            unlike: HashMap::new(),
            seen: 0,
        }
    }

    pub(super) fn get(&self, number: u32) -> &Rc<Tasks> {
        &self.all[number as usize]
    }

    /// Where nobody has done anything yet.
    pub(super) fn first(&mut self) -> u32 {
        let first = Tasks::new(&self.config, &vec![Restored::default(); self.config.workers]);
        self.number(first)
    }

    pub(super) fn number(&mut self, tasks: Tasks) -> u32 {
        let all = &mut self.all;
        *self.numbers.entry(tasks.fingerprint()).or_insert_with(|| {
            all.push(Rc::new(tasks));
            all.len() as u32 - 1
        })
    }

    /// Every way to go on. The error is that there is none from somewhere.
    pub(super) fn ways(&mut self, works: &mut Works, tasks: u32, budget: Budget) -> Result<Rc<[Way]>, String> {
        if let Some(ways) = self.ways.get(&(tasks, budget)) {
            return Ok(Rc::clone(ways));
        }
        let complete = self.search(works, Tasks::clone(self.get(tasks)), budget)?;
        let complete = self.without_late_ones(complete);
        let mut ways = vec![];
        for Complete { steps, collected, end, mut tasks, budget } in complete {
            let staged = tasks.take_staged();
            ways.push(Way { steps, collected, end, tasks: self.number(tasks), staged, budget });
        }
        let ways: Rc<[Way]> = ways.into();
        self.ways.insert((tasks, budget), Rc::clone(&ways));
        Ok(ways)
    }

    /// The ways without those that are another one with two workers that have changed places, from tasks that do not tell
    /// their workers apart. (Sinks are no such twins: they are committed one after the other.)
    pub(super) fn unlike_ways(&mut self, works: &mut Works, tasks: u32, budget: Budget) -> Result<Rc<[usize]>, String> {
        let ways = self.ways(works, tasks, budget)?;
        if self.config.workers != 2 {
            return Ok((0..ways.len()).collect());
        }
        if let Some(unlike) = self.unlike.get(&(tasks, budget)) {
            return Ok(Rc::clone(unlike));
        }
        let config = Arc::clone(&self.config);
        let print = |way: &Way, change: fn(Step) -> Step| {
            let mut tasks = Tasks::clone(self.get(tasks));
            let mut complete = None;
            for step in &way.steps {
                let home = complete.is_none();
                complete = tasks.take(&config, change(*step), home).or(complete);
            }
            tasks.coordinator.sort_committables();
            let mut collected = complete.map(|(collected, _)| collected).unwrap_or_default();
            collected.committables.values_mut().for_each(|c| c.sort_by(|a, b| a.id.cmp(&b.id)));
            tasks.staged.sort();
            (format!("{collected:?}"), way.end, way.budget, tasks.fingerprint())
        };
        let mut first = HashMap::new();
        let mut unlike = vec![];
        for (i, way) in ways.iter().enumerate() {
            first.entry(print(way, |step| step)).or_insert(i);
            // Its twin is there already: what can follow is the same, with the workers' places changed.
            if first.get(&print(way, Step::of_other)).is_none_or(|twin| *twin >= i) {
                unlike.push(i);
            }
        }
        let unlike: Rc<[usize]> = unlike.into();
        self.unlike.insert((tasks, budget), Rc::clone(&unlike));
        Ok(unlike)
    }

    fn search(&mut self, works: &mut Works, from: Tasks, budget: Budget) -> Result<Vec<Complete>, String> {
        let config = Arc::clone(&self.config);
        let mut seen = HashSet::from([(from.fingerprint(), budget)]);
        let mut seen_complete = HashSet::new();
        let mut complete = vec![];
        let mut open = vec![(from, budget, vec![])];
        while let Some((tasks, budget, way)) = open.pop() {
            let steps = tasks.some_steps(&config, budget);
            if steps.is_empty() {
                return Err(format!("the job can neither go on nor finish, after {way:?}"));
            }
            for step in steps {
                let (mut tasks, budget, mut way) = (tasks.clone(), budget.after(step), way.clone());
                way.push(step);
                match tasks.take(&config, step, true) {
                    None => {
                        if seen.insert((tasks.fingerprint(), budget)) {
                            open.push((tasks, budget, way));
                        }
                    }
                    Some((collected, end)) => {
                        // What is left to read is read meanwhile.
                        while let Some(step) = tasks.undisturbed(&config) {
                            tasks.take(&config, step, false);
                            way.push(step);
                        }
                        let collected = works.collected(collected);
                        if seen_complete.insert((collected, end, budget, tasks.fingerprint())) {
                            complete.push(Complete { steps: way, collected, end, tasks, budget });
                        }
                    }
                }
            }
        }
        self.seen += seen.len();
        Ok(complete)
    }

    /// Leaves out those that another one reaches while its checkpoint is being decided and committed.
    fn without_late_ones(&self, complete: Vec<Complete>) -> Vec<Complete> {
        let key = |c: &Complete| (c.collected, c.end, c.budget);
        let mut late = HashSet::new();
        let mut alike: HashMap<_, usize> = HashMap::new();
        complete.iter().for_each(|c| *alike.entry(key(c)).or_default() += 1);
        for c in complete.iter().filter(|c| alike[&key(c)] > 1) {
            let mut open = vec![c.tasks.clone()];
            let mut seen = HashSet::from([c.tasks.fingerprint()]);
            while let Some(tasks) = open.pop() {
                let next = tasks.undisturbed(&self.config).map(|s| vec![s]);
                for step in next.unwrap_or_else(|| tasks.steps(&self.config, Budget::default(), false)) {
                    let mut tasks = tasks.clone();
                    tasks.take(&self.config, step, false);
                    let print = tasks.fingerprint();
                    if seen.insert(print) {
                        late.insert((key(c), print));
                        open.push(tasks);
                    }
                }
            }
        }
        complete.into_iter().filter(|c| !late.contains(&(key(c), c.tasks.fingerprint()))).collect()
    }
}

mod tests {
    use super::*;

    /// Two steps; what is complete then, and how the tasks stand.
    fn both(config: &Config, tasks: &Tasks, steps: [Step; 2]) -> String {
        let (mut tasks, mut home, mut complete) = (tasks.clone(), true, vec![]);
        for step in steps {
            if let Some(collected) = tasks.take(config, step, home) {
                complete.push(collected);
                home = false;
            }
        }
        tasks.staged.sort();
        tasks.coordinator.sort_committables();
        for (collected, _) in &mut complete {
            collected.committables.values_mut().for_each(|c| c.sort_by(|a, b| a.id.cmp(&b.id)));
        }
        format!("{complete:?} {tasks:?}")
    }

    /// The reduction is sound as long as the coordinator does not tell such orders apart, but for the order in which a
    /// manifest names a sink's files.
    #[test]
    fn steps_that_are_not_branched_on_commute_with_all_others() {
        for (workers, sinks, epochs, stops) in [(1, 2, 2, 0), (2, 1, 1, 0), (1, 1, 1, 1)] {
            let config = Config::new(workers, sinks, epochs, 0);
            let first = Tasks::new(&config, &vec![Restored::default(); workers]);
            let budget = Budget { triggers: config.epochs, time_outs: config.time_outs, stops };
            let mut seen = HashSet::from([(first.fingerprint(), budget)]);
            let mut open = vec![(first, budget)];
            let mut pairs = 0;
            while let Some((tasks, budget)) = open.pop() {
                let steps = tasks.steps(&config, budget, true);
                if let Some(quiet) = tasks.undisturbed(&config) {
                    for other in steps.iter().copied().filter(|s| *s != quiet) {
                        let orders = [[quiet, other], [other, quiet]].map(|order| both(&config, &tasks, order));
                        assert_eq!(orders[0], orders[1], "{quiet:?} and {other:?} of {tasks:#?}");
                        pairs += 1;
                    }
                }
                for step in steps {
                    let (mut tasks, budget) = (tasks.clone(), budget.after(step));
                    if let Some((_, end)) = tasks.take(&config, step, true) {
                        if end != End::GoesOn {
                            continue;
                        }
                        // As if it were committed at once.
                        tasks.finalized();
                    }
                    tasks.staged.clear();
                    if seen.insert((tasks.fingerprint(), budget)) {
                        open.push((tasks, budget));
                    }
                }
            }
            assert!(pairs > 500, "{pairs}");
        }
    }
}
