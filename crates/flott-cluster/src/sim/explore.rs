//! Everything at one moment, what can happen next, and the searches.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use flott_core::rng::Rng;
use flott_state::manifest::JobStatus;

use super::tasks::{AllTasks, End, Fingerprint, Step, Tasks};
use super::works::{At, Input, Outcome, Works};
use super::world::{Operation, Said, Unless, World};
use super::{Budget, Config, Sabotage};

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// Nothing happens, and an error says so.
    Failed,
    /// It happens, but the answer is an error.
    AnswerLost,
    /// The answer is an error, and it happens later.
    Late,
}

/// What happens next. Attempts are told by their place: sleepers first, then the one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The operation at which an attempt waits.
    Operation(usize, Verdict),
    /// An attempt's tasks go on in this way to the next complete checkpoint.
    Way(usize, usize),
    /// A single step of an attempt's tasks.
    Step(usize, Step),
    /// The running process dies; the next one starts.
    Kill,
    /// The running process is stopped and taken for dead; the next one starts.
    Stop,
    /// A late write arrives.
    Arrives(usize),
}

/// An attempt, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Attempt {
    number: u8,
    /// 0 until it has opened.
    generation: u8,
    base: u8,
    tasks: u32,
    work: Work,
    /// It was stopped: once its work is done it does nothing more.
    frozen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    /// Nothing is under way; the store is at hand.
    None(u32),
    /// At a node of [`Works`].
    At(u32),
}

/// Everything that is the same in all states.
pub(super) struct Lab {
    config: Arc<Config>,
    pub(super) works: Works,
    pub(super) tasks: AllTasks,
    head: u32,
    /// Tasks take single steps, by chance; otherwise all ways are looked at as one step each.
    single_steps: bool,
}

impl Lab {
    pub(super) fn new(config: &Config, single_steps: bool) -> Lab {
        let config = Arc::new(config.clone());
        let mut works = Works::new(&config);
        let head = works.tables.names.number("job/HEAD".to_string());
        Lab { tasks: AllTasks::new(&config), config, works, head, single_steps }
    }
}

/// Everything else. Numbers are of the [`Lab`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    world: World,
    sleepers: Vec<Attempt>,
    running: Option<Attempt>,
    budget: Budget,
    crashes: u8,
    stops: u8,
    faults: u8,
    finished: bool,
}

impl State {
    pub(super) fn new(lab: &mut Lab) -> State {
        let config = Arc::clone(&lab.config);
        let mut state = State {
            world: World::new(config.workers, config.sinks),
            sleepers: vec![],
            running: None,
            budget: Budget { triggers: config.epochs, time_outs: config.time_outs, stops: config.stops },
            crashes: config.crashes,
            stops: config.sleepers,
            faults: config.faults,
            finished: false,
        };
        state.start(lab, None);
        state
    }

    fn attempt(&self, who: usize) -> Option<&Attempt> {
        self.sleepers.get(who).or(self.running.as_ref().filter(|_| who == self.sleepers.len()))
    }

    fn attempt_mut(&mut self, who: usize) -> Option<&mut Attempt> {
        let n = self.sleepers.len();
        if who < n { self.sleepers.get_mut(who) } else { self.running.as_mut().filter(|_| who == n) }
    }

    /// A new attempt, in the process that has this right or in a new one.
    fn start(&mut self, lab: &mut Lab, tenure: Option<u32>) {
        let is_taken = |n: u8| {
            self.sleepers.iter().any(|s| s.number == n) || self.world.late.iter().any(|(_, sender)| *sender == n)
        };
        let number = (0..).find(|n| !is_taken(*n)).unwrap_or(u8::MAX);
        let work = Work::At(lab.works.begin(Input::Open { number, tenure }));
        self.running = Some(Attempt { number, generation: 0, base: 0, tasks: 0, work, frozen: false });
    }

