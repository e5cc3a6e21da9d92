//! What a sink asks of its input, and whether changes must be put in the order of its primary key.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use flott_connector::factory::ChangelogMode;
use flott_core::{Error, Result};
use flott_graph::ConflictStrategy;

use super::keys::{Key, smallest, upsert_keys};
use super::{DeleteKind, Inference, ModifyKinds, UpdateKind};
use crate::plan::options::{self, UpsertMaterialize};
use crate::plan::stream::{Materialize, Sink, StreamInput, StreamNode, StreamOp};

impl Inference<'_> {
    /// A sink over an input whose changes it takes, in the form that it wants.
    pub(super) fn sink(&mut self, node: &Arc<StreamNode>) -> Result<Arc<StreamNode>> {
        let (StreamOp::Sink(sink), Some(input)) = (&node.op, node.inputs.first()) else {
            return Err(Error::internal("a sink without an input"));
        };
        let name = format!("Table sink '{}'", sink.shown);
        let kinds = if input.port == 1 {
            ModifyKinds::INSERT_ONLY
        } else {
            self.modify_kinds(&input.node, ModifyKinds::ALL, &name)?
        };
        let takes = sink.takes(kinds.mode(UpdateKind::BeforeAndAfter));
        if input.port == 0 {
            self.modify_kinds(&input.node, ModifyKinds::of(takes), &name)
                .map_err(|e| e.with("table", &sink.identifier.object))?;
        }
        let keys = upsert_keys(&input.node);
        let same_key = sink.primary_key.is_empty() || keys.contains(&sink.primary_key);
        let materialize = self.materialized(sink, kinds, takes, &keys, &input.node)?;
        let before_and_after = [UpdateKind::BeforeAndAfter];
        let updates: &[UpdateKind] = match UpdateKind::of(takes) {
            UpdateKind::None => &[UpdateKind::None],
            UpdateKind::BeforeAndAfter => &before_and_after,
            UpdateKind::OnlyAfter if !same_key => &before_and_after,
            UpdateKind::OnlyAfter => &[UpdateKind::OnlyAfter, UpdateKind::BeforeAndAfter],
        };
        let deletes: &[DeleteKind] = if sink.deletes_by_key && same_key && materialize.is_none() {
            &[DeleteKind::ByKey, DeleteKind::Full]
        } else {
            &[DeleteKind::Full]
        };
        let hidden = sink.hides_changes && materialize.is_none();
        let (below, port) = match input.port {
            0 => (self.satisfied(&input.node, updates, deletes, hidden)?, 0),
            port => (self.last.get(&Arc::as_ptr(&input.node)).cloned(), port),
        };
        let below = below.ok_or_else(|| self.no_plan(node))?;
        let mode = below.changelog;
        let sink = Sink { materialize, ..sink.clone() };
        let inputs = vec![StreamInput { node: below, port }];
        Ok(node.remade(StreamOp::Sink(sink), inputs, mode, false))
    }

    /// How the sink's changes are put in order, where they must be.
    fn materialized(
        &self,
        sink: &Sink,
        kinds: ModifyKinds,
        takes: ChangelogMode,
        keys: &[Key],
        input: &StreamNode,
    ) -> Result<Option<Materialize>> {
        let appends = takes.is_insert_only();
        let retracts = takes.update_before;
        if sink.conflict.is_some() {
            let why = match (appends, retracts) {
                (true, _) => "it only accepts INSERT (append-only) changes",
                (_, true) => "it requires UPDATE_BEFORE (retract mode)",
                _ => "",
            };
            if !why.is_empty() {
                return Err(Error::user(format!(
                    "ON CONFLICT clause is only allowed for upsert sinks. The sink '{}' is not an upsert sink because {why}.",
                    sink.shown
                ))
                .hint("Leave the clause out"));
            }
        }
        if let Some(conflict @ (ConflictStrategy::Error | ConflictStrategy::Nothing)) = sink.conflict {
            let mut without = BTreeSet::new();
            sources_without_watermarks(input, &mut HashSet::new(), &mut without);
            if !without.is_empty() {
                return Err(Error::user(format!(
                    "ON CONFLICT DO {} requires all source tables to define watermarks, but the following source(s) do \
                     not: {}. Please add a WATERMARK declaration to these tables.",
                    conflict.name(),
                    without.into_iter().collect::<Vec<_>>().join(", ")
                )));
            }
        }
        let by_subset = keys.iter().any(|k| k.is_subset(&sink.primary_key));
        let needed = match options::upsert_materialize(self.config)? {
            UpsertMaterialize::None => false,
            UpsertMaterialize::Force => !sink.primary_key.is_empty() && !retracts,
            UpsertMaterialize::Auto => {
                if sink.primary_key.is_empty() || appends || retracts {
                    return Ok(None);
                }
                // Rows that are only added simply overwrite each other.
                if kinds.is_insert_only() && sink.conflict == Some(ConflictStrategy::Deduplicate) {
                    return Ok(None);
                }
                if !by_subset && sink.conflict.is_none() && options::require_on_conflict(self.config)? {
                    return Err(self.keys_differ(sink, keys, input));
                }
                !by_subset
            }
        };
        if !needed {
            return Ok(None);
        }
        // By whole rows, where every version of a row is told apart by nothing less.
        let upsert_key = smallest(keys).map(|k| k.iter().copied().collect::<Vec<usize>>());
        Ok(Some(Materialize { upsert_key }))
    }

    fn keys_differ(&self, sink: &Sink, keys: &[Key], input: &StreamNode) -> Error {
        let names = |key: &Key| {
            let names: Vec<String> = key
                .iter()
                .map(|i| sink.columns.get(*i).map_or_else(|| input.schema.field(*i).name().clone(), |c| c.name.clone()))
                .collect();
            format!("[{}]", names.join(", "))
        };
        let upsert_key = smallest(keys).map_or_else(|| "none".to_string(), names);
        Error::user(format!(
            "The query has an upsert key that differs from the primary key of the sink table '{}'. Primary key: {}, upsert \
             key: {upsert_key}. This can lead to non-deterministic results when multiple records with different upsert \
             keys map to the same primary key. Please specify an ON CONFLICT clause to define how conflicts should be \
             handled: ON CONFLICT DO DEDUPLICATE (update to the latest record, state intensive, since we need to keep the \
             entire history), or ON CONFLICT DO ERROR (fail on conflict), or ON CONFLICT DO NOTHING (keep first record).",
            sink.shown,
            names(&sink.primary_key)
        ))
        .with("table", &sink.identifier.object)
        .hint(format!("Or SET '{}' = 'false'", options::REQUIRE_ON_CONFLICT.key))
    }
}

impl Sink {
    /// The kinds that it takes of a query with these.
    fn takes(&self, query: ChangelogMode) -> ChangelogMode {
        let own = self.sink.changelog_mode;
        if !self.follows_query {
            return own;
        }
        ChangelogMode {
            insert: own.insert && query.insert,
            update_before: own.update_before && query.update_before,
            update_after: own.update_after && query.update_after,
            delete: own.delete && query.delete,
        }
    }
}

fn sources_without_watermarks(node: &StreamNode, seen: &mut HashSet<*const StreamNode>, found: &mut BTreeSet<String>) {
    if !seen.insert(std::ptr::from_ref(node)) {
        return;
    }
    if let StreamOp::Scan(scan) = &node.op
        && scan.table.table.schema.watermark.is_none()
    {
        found.insert(crate::plan::sink::summary(&scan.table.identifier));
    }
    node.inputs.iter().for_each(|i| sources_without_watermarks(&i.node, seen, found));
}
