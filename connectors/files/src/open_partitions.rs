//! The partitions that have files and are not reported yet, stored beside the staged files.
//!
//! One file per attempt, named by its generation: nothing fences a write to a disk, so an attempt that slept through its
//! own succession may still write its list, and must not write it over its successor's. An attempt reads the newest list
//! that is not newer than itself and writes its own, also where that is empty: from then on older ones mean nothing.

use std::sync::Arc;

use flott_connector::sink::CommitterContext;
use flott_core::Result;

use crate::partition_commit::PendingPartitions;
use crate::side_file::SideFile;
use crate::staging::{lineage_folder, partitions_name};
use crate::target::{FileTarget, whole_name};

pub(crate) struct OpenPartitions {
    target: Arc<FileTarget>,
    folder: String,
    /// What the names of this operator's lists begin with.
    name: String,
    generation: u64,
    /// Those of the lineages that this one goes on for.
    replaced: Vec<OpenPartitions>,
}

/// A list and where it comes from.
pub(crate) struct Loaded {
    pub(crate) pending: PendingPartitions,
    /// This attempt has written it.
    pub(crate) is_own: bool,
}

impl OpenPartitions {
    pub(crate) fn new(target: Arc<FileTarget>, c: &CommitterContext) -> OpenPartitions {
        let of_lineage = |lineage: &String, replaced| OpenPartitions {
            target: Arc::clone(&target),
            folder: lineage_folder(lineage),
            name: partitions_name(&c.operator_uid),
            generation: c.generation.0,
            replaced,
        };
        let replaced = c.replaced_lineages.iter().map(|l| of_lineage(l, vec![])).collect();
        of_lineage(&c.lineage, replaced)
    }

    /// Lists of the first versions have no generation in their name: they are older than any.
    fn path(&self, generation: u64) -> String {
        match generation {
            0 => format!("{}/{}.json", self.folder, self.name),
            generation => format!("{}/{}.{generation}.json", self.folder, self.name),
        }
    }

    /// Also of a list that was not written to its end.
    fn generation_of(&self, file: &str) -> Option<u64> {
        match whole_name(file).strip_prefix(&self.name)?.strip_suffix(".json")? {
            "" => Some(0),
            generation => generation.strip_prefix('.')?.parse().ok(),
        }
    }

    pub(crate) async fn load(&self) -> Result<Loaded> {
        if let Some(pending) = self.read(self.generation).await? {
            return Ok(Loaded { pending, is_own: true });
        }
        for generation in self.stored().await?.into_iter().rev().filter(|g| *g < self.generation) {
            // Of some there is only a half.
            if let Some(pending) = self.read(generation).await? {
                return Ok(Loaded { pending, is_own: false });
            }
        }
        Ok(Loaded { pending: PendingPartitions::default(), is_own: false })
    }

    pub(crate) async fn store(&self, pending: &PendingPartitions) -> Result<()> {
        SideFile::PARTITIONS.put(&self.target, &self.path(self.generation), pending).await
    }

    /// Takes over what older attempts have left, also those of replaced lineages: a restored savepoint begins a new
    /// lineage, and partitions whose files were shown before it still have to be reported. The old lists go last, so that
    /// whoever dies in between takes them over again.
    pub(crate) async fn take_over(&self) -> Result<()> {
        let loaded = self.load().await?;
        let mut pending = loaded.pending.clone();
        for old in &self.replaced {
            for (partition, seen_ms) in old.load().await?.pending.0 {
                let first_ms = pending.0.entry(partition).or_insert(seen_ms);
                *first_ms = seen_ms.min(*first_ms);
            }
        }
        if !loaded.is_own || pending != loaded.pending {
            self.store(&pending).await?;
        }
        self.remove_before(self.generation).await?;
        for old in &self.replaced {
            old.remove_all().await?;
        }
        Ok(())
    }

    /// All is reported. Its own list goes last: as long as it is there older ones mean nothing.
    pub(crate) async fn remove_all(&self) -> Result<()> {
        self.remove_before(self.generation.saturating_add(1)).await
    }

    async fn remove_before(&self, end: u64) -> Result<()> {
        for generation in self.stored().await?.into_iter().filter(|g| *g < end) {
            let path = self.path(generation);
            self.target.remove(&path).await?;
            self.target.remove_unfinished(&path).await?;
        }
        Ok(())
    }

    async fn read(&self, generation: u64) -> Result<Option<PendingPartitions>> {
        SideFile::PARTITIONS.get(&self.target, &self.path(generation)).await
    }

    /// Generations that have a list or a part of one, oldest first.
    async fn stored(&self) -> Result<Vec<u64>> {
        let names = self.target.names(&self.folder).await?;
        let mut generations: Vec<u64> = names.iter().filter_map(|n| self.generation_of(n)).collect();
        generations.sort_unstable();
        Ok(generations)
    }
}