    /// All that can happen next. The error is that nothing can.
    pub(super) fn actions(&self, lab: &mut Lab) -> Result<Vec<Action>, String> {
        if let Some(refused) = self.refused_for_ever(lab) {
            return Ok(vec![refused]);
        }
        let mut actions = vec![];
        for who in 0..=self.sleepers.len() {
            let Some(attempt) = self.attempt(who) else { continue };
            match attempt.work {
                Work::At(node) => {
                    let At::Asks(operation) = *lab.works.at(node) else { continue };
                    self.add_operation(&mut actions, who, operation);
                    if lab.single_steps && !attempt.frozen && attempt.generation > 0 {
                        let steps = lab.tasks.get(attempt.tasks).steps(&lab.config, self.budget, false);
                        actions.extend(steps.into_iter().map(|s| Action::Step(who, s)));
                    }
                }
                Work::None(_) if lab.single_steps => {
                    let steps = lab.tasks.get(attempt.tasks).steps(&lab.config, self.budget, true);
                    if steps.is_empty() {
                        return Err("the job can neither go on nor finish".to_string());
                    }
                    actions.extend(steps.into_iter().map(|s| Action::Step(who, s)));
                }
                Work::None(_) if self.is_untouched(lab, attempt) => {
                    let ways = lab.tasks.unlike_ways(&mut lab.works, attempt.tasks, self.budget)?;
                    actions.extend(ways.iter().map(|way| Action::Way(who, *way)));
                }
                Work::None(_) => {
                    let ways = lab.tasks.ways(&mut lab.works, attempt.tasks, self.budget)?;
                    actions.extend((0..ways.len()).map(|way| Action::Way(who, way)));
                }
            }
        }
        if let Some(running) = &self.running
            && self.crashes > 0
            && self.would_be_missed(lab, running)
        {
            actions.push(Action::Kill);
            if self.stops > 0 && (matches!(running.work, Work::At(_)) || lab.config.sleepers_go_on) {
                actions.push(Action::Stop);
            }
        }
        actions.extend((0..self.world.late.len()).map(Action::Arrives));
        Ok(actions)
    }

    /// Nothing outside tells the workers apart.
    fn is_untouched(&self, lab: &mut Lab, attempt: &Attempt) -> bool {
        self.sleepers.is_empty() && attempt.tasks == lab.tasks.first() && self.world.is_untouched(lab.head)
    }

    /// A sleeper's swap of a HEAD that is not what it has read. HEAD never becomes again what it was, so that it is refused
    /// whenever it comes and changes nothing: it is looked at once, now, and not beside all that others can do meanwhile.
    fn refused_for_ever(&self, lab: &Lab) -> Option<Action> {
        if lab.single_steps || self.faults > 0 || !self.world.late.is_empty() {
            return None;
        }
        let is_refused = |sleeper: &Attempt| {
            let Work::At(node) = sleeper.work else { return false };
            let At::Asks(Operation::Put(name, _, Unless::Is(read))) = *lab.works.at(node) else { return false };
            name == lab.head && self.world.file(name).is_some_and(|now| now != read)
        };
        self.sleepers.iter().position(is_refused).map(|who| Action::Operation(who, Verdict::Done))
    }

    fn add_operation(&self, actions: &mut Vec<Action>, who: usize, operation: Operation) {
        actions.push(Action::Operation(who, Verdict::Done));
        if self.faults > 0 {
            actions.push(Action::Operation(who, Verdict::Failed));
            if !operation.is_read() {
                actions.push(Action::Operation(who, Verdict::AnswerLost));
                actions.push(Action::Operation(who, Verdict::Late));
            }
        }
    }

    /// Whether its death would make a difference: not before it has written anything, since the next one would stand where
    /// it stands.
    fn would_be_missed(&self, lab: &Lab, running: &Attempt) -> bool {
        match running.work {
            Work::At(node) => running.generation > 0 || lab.works.has_written(node),
            Work::None(_) => true,
        }
    }

    /// What happens. The error is something that must not.
    pub(super) fn take(&mut self, lab: &mut Lab, action: Action) -> Result<(), String> {
        match action {
            Action::Kill => {
                self.crashes -= 1;
                self.running = None;
            }
            Action::Stop => {
                self.crashes -= 1;
                self.stops -= 1;
                if let Some(mut sleeper) = self.running.take() {
                    sleeper.frozen = !lab.config.sleepers_go_on;
                    self.sleepers.push(sleeper);
                }
            }
            Action::Arrives(i) => {
                let (operation, _) = self.world.late.remove(i);
                self.world.apply(operation, &mut lab.works.tables, lab.config.sabotage)?;
            }
            Action::Operation(who, verdict) => self.operate(lab, who, verdict)?,
            Action::Way(who, way) => self.go_a_way(lab, who, way)?,
            Action::Step(who, step) => self.step(lab, who, step)?,
        }
        self.go_on(lab)
    }

