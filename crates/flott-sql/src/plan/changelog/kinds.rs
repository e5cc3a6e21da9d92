//! The traits of a stream: which changes it has, and how updates and deletes come.

use flott_connector::factory::ChangelogMode;

/// Which changes a stream has: rows added, updated, taken away. Flink's `ModifyKindSet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModifyKinds {
    pub(crate) insert: bool,
    pub(crate) update: bool,
    pub(crate) delete: bool,
}

impl ModifyKinds {
    pub(crate) const INSERT_ONLY: ModifyKinds = ModifyKinds { insert: true, update: false, delete: false };
    pub(crate) const ALL: ModifyKinds = ModifyKinds { insert: true, update: true, delete: true };

    pub(crate) fn of(mode: ChangelogMode) -> ModifyKinds {
        ModifyKinds { insert: mode.insert, update: mode.update_after || mode.update_before, delete: mode.delete }
    }

    pub(crate) fn is_insert_only(self) -> bool {
        self == ModifyKinds::INSERT_ONLY
    }

    pub(crate) fn union(self, other: ModifyKinds) -> ModifyKinds {
        ModifyKinds {
            insert: self.insert || other.insert,
            update: self.update || other.update,
            delete: self.delete || other.delete,
        }
    }

    /// What is here and not there.
    pub(crate) fn minus(self, other: ModifyKinds) -> ModifyKinds {
        ModifyKinds {
            insert: self.insert && !other.insert,
            update: self.update && !other.update,
            delete: self.delete && !other.delete,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        !self.insert && !self.update && !self.delete
    }

    /// `update and delete`
    pub(crate) fn words(self) -> String {
        let kinds = [(self.insert, "insert"), (self.update, "update"), (self.delete, "delete")];
        kinds.iter().filter(|k| k.0).map(|k| k.1).collect::<Vec<_>>().join(" and ")
    }

    /// Updates as asked for, where there are any.
    pub(crate) fn updates(self, kind: UpdateKind) -> UpdateKind {
        if self.update { kind } else { UpdateKind::None }
    }

    /// Deletes as asked for, where there are any.
    pub(crate) fn deletes(self, kind: DeleteKind) -> DeleteKind {
        if self.delete { kind } else { DeleteKind::None }
    }

    /// With updates of this kind.
    pub(crate) fn mode(self, updates: UpdateKind) -> ChangelogMode {
        ChangelogMode {
            insert: self.insert,
            update_before: self.update && updates == UpdateKind::BeforeAndAfter,
            update_after: self.update,
            delete: self.delete,
        }
    }
}

/// How updates come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum UpdateKind {
    /// There are none.
    None,
    /// `+U` alone: a row takes the place of the one with its upsert key.
    OnlyAfter,
    /// `-U`, then `+U`.
    BeforeAndAfter,
}

impl UpdateKind {
    pub(crate) fn of(mode: ChangelogMode) -> UpdateKind {
        match (mode.update_before, mode.update_after) {
            (true, _) => UpdateKind::BeforeAndAfter,
            (false, true) => UpdateKind::OnlyAfter,
            (false, false) => UpdateKind::None,
        }
    }
}

/// What `-D` rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeleteKind {
    /// There are none.
    None,
    /// The upsert key; the other columns are NULL or anything.
    ByKey,
    /// The whole row.
    Full,
}

impl DeleteKind {
    /// Whole rows serve where keys are enough.
    pub(crate) fn satisfies(self, required: DeleteKind) -> bool {
        match (self, required) {
            (DeleteKind::None, _) | (DeleteKind::Full, DeleteKind::ByKey) => true,
            (a, b) => a == b,
        }
    }
}
