//! Partitions that a catalog knows: those that ALTER TABLE ADD PARTITION made. The files of a table are not looked at,
//! as in Flink's catalog in memory; a filesystem table reads whatever folders there are.

use std::collections::BTreeMap;

use flott_connector::table::{CatalogTable, ObjectIdentifier};
use flott_core::error::{Error, Result};
use flott_core::options::Options;

use super::{CatalogManager, missing};

/// `(k = v, ..)` with values as text, in the order of the statement.
pub type Spec = Vec<(String, String)>;

fn named(id: &ObjectIdentifier) -> String {
    format!("{}.{} in catalog {}", id.database, id.object, id.catalog)
}

fn shown(spec: &[(String, String)]) -> String {
    let pairs: Vec<String> = spec.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("CatalogPartitionSpec{{{{{}}}}}", pairs.join(", "))
}

/// The error where a table has no partition keys.
fn check_partitioned(id: &ObjectIdentifier, table: &CatalogTable) -> Result<()> {
    if table.partition_keys.is_empty() {
        return Err(Error::user(format!("Table {} is not partitioned.", named(id))).with("table", &id.object));
    }
    Ok(())
}

/// The values in the order of the table's keys; `None` for keys that the spec leaves open.
fn values(id: &ObjectIdentifier, table: &CatalogTable, spec: &Spec) -> Result<Vec<Option<String>>> {
    check_partitioned(id, table)?;
    if let Some((key, _)) = spec.iter().find(|(key, _)| !table.partition_keys.contains(key)) {
        let message = format!("PartitionSpec key '{key}' is no partition key of table {}.", named(id));
        return Err(missing(message, key, table.partition_keys.iter().map(String::as_str)));
    }
    let value = |key: &String| spec.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    Ok(table.partition_keys.iter().map(value).collect())
}

/// All values: a partition to be made or dropped is named in full.
fn full(id: &ObjectIdentifier, table: &CatalogTable, spec: &Spec) -> Result<Vec<String>> {
    let values = values(id, table, spec)?;
    values.into_iter().collect::<Option<Vec<String>>>().ok_or_else(|| {
        Error::user(format!(
            "PartitionSpec {} does not match partition keys [{}] of table {}.",
            shown(spec),
            table.partition_keys.join(", "),
            named(id)
        ))
        .with("table", &id.object)
        .hint("Give every key a value")
    })
}

impl CatalogManager {
    /// ADD PARTITION: all of them or none.
    pub fn add_partitions(
        &mut self,
        id: &ObjectIdentifier,
        table: &CatalogTable,
        partitions: &[(Spec, Options)],
        if_not_exists: bool,
    ) -> Result<()> {
        let mut all = self.partitions_of(id).cloned().unwrap_or_default();
        for (spec, options) in partitions {
            let values = full(id, table, spec)?;
            if all.contains_key(&values) {
                if if_not_exists {
                    continue;
                }
                let message = format!("Partition {} of table {} already exists.", shown(spec), named(id));
                return Err(Error::user(message)
                    .with("table", &id.object)
                    .hint("Add IF NOT EXISTS to leave it as it is"));
            }
            all.insert(values, options.clone());
        }
        self.database_mut(&id.catalog, &id.database)?.partitions.insert(id.object.clone(), all);
        Ok(())
    }

    /// DROP PARTITION: all of them or none. Files stay.
    pub fn drop_partitions(
        &mut self,
        id: &ObjectIdentifier,
        table: &CatalogTable,
        partitions: &[Spec],
        if_exists: bool,
    ) -> Result<()> {
        let mut all = self.partitions_of(id).cloned().unwrap_or_default();
        for spec in partitions {
            let values = full(id, table, spec)?;
            if all.remove(&values).is_none() && !if_exists {
                let message = format!("Partition {} of table {} does not exist.", shown(spec), named(id));
                return Err(Error::user(message)
                    .with("table", &id.object)
                    .hint("SHOW PARTITIONS lists those that the catalog knows"));
            }
        }
        self.database_mut(&id.catalog, &id.database)?.partitions.insert(id.object.clone(), all);
        Ok(())
    }

    /// The partitions that fit a (partial) spec, as `k=v/k=v`, sorted.
    pub fn partition_names(&self, id: &ObjectIdentifier, table: &CatalogTable, spec: &Spec) -> Result<Vec<String>> {
        let wanted = values(id, table, spec)?;
        let fits = |v: &&Vec<String>| v.iter().zip(&wanted).all(|(v, w)| w.as_ref().is_none_or(|w| w == v));
        let name = |v: &Vec<String>| {
            table.partition_keys.iter().zip(v).map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("/")
        };
        Ok(self.partitions_of(id).into_iter().flat_map(|all| all.keys()).filter(fits).map(name).collect())
    }

    fn partitions_of(&self, id: &ObjectIdentifier) -> Option<&BTreeMap<Vec<String>, Options>> {
        self.database(&id.catalog, &id.database).ok()?.partitions.get(&id.object)
    }
}
