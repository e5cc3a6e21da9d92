//! TO_CHANGELOG and FROM_CHANGELOG: the operator, its changes, its text.

use std::sync::Arc;

use flott_connector::factory::ChangelogMode;
use flott_core::Result;
use flott_graph::ChangelogFunctionSpec;

use super::changelog::{ChangelogRule, DeleteKind, InputKeys, Key, ModifyKinds, RuleInput, UpdateKind, Way};
use super::convert::Converter;
use super::explain::record_type;
use super::stream::{StreamInput, StreamNode, StreamOp};
use super::window::index_of;
use crate::bind::{ChangelogCall, ChangelogFunction, FlinkNode, columns_of};

/// A call over its input.
#[derive(Debug, Clone)]
pub(crate) struct ChangelogFunctionOp {
    pub(crate) spec: ChangelogFunctionSpec,
    uid: Option<String>,
    invocation: String,
}

impl ChangelogFunctionOp {
    /// The operator as Flink's plans print it.
    pub(crate) fn text(&self, kind: &str, node: &StreamNode) -> String {
        let names: Vec<&str> = node.schema.fields().iter().map(|f| f.name().as_str()).collect();
        format!(
            "{kind}(invocation=[{}], uid=[{}], select=[{}], rowType=[RecordType({})])",
            self.invocation,
            self.uid.as_deref().unwrap_or("null"),
            names.join(","),
            record_type(&node.schema)
        )
    }

    /// Its id without sources and ordinal: the one that the query gives it, else what it does.
    pub(crate) fn identity(&self) -> String {
        let function = match &self.spec {
            ChangelogFunctionSpec::To { .. } => "to-changelog",
            ChangelogFunctionSpec::From { .. } => "from-changelog",
        };
        match &self.uid {
            Some(uid) => format!("{function}:{uid}"),
            None => function.to_string(),
        }
    }
}

impl ChangelogRule for ChangelogFunctionOp {
    fn accepts(&self) -> Option<ModifyKinds> {
        Some(match self.spec {
            ChangelogFunctionSpec::To { .. } => ModifyKinds::ALL,
            ChangelogFunctionSpec::From { .. } => ModifyKinds::INSERT_ONLY,
        })
    }

    fn produces(&self, _inputs: &[ModifyKinds]) -> ModifyKinds {
        match self.spec {
            ChangelogFunctionSpec::To { .. } => ModifyKinds::INSERT_ONLY,
            ChangelogFunctionSpec::From { .. } => ModifyKinds::ALL,
        }
    }

    /// Flink's signatures: the one requires the row before an update, the other gives it.
    fn updates(&self, _required: UpdateKind, _input: &RuleInput<'_>) -> Way<UpdateKind> {
        Way::MakeOnly(UpdateKind::BeforeAndAfter, UpdateKind::BeforeAndAfter)
    }

    fn deletes(&self, _required: DeleteKind, _input: &RuleInput<'_>) -> Way<DeleteKind> {
        Way::Make(DeleteKind::Full)
    }

    fn upsert_keys(&self, _node: &StreamNode, _inputs: &[InputKeys]) -> Vec<Key> {
        vec![]
    }
}

impl Converter<'_> {
    /// The node of a call. It reads all columns.
    pub(crate) fn changelog_function(&self, node: &FlinkNode, call: &ChangelogCall) -> Result<Arc<StreamNode>> {
        let input = self.convert(&node.input)?;
        let columns = columns_of(&input.schema)?;
        let on_time = call.on_time.as_ref().map(|name| index_of(&columns, name)).transpose()?;
        let (spec, mode) = match &call.function {
            ChangelogFunction::To(codes) => {
                (ChangelogFunctionSpec::To { codes: codes.clone(), on_time }, ChangelogMode::INSERT_ONLY)
            }
            ChangelogFunction::From { op, codes } => {
                let op = index_of(&columns, op)?;
                (ChangelogFunctionSpec::From { op, codes: codes.clone(), on_time }, ChangelogMode::ALL)
            }
        };
        let op = ChangelogFunctionOp { spec, uid: call.uid.clone(), invocation: call.invocation.clone() };
        let op = StreamOp::ChangelogFunction(op);
        Ok(StreamNode::new(op, vec![StreamInput::from(&input)], node.schema.clone(), mode))
    }
}
