//! The job graph: what every front end produces and the runtime runs. In memory only, never serialised.
//!
//! Operators are described, not built: [`OperatorSpec`] is a closed enum, and `flott-operator` builds from it. Adding a
//! variant makes the compiler list what else has to learn of it.
//!
//! Read first: [`JobGraph`], [`OperatorSpec`].
#![forbid(unsafe_code)]

pub mod changelog_function;
pub mod conditions;
pub mod graph;
pub mod group;
pub mod identity;
pub mod join;
pub mod lookup;
pub mod match_recognize;
pub mod meaning;
pub mod over;
pub mod partial;
pub mod rank;
pub mod sort;
pub mod spec;
pub mod window;

pub use changelog_function::ChangelogFunctionSpec;
pub use conditions::{CONDITIONS_VERSION, StateConditions};
pub use graph::{Input, JobGraph, Node, NodeId, Partitioning};
pub use group::{
    ChangelogNormalizeSpec, Changes, ConflictStrategy, GroupAggregateSpec, IncrementalAggregateSpec, MiniBatch,
    MiniBatchAssignerSpec, SinkMaterializeSpec, SplitLevel,
};
pub use identity::StateIdentity;
pub use join::{
    IntervalJoinSpec, JoinCondition, JoinInput, JoinKind, RegularJoinSpec, TemporalJoinSpec, UnnestSpec, WindowJoinSpec,
};
pub use lookup::{AsyncLookup, LookupJoinSpec, LookupKey, LookupRetry};
pub use match_recognize::{
    AfterMatch, MatchReference, MatchSpec, PatternCondition, PatternQuantifier, PatternVariable,
};
pub use meaning::StateMeaning;
pub use over::{OverAggregateSpec, OverArrival, OverBound, OverCall, OverFrame, OverFunction, OverGroup, OverOffset};
pub use partial::{group_partial_schema, partial_schema};
pub use rank::{DeduplicateSpec, Keep, RankRange, RankSpec, RankStrategy, WindowRankSpec};
pub use sort::{SortKey, SortSpec, TemporalSortSpec};
pub use spec::{CalcSpec, ExpandSpec, OperatorSpec, SinkSpec, SourceSpec, WatermarkSpec};
pub use window::{
    AggregateCall, EmitStrategy, WindowAggregateSpec, WindowAssignment, WindowKind, WindowProperty,
    WindowTableFunctionSpec, fields_of_arguments,
};
