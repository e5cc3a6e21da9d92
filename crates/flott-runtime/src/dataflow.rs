//! Job graph to timely dataflow: the same on every worker.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use flott_connector::factory::ChangelogMode;
use flott_connector::sink::WriterContext;
use flott_connector::source::SubtaskInfo;
use flott_core::Result;
use flott_graph::{Input, JobGraph, Node, NodeId, OperatorSpec, Partitioning, SinkSpec, SourceSpec};
use timely::communication::Pull;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::scheduling::SyncActivator;

use crate::api::{AttemptOptions, Restored};
use crate::attempt::BuildOperator;
use crate::checked::Checked;
use crate::container::{Envelope, Route};
use crate::driver::{Driver, InputState, Role, Task};
use crate::exchange::{Partitioner, partition};
use crate::flow::{Alarm, Listener, Probe, Shared, epoch_start};
use crate::sink::{SinkEmit, SinkTask};
use crate::source::{CommandQueue, SourceDriver, SourceStart};
use crate::wire::Decoder;

type Edge<'a> = Stream<'a, u64, Envelope>;
type Output = OutputBuilder<u64, NoopBuilder<Envelope>>;

/// What every worker builds from.
pub(crate) struct Plan {
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) build: BuildOperator,
    pub(crate) options: AttemptOptions,
    pub(crate) restored: Mutex<Restored>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: HashMap<(NodeId, usize), Arc<CommandQueue>>,
    pub(crate) tokio: tokio::runtime::Handle,
    /// Readers' and writers' tasks, waited for at the end.
    pub(crate) tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Plan {
    fn add_task(&self, task: tokio::task::JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

/// Builds the dataflow of one worker. Timely's channels fit only where all workers build the same, so what cannot be made
/// on one of them fails the attempt and leaves its place to an operator that does nothing.
pub(crate) fn build(plan: &Plan, scope: Scope<'_, u64>) {
    let probe = Probe::new();
    let mut streams: Vec<Option<Edge<'_>>> = vec![];
    let mut ends = vec![];
    for (id, node) in plan.graph.iter() {
        let stream = match &node.spec {
            OperatorSpec::Source(spec) => Some(source(plan, scope, id, node, spec, &probe)),
            OperatorSpec::Sink(spec) => {
                let edges = edges(plan, node, &streams);
                ends.push(sink(plan, scope, id, node, spec, edges, &probe));
                None
            }
            _ => {
                let edges = edges(plan, node, &streams);
                Some(operator(plan, scope, id, node, edges, &probe))
            }
        };
        streams.push(stream);
    }
    watch(scope, ends, probe);
}

/// What was made, or nothing: then the attempt has failed.
fn made<T>(plan: &Plan, id: NodeId, node: &Node, result: Result<T>) -> Option<T> {
    result.map_err(|e| plan.shared.fail(Some(id), e.with("operator", &node.name))).ok()
}

/// The streams into a node, with how many channels each has and which port it reads.
fn edges<'a>(plan: &Plan, node: &Node, streams: &[Option<Edge<'a>>]) -> Vec<(Edge<'a>, bool, usize)> {
    let mut edges = vec![];
    for input in &node.inputs {
        let Some(Some(stream)) = streams.get(input.node.0) else { continue };
        let crosses = input.partitioning != Partitioning::Forward;
        if crosses {
            let scope = stream.scope();
            let partitioner =
                Partitioner::new(input.partitioning.clone(), scope.index(), scope.peers(), plan.graph.max_parallelism);
            let ordered = node.changelog_mode != ChangelogMode::INSERT_ONLY;
            let partitioner = partitioner.limited(node.parallelism.unwrap_or(usize::MAX), ordered);
            let stream = partition(stream.clone(), partitioner, input.port, Arc::clone(&plan.shared));
            edges.push((stream, true, 0));
        } else {
            edges.push((stream.clone(), false, input.port));
        }
    }
    edges
}