    /// What follows by itself.
    fn go_on(&mut self, lab: &mut Lab) -> Result<(), String> {
        if self.running.is_none() && !self.finished {
            if self.has_finished(lab) {
                self.finish(lab)?;
            } else {
                self.start(lab, None);
            }
        }
        // Where nobody else can change anything and nothing fails, a look is no step of its own.
        while self.sleepers.is_empty() && self.faults == 0 && self.world.late.is_empty() {
            let Some(Work::At(node)) = self.running.as_ref().map(|r| r.work) else { break };
            if !matches!(lab.works.at(node), At::Asks(operation) if operation.is_read()) {
                break;
            }
            self.operate(lab, 0, Verdict::Done)?;
            if self.running.is_none() {
                return self.go_on(lab);
            }
        }
        // One that opens, and does not know that another one has taken over, may still commit what is long retired.
        let was_nobody_stopped = self.stops == lab.config.sleepers;
        let living = self.running.as_ref().map_or(0, |a| a.generation);
        if self.sleepers.is_empty() && (was_nobody_stopped || living > 0) {
            self.world.forget(living, &lab.works.tables);
        }
        Ok(())
    }

    fn has_finished(&self, lab: &Lab) -> bool {
        let head = self.world.file(lab.head);
        head.is_some_and(|h| lab.works.tables.known(h).status == Some(JobStatus::Finished))
    }

    fn finish(&mut self, lab: &Lab) -> Result<(), String> {
        self.finished = true;
        self.world.check_end(lab.config.rows)
    }

    fn operate(&mut self, lab: &mut Lab, who: usize, verdict: Verdict) -> Result<(), String> {
        let Some(attempt) = self.attempt(who) else { return Ok(()) };
        let Work::At(node) = attempt.work else { return Ok(()) };
        let At::Asks(operation) = *lab.works.at(node) else { return Ok(()) };
        if verdict != Verdict::Done {
            self.faults -= 1;
        }
        let number = self.attempt(who).map_or(0, |a| a.number);
        let said = match verdict {
            Verdict::Done => self.world.apply(operation, &mut lab.works.tables, lab.config.sabotage)?,
            Verdict::Failed => Said::Away,
            Verdict::AnswerLost => {
                self.world.apply(operation, &mut lab.works.tables, lab.config.sabotage)?;
                Said::Away
            }
            Verdict::Late => {
                self.world.late.push((operation, number));
                self.world.late.sort();
                Said::Away
            }
        };
        let node = lab.works.go_on(node, said);
        if let Some(attempt) = self.attempt_mut(who) {
            attempt.work = Work::At(node);
        }
        if let At::Done(outcome) = lab.works.at(node) {
            let outcome = Rc::clone(outcome);
            self.done(lab, who, &outcome)?;
        }
        Ok(())
    }

    fn remove(&mut self, who: usize) {
        if who < self.sleepers.len() {
            self.sleepers.remove(who);
        } else {
            self.running = None;
        }
    }

