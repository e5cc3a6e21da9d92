//! Rows to their workers: batches are split by key group, controls go to everyone behind the rows.

use arrow_array::UInt32Array;
use flott_core::{ChangeBatch, Error, Result, key_group};
use flott_graph::Partitioning;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use std::sync::Arc;

use crate::container::{Envelope, Payload};
use crate::flow::Shared;
use crate::wire::Encoder;

/// Splits batches of one edge.
pub(crate) struct Partitioner {
    partitioning: Partitioning,
    peers: usize,
    max_parallelism: u16,
    /// Workers that a rebalanced edge leads to.
    targets: usize,
    next: usize,
    /// Rows of one sender stay together, so that changes of a key stay in order.
    keeps_order: bool,
    hashes: Vec<u64>,
}

impl Partitioner {
    pub(crate) fn new(partitioning: Partitioning, index: usize, peers: usize, max_parallelism: u16) -> Partitioner {
        let (targets, next, keeps_order) = (peers, index, false);
        Partitioner { partitioning, peers, max_parallelism, targets, next, keeps_order, hashes: vec![] }
    }

    /// Rebalances to the first `n` workers only; `keeps_order` where rows are changes.
    pub(crate) fn limited(mut self, n: usize, keeps_order: bool) -> Partitioner {
        (self.targets, self.keeps_order) = (n.clamp(1, self.peers), keeps_order);
        self
    }

    /// The parts of a batch and their workers.
    pub(crate) fn split(&mut self, batch: ChangeBatch) -> Result<Vec<(usize, ChangeBatch)>> {
        if self.peers == 1 {
            return Ok(vec![(0, batch)]);
        }
        Ok(match &self.partitioning {
            Partitioning::Forward => return Err(Error::internal("a forward edge needs no partitioner")),
            Partitioning::Singleton => vec![(0, batch)],
            Partitioning::Broadcast => (0..self.peers).map(|t| (t, batch.clone())).collect(),
            Partitioning::Rebalance => {
                if !self.keeps_order {
                    self.next += 1;
                }
                self.next %= self.targets;
                vec![(self.next, batch)]
            }
            Partitioning::Hash(keys) => {
                let columns: Vec<_> = keys.iter().map(|k| batch.rows.column(*k).clone()).collect();
                key_group::hash_rows(&columns, batch.num_rows(), &mut self.hashes)?;
                let mut rows: Vec<Vec<u32>> = vec![Vec::with_capacity(batch.num_rows() / self.peers + 64); self.peers];
                for (row, hash) in self.hashes.iter().enumerate() {
                    let group = key_group::key_group(*hash, self.max_parallelism);
                    rows[key_group::owner(group, self.peers, self.max_parallelism)].push(row as u32);
                }
                let mut parts = vec![];
                for (target, rows) in rows.into_iter().enumerate() {
                    if rows.len() == batch.num_rows() {
                        return Ok(vec![(target, batch)]);
                    }
                    if !rows.is_empty() {
                        parts.push((target, batch.take(&UInt32Array::from(rows))?));
                    }
                }
                parts
            }
        })
    }
}

/// The operator in front of an edge that crosses workers.
pub(crate) fn partition<'a>(
    stream: Stream<'a, u64, Envelope>,
    mut partitioner: Partitioner,
    port: usize,
    shared: Arc<Shared>,
) -> Stream<'a, u64, Envelope> {
    let scope = stream.scope();
    let (peers, index) = (scope.peers(), scope.index());
    let mut encoders: Vec<Encoder> = (0..peers).map(|_| Encoder::default()).collect();
    let mut builder = OperatorBuilder::new("exchange".into(), scope);
    let mut input = builder.new_input(stream, Pipeline);
    let (output, stream) = builder.new_output::<Envelope>();
    let mut output = OutputBuilder::<u64, NoopBuilder<Envelope>>::from(output);
    builder.set_notify_for(0, timely::progress::operate::FrontierInterest::Never);
    builder.build(move |capabilities| {
        drop(capabilities);
        move |_frontiers| {
            let mut output = output.activate();
            input.for_each(|capability, envelope| {
                let mut session = output.session_with_builder(&capability);
                match std::mem::take(envelope).payload {
                    Payload::Data { port: p, batch, ticket } if p == port => match partitioner.split(batch) {
                        Ok(parts) => {
                            for (target, part) in parts {
                                if shared.elsewhere(target).is_none() {
                                    let ticket = ticket.as_ref().map(|t| t.part(part.size_bytes()));
                                    session.give_container(&mut Envelope::data(0, part).counted(ticket).to(target));
                                    continue;
                                }
                                match encoders[target].encode(index, &part, ticket.as_ref()) {
                                    Ok(payloads) => payloads.into_iter().for_each(|payload| {
                                        session.give_container(&mut Envelope { target, payload });
                                    }),
                                    Err(e) => shared.fail(None, e),
                                }
                            }
                        }
                        Err(e) => shared.fail(None, e),
                    },
                    Payload::Control { from, control } => {
                        for target in 0..peers {
                            session.give_container(&mut Envelope::control(from, control).to(target));
                        }
                    }
                    Payload::Data { .. } | Payload::Wire(_) | Payload::Empty => {}
                }
            });
        }
    });
    stream
}