fn task<'a>(
    plan: &Plan,
    scope: &Scope<'a, u64>,
    builder: &OperatorBuilder<'a, u64>,
    node: NodeId,
    probe: &Rc<Probe>,
) -> Task {
    Task {
        node,
        index: scope.index(),
        shared: Arc::clone(&plan.shared),
        metrics: Arc::clone(&plan.options.metrics),
        clock: Arc::clone(&plan.options.clock),
        probe: Rc::clone(probe),
        activator: Rc::new(scope.activator_for(builder.operator_info().address.clone())),
        listener: Listener::new(scope.worker().sync_activator_for(builder.operator_info().address.to_vec())),
        alarm: Alarm::default(),
    }
}

fn source<'a>(
    plan: &Plan,
    scope: Scope<'a, u64>,
    id: NodeId,
    node: &Node,
    spec: &SourceSpec,
    probe: &Rc<Probe>,
) -> Edge<'a> {
    let mut builder = OperatorBuilder::new(node.name.clone(), scope);
    let (output, stream) = builder.new_output::<Envelope>();
    let mut output = Output::from(output);
    let address = builder.operator_info().address.to_vec();
    let wake = scope.worker().sync_activator_for(address);
    plan.shared.add_source(wake.clone());
    let index = scope.index();
    let limit = spec.parallelism.or(node.parallelism).unwrap_or(usize::MAX).max(1);
    let reader = if index < limit {
        let parallelism = plan.options.parallelism.min(limit);
        spec.source.create_reader(SubtaskInfo { index, parallelism }).map(Some)
    } else {
        Ok(None)
    };
    let Some(reader) = made(plan, id, node, reader) else { return idle(builder, output, stream, vec![]) };
    let commands = plan.commands.get(&(id, index)).cloned().unwrap_or_else(CommandQueue::new);
    let task = task(plan, &scope, &builder, id, probe);
    let (spec, tokio, options) = (spec.clone(), plan.tokio.clone(), plan.options.clone());
    builder.build(move |mut capabilities| {
        let mut capability: Capability<u64> = capabilities.remove(0);
        capability.downgrade(&epoch_start(options.first_epoch.0));
        let (mut driver, running) = SourceDriver::start(SourceStart {
            task,
            spec,
            reader,
            commands,
            capability,
            fail_points: options.fail_points,
            in_flight_bytes: options.in_flight_bytes,
            buffer_timeout: options.buffer_timeout,
            wake,
            tokio,
        });
        plan.add_task(running);
        move |_frontiers| {
            let mut output = output.activate();
            driver.run(&mut |capability: &Capability<u64>, mut envelope: Envelope| {
                output.session_with_builder(capability).give_container(&mut envelope);
            });
        }
    });
    stream
}

/// Subtasks of a sink that get rows. The others are there, too: they report, but have nothing.
fn parallelism_of(sink: &Node, workers: usize) -> usize {
    sink.parallelism.unwrap_or(workers).clamp(1, workers.max(1))
}