    fn done(&mut self, lab: &mut Lab, who: usize, outcome: &Outcome) -> Result<(), String> {
        let Some(attempt) = self.attempt(who) else { return Ok(()) };
        let frozen = attempt.frozen;
        match outcome {
            Outcome::Opened { store, generation, next, restored } => {
                for (w, r) in restored.iter().enumerate() {
                    if r.counted != r.position {
                        return Err(format!(
                            "restored a count of {} for position {} of split {w}",
                            r.counted, r.position
                        ));
                    }
                    // What one reads that has been taken for dead meanwhile is never decided.
                    let gone = self.world.acknowledged[w];
                    if r.position < gone && who == self.sleepers.len() {
                        return Err(format!("split {w} goes on from {}, its rows up to {gone} are gone", r.position));
                    }
                }
                let tasks = lab.tasks.number(Tasks::new(&lab.config, restored));
                let work = Work::None(*store);
                if let Some(attempt) = self.attempt_mut(who) {
                    *attempt = Attempt { generation: *generation, base: *next, tasks, work, ..attempt.clone() };
                }
            }
            Outcome::Finalized { store, positions, end } => {
                let mut tasks = Tasks::clone(lab.tasks.get(attempt.tasks));
                tasks.finalized();
                let tasks = lab.tasks.number(tasks);
                for (w, position) in positions.iter().enumerate() {
                    self.world.acknowledge(w, position.unwrap_or(0));
                }
                if let Some(attempt) = self.attempt_mut(who) {
                    (attempt.work, attempt.tasks) = (Work::None(*store), tasks);
                }
                match end {
                    End::GoesOn => {}
                    End::Suspends => {
                        // Somebody starts it again.
                        self.remove(who);
                        return Ok(());
                    }
                    End::Finishes => {
                        self.remove(who);
                        return self.finish(lab);
                    }
                }
            }
            Outcome::Failed { tenure, is_fenced } => {
                let is_running = who == self.sleepers.len();
                // Nobody else has ever run beside it.
                let was_nobody_stopped = self.stops == lab.config.sleepers;
                if is_running && *is_fenced && was_nobody_stopped && !self.has_finished(lab) {
                    return Err("the only attempt is told that another one has taken over".to_string());
                }
                self.remove(who);
                if is_running && !self.finished && !self.has_finished(lab) {
                    self.start(lab, *tenure);
                }
                return Ok(());
            }
        }
        if frozen {
            self.remove(who);
        }
        Ok(())
    }

    fn go_a_way(&mut self, lab: &mut Lab, who: usize, way: usize) -> Result<(), String> {
        let Some(tasks) = self.attempt(who).map(|a| a.tasks) else { return Ok(()) };
        let ways = lab.tasks.ways(&mut lab.works, tasks, self.budget)?;
        let way = &ways[way];
        self.budget = way.budget;
        if let Some(attempt) = self.attempt_mut(who) {
            attempt.tasks = way.tasks;
        }
        self.stage(who, &way.staged)?;
        self.finalize(lab, who, way.collected, way.end)
    }

    fn step(&mut self, lab: &mut Lab, who: usize, step: Step) -> Result<(), String> {
        let Some(attempt) = self.attempt(who) else { return Ok(()) };
        let home = matches!(attempt.work, Work::None(_));
        let mut tasks = Tasks::clone(lab.tasks.get(attempt.tasks));
        self.budget = self.budget.after(step);
        let complete = tasks.take(&lab.config, step, home);
        let staged = tasks.take_staged();
        let tasks = lab.tasks.number(tasks);
        if let Some(attempt) = self.attempt_mut(who) {
            attempt.tasks = tasks;
        }
        self.stage(who, &staged)?;
        match complete {
            None => Ok(()),
            Some((collected, end)) => {
                let collected = lab.works.collected(collected);
                self.finalize(lab, who, collected, end)
            }
        }
    }

    fn stage(&mut self, who: usize, staged: &[(super::world::Output, super::world::Rows)]) -> Result<(), String> {
        let generation = self.attempt(who).map_or(0, |a| a.generation);
        for (output, rows) in staged {
            self.world.stage(super::world::Output { generation, ..*output }, *rows)?;
        }
        Ok(())
    }

    fn finalize(&mut self, lab: &mut Lab, who: usize, collected: u32, end: End) -> Result<(), String> {
        if lab.config.sabotage == Some(Sabotage::AcknowledgesBeforeTheDecision) {
            for (w, position) in lab.works.positions(collected) {
                self.world.acknowledge(w, position);
            }
        }
        let Some(attempt) = self.attempt_mut(who) else { return Ok(()) };
        let Work::None(store) = attempt.work else { return Ok(()) };
        attempt.work = Work::At(lab.works.begin(Input::Finalize { store, base: attempt.base, collected, end }));
        Ok(())
    }