fn driver(
    plan: &Plan,
    node: &Node,
    task: Task,
    role: Role,
    edges: &[(Edge<'_>, bool, usize)],
    peers: usize,
) -> Result<Driver> {
    let operator = (plan.build)(node, task.index, peers, plan.graph.max_parallelism)?;
    // Late rows are the windows' own.
    let mode = |input: &Input| match plan.graph.nodes.get(input.node.0) {
        Some(from) if input.port == 0 => from.changelog_mode,
        _ => ChangelogMode::ALL,
    };
    let operator = Checked::watched(node, operator, node.inputs.iter().map(mode).collect());
    let restored = {
        let mut all = plan.restored.lock().unwrap_or_else(PoisonError::into_inner);
        all.operators.remove(&(task.node, task.index))
    };
    let restored_ms = restored.as_ref().and_then(|r| r.watermark_ms).unwrap_or(i64::MIN);
    let inputs = edges
        .iter()
        .map(|(_, crosses, port)| InputState::new(*port, if *crosses { peers } else { 1 }, restored_ms))
        .collect();
    Driver::new(task, operator, role, inputs, restored, plan.options.first_epoch.0, plan.options.in_flight_bytes)
}

fn operator<'a>(
    plan: &Plan,
    scope: Scope<'a, u64>,
    id: NodeId,
    node: &Node,
    edges: Vec<(Edge<'a>, bool, usize)>,
    probe: &Rc<Probe>,
) -> Edge<'a> {
    let mut builder = OperatorBuilder::new(node.name.clone(), scope);
    let task = task(plan, &scope, &builder, id, probe);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let driver = driver(plan, node, task, Role::Operator, &edges, scope.peers());
    let driver = driver.and_then(|d| with_lookups(plan, id, node, d, scope.index(), scope.peers(), &wake));
    let mut inputs = inputs(&mut builder, edges);
    let (output, stream) = builder.new_output::<Envelope>();
    let mut output = Output::from(output);
    let Some(mut driver) = made(plan, id, node, driver) else { return idle(builder, output, stream, inputs) };
    builder.build(move |mut capabilities| {
        driver.begin(capabilities.remove(0));
        move |frontiers| {
            let before = driver.waiting();
            for (i, input) in inputs.iter_mut().enumerate() {
                input.read(i, &mut driver);
            }
            driver.take_turns(before);
            let mut output = output.activate();
            driver.run(least(frontiers), &mut |capability: &Capability<u64>, mut envelope: Envelope| {
                output.session_with_builder(capability).give_container(&mut envelope);
            });
        }
    });
    stream
}

/// A lookup join's driver with the tasks that look up.
fn with_lookups(
    plan: &Plan,
    id: NodeId,
    node: &Node,
    driver: Driver,
    index: usize,
    parallelism: usize,
    wake: &SyncActivator,
) -> Result<Driver> {
    let OperatorSpec::LookupJoin(spec) = &node.spec else { return Ok(driver) };
    let subtask = SubtaskInfo { index, parallelism };
    let (queue, tasks) = crate::lookup::start(spec, id, subtask, &plan.shared, &plan.options.clock, wake)?;
    tasks.into_iter().for_each(|task| plan.add_task(plan.tokio.spawn(task)));
    Ok(driver.with_lookups(queue))
}

fn sink<'a>(
    plan: &Plan,
    scope: Scope<'a, u64>,
    id: NodeId,
    node: &Node,
    spec: &SinkSpec,
    edges: Vec<(Edge<'a>, bool, usize)>,
    probe: &Rc<Probe>,
) -> Edge<'a> {
    let mut builder = OperatorBuilder::new(node.name.clone(), scope);
    let task = task(plan, &scope, &builder, id, probe);
    let index = scope.index();
    let states = {
        let mut all = plan.restored.lock().unwrap_or_else(PoisonError::into_inner);
        all.writers.remove(&(id, index)).unwrap_or_default()
    };
    let context = WriterContext {
        subtask: SubtaskInfo { index, parallelism: parallelism_of(node, plan.options.parallelism) },
        lineage: plan.options.lineage.clone(),
        generation: plan.options.generation,
        operator_uid: node.uid.clone(),
    };
    let writer = spec.sink.create_writer(context, states).map_err(|e| e.with("table", &spec.table.object));
    let parts = writer.and_then(|w| Ok((w, driver(plan, node, task, Role::Sink, &edges, scope.peers())?)));
    let mut inputs = inputs(&mut builder, edges);
    let (output, stream) = builder.new_output::<Envelope>();
    let output = Output::from(output);
    let Some((writer, mut driver)) = made(plan, id, node, parts) else { return idle(builder, output, stream, inputs) };
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let sink_task = SinkTask {
        node: id,
        subtask: index,
        writer,
        shared: Arc::clone(&plan.shared),
        metrics: Arc::clone(&plan.options.metrics),
        clock: Arc::clone(&plan.options.clock),
        fail_points: plan.options.fail_points.clone(),
    };
    let (queue, running) = crate::sink::channel(sink_task, wake);
    plan.add_task(plan.tokio.spawn(running));
    builder.build(move |mut capabilities| {
        driver.begin(capabilities.remove(0));
        let mut emit = SinkEmit(queue);
        // Its output carries no rows; the capabilities that wait in the queue hold its frontier for the probe.
        let _output = output;
        move |frontiers| {
            let _keep = &_output;
            let before = driver.waiting();
            for (i, input) in inputs.iter_mut().enumerate() {
                input.read(i, &mut driver);
            }
            driver.take_turns(before);
            emit.0.push();
            driver.run(least(frontiers), &mut emit);
        }
    });
    stream
}

/// The place of what could not be made. It keeps its capability, so that nobody behind it takes its silence for the end
/// of the input before the attempt is cancelled.
fn idle<'a>(
    builder: OperatorBuilder<'a, u64>,
    output: Output,
    stream: Edge<'a>,
    mut inputs: Vec<Box<dyn Read>>,
) -> Edge<'a> {
    builder.build(move |capabilities| {
        move |_frontiers| {
            let _keep = (&capabilities, &output);
            inputs.iter_mut().for_each(|input| input.discard());
        }
    });
    stream
}

/// The ends of the edges into an operator.
fn inputs<'a>(builder: &mut OperatorBuilder<'a, u64>, edges: Vec<(Edge<'a>, bool, usize)>) -> Vec<Box<dyn Read>> {
    let input = |(stream, crosses, _): (Edge<'a>, bool, usize)| -> Box<dyn Read> {
        if crosses {
            Box::new(Crossing(builder.new_input(stream, DistributorPact(|_| Route)), Decoder::default()))
        } else {
            Box::new(Forward(builder.new_input(stream, Pipeline)))
        }
    };
    edges.into_iter().map(input).collect()
}

/// Reads everything that has arrived, in order: never by time, which would let a watermark overtake its rows.
trait Read {
    fn read(&mut self, input: usize, driver: &mut Driver);
    /// Drops everything that has arrived.
    fn discard(&mut self);
}

type Handle<P> = timely::dataflow::operators::generic::InputHandleCore<u64, Envelope, P>;
type Message = timely::dataflow::channels::Message<u64, Envelope>;

/// The end of an edge inside a worker.
struct Forward<P: Pull<Message>>(Handle<P>);

impl<P: Pull<Message>> Read for Forward<P> {
    fn read(&mut self, input: usize, driver: &mut Driver) {
        self.0.for_each(|capability, envelope| {
            driver.receive(input, capability.retain(0), std::mem::take(envelope).payload);
        });
    }

    fn discard(&mut self) {
        self.0.for_each(|_, _| {});
    }
}

/// The end of an edge from all workers.
struct Crossing<P: Pull<Message>>(Handle<P>, Decoder);

impl<P: Pull<Message>> Read for Crossing<P> {
    fn read(&mut self, input: usize, driver: &mut Driver) {
        let Crossing(handle, decoder) = self;
        handle.for_each(|capability, envelope| {
            match decoder.decode(std::mem::take(envelope).payload, driver.shared()) {
                Ok(payload) => driver.receive(input, capability.retain(0), payload),
                Err(e) => driver.fail(e),
            }
        });
    }

    fn discard(&mut self) {
        self.0.for_each(|_, _| {});
    }
}

/// The least time that any input can still bring; `None` where all have closed.
fn least(frontiers: &[timely::progress::frontier::MutableAntichain<u64>]) -> Option<u64> {
    frontiers.iter().filter_map(|f| f.frontier().first().copied()).min()
}

/// Watches the sinks: who waits for room is woken here.
fn watch(scope: Scope<'_, u64>, ends: Vec<Edge<'_>>, probe: Rc<Probe>) {
    let mut builder = OperatorBuilder::new("probe".into(), scope);
    let mut inputs: Vec<_> = ends.into_iter().map(|s| builder.new_input(s, Pipeline)).collect();
    builder.build(move |_capabilities| {
        move |frontiers| {
            for input in &mut inputs {
                input.for_each(|_, _| {});
            }
            probe.moved(least(frontiers).unwrap_or(u64::MAX));
        }
    });
}