    fn describe(&self, lab: &mut Lab, action: Action) -> String {
        let described = match action {
            Action::Operation(who, _) => match self.attempt(who).map(|a| a.work) {
                Some(Work::At(node)) => format!("{:?}", lab.works.at(node)),
                _ => String::new(),
            },
            Action::Way(who, way) => {
                match self.attempt(who).map(|a| lab.tasks.ways(&mut lab.works, a.tasks, self.budget)) {
                    Some(Ok(ways)) => format!("{:?}", ways[way].steps),
                    _ => String::new(),
                }
            }
            _ => String::new(),
        };
        format!("{action:?} {described}")
    }

    fn fingerprint(&self) -> u128 {
        let mut print = Fingerprint::default();
        self.hash(&mut print);
        print.finish()
    }
}

/// Fingerprints are hashed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.chunks_exact(8).for_each(|b| self.0 ^= u64::from_le_bytes(b.try_into().unwrap_or_default()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a search has found.
#[derive(Debug, Default)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) steps: u64,
    /// States of the coordinator and the tasks, and of the work that decides and commits, each looked at once.
    pub(super) of_tasks: usize,
    pub(super) of_works: usize,
    /// What must not happen, and what led to it.
    pub(super) violation: Option<(String, Vec<String>)>,
}

/// Every state that can be reached, depth first; each is looked at once.
pub(super) fn explore(config: &Config) -> Explored {
    let mut lab = Lab::new(config, false);
    let mut seen: HashSet<u128, BuildHasherDefault<AsItIs>> = HashSet::default();
    let mut explored = Explored::default();
    let first = State::new(&mut lab);
    seen.insert(first.fingerprint());
    let mut path: Vec<(State, Vec<Action>, usize)> = vec![];
    match first.actions(&mut lab) {
        Ok(actions) => path.push((first, actions, 0)),
        Err(violation) => explored.violation = Some((violation, vec![])),
    }
    while let Some((state, actions, next)) = path.last_mut() {
        let Some(action) = actions.get(*next).copied() else {
            path.pop();
            continue;
        };
        *next += 1;
        explored.steps += 1;
        let mut state = state.clone();
        if let Err(violation) = state.take(&mut lab, action) {
            explored.violation = Some((violation, taken(&mut lab, &path)));
            break;
        }
        if !seen.insert(state.fingerprint()) {
            continue;
        }
        if seen.len().is_multiple_of(5_000_000) {
            eprintln!(
                "  {} states, {} steps, {} works, depth {}",
                seen.len(),
                explored.steps,
                lab.works.len(),
                path.len()
            );
        }
        if seen.len() >= config.states_max {
            break;
        }
        match state.actions(&mut lab) {
            Ok(actions) => path.push((state, actions, 0)),
            Err(violation) => {
                explored.violation = Some((violation, taken(&mut lab, &path)));
                break;
            }
        }
    }
    (explored.states, explored.of_tasks, explored.of_works) = (seen.len(), lab.tasks.seen, lab.works.len());
    explored
}

/// The actions on a path, for people.
fn taken(lab: &mut Lab, path: &[(State, Vec<Action>, usize)]) -> Vec<String> {
    path.iter().map(|(state, actions, next)| state.describe(lab, actions[*next - 1])).collect()
}

/// One run by chance; the actions taken, and what went wrong.
pub(super) fn walk(config: &Config, seed: u64) -> (Vec<Action>, Option<String>) {
    let mut rng = Rng::seeded(seed);
    let mut lab = Lab::new(config, true);
    let mut state = State::new(&mut lab);
    let mut taken = vec![];
    loop {
        let actions = match state.actions(&mut lab) {
            Ok(actions) => actions,
            Err(violation) => return (taken, Some(violation)),
        };
        if actions.is_empty() {
            return (taken, None);
        }
        // Death is rare, or nothing would ever happen.
        let is_calm = |a: &Action| matches!(a, Action::Operation(_, Verdict::Done) | Action::Step(..));
        let calm: Vec<Action> = actions.iter().copied().filter(is_calm).collect();
        let choice = if calm.is_empty() || rng.below(24) == 0 { &actions } else { &calm };
        let action = choice[rng.below(choice.len() as u64) as usize];
        taken.push(action);
        if let Err(violation) = state.take(&mut lab, action) {
            return (taken, Some(violation));
        }
    }
}
