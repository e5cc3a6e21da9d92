//! Tables and views: look up, create, change, drop, rename.

use std::collections::BTreeSet;

use flott_connector::table::{CatalogTable, ObjectIdentifier};
use flott_core::error::{Error, Result};

use super::{CatalogManager, Entry, missing};

/// What CREATE does where the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfTaken {
    /// An error.
    Fail,
    /// IF NOT EXISTS.
    Keep,
    /// OR REPLACE.
    Replace,
}

impl CatalogManager {
    /// The object of a full name: a temporary one shadows the permanent one.
    pub fn entry(&self, id: &ObjectIdentifier) -> Option<&Entry> {
        self.temporary.get(id).or_else(|| self.permanent(id))
    }

    fn permanent(&self, id: &ObjectIdentifier) -> Option<&Entry> {
        self.catalog(&id.catalog).ok()?.databases.get(&id.database)?.objects.get(&id.object)
    }

    /// Whether the name stands for a temporary object.
    pub fn is_temporary(&self, id: &ObjectIdentifier) -> bool {
        self.temporary.contains_key(id)
    }

    /// The object of a name of one to three parts, or an error with the nearest name.
    pub fn resolve(&self, parts: &[&str], kind: &str) -> Result<(ObjectIdentifier, &Entry)> {
        let id = self.qualify(parts)?;
        match self.entry(&id) {
            Some(entry) => Ok((id, entry)),
            None => Err(self.no_object(&id, kind)),
        }
    }

    /// The table of a name; an error where it is a view.
    pub fn table(&self, parts: &[&str]) -> Result<(ObjectIdentifier, &CatalogTable)> {
        match self.resolve(parts, "Table")? {
            (id, Entry::Table(table)) => Ok((id, table)),
            (id, Entry::View(_)) => Err(Error::user(format!("{id} is a view, not a table")).with("table", &id.object)),
        }
    }

    /// The error for a name without an object.
    pub(crate) fn no_object(&self, id: &ObjectIdentifier, kind: &str) -> Error {
        if let Err(error) = self.database(&id.catalog, &id.database) {
            return error;
        }
        // Who looks for a view is not helped by a table.
        let fits = |e: &Entry| kind != "View" || matches!(e, Entry::View(_));
        let names = self.object_names(&id.catalog, &id.database, fits);
        let message = format!("{kind} with identifier '{id}' does not exist.");
        missing(message, &id.object, names.iter().map(String::as_str))
    }

    /// The names in a database that fit, temporary ones too, sorted.
    pub fn object_names(&self, catalog: &str, database: &str, fits: impl Fn(&Entry) -> bool) -> BTreeSet<String> {
        let permanent = self.database(catalog, database).ok().into_iter().flat_map(|d| d.objects.keys());
        let temporary = self.temporary.keys().filter(|id| id.catalog == catalog && id.database == database);
        let names: BTreeSet<&String> = permanent.chain(temporary.map(|id| &id.object)).collect();
        names
            .into_iter()
            .filter(|n| self.entry(&ObjectIdentifier::new(catalog, database, n.as_str())).is_some_and(&fits))
            .cloned()
            .collect()
    }

    /// Adds an object; false where there was one and it was kept.
    pub fn create(&mut self, id: ObjectIdentifier, entry: Entry, temporary: bool, taken: IfTaken) -> Result<bool> {
        let objects = &self.database(&id.catalog, &id.database)?.objects;
        let old = if temporary { self.temporary.get(&id) } else { objects.get(&id.object) };
        match (old, taken) {
            (None, _) => {}
            (Some(_), IfTaken::Keep) => return Ok(false),
            (Some(old), IfTaken::Replace) if old.kind() == entry.kind() => {}
            (Some(old), _) => {
                let is = if temporary { format!("Temporary {}", old.kind()) } else { capital(old.kind()) };
                return Err(Error::user(format!("{is} with identifier '{id}' already exists."))
                    .with("object", &id.object)
                    .hint("Drop it first, or add IF NOT EXISTS to leave it as it is"));
            }
        }
        if !temporary {
            // What is replaced takes its partitions with it.
            self.database_mut(&id.catalog, &id.database)?.partitions.remove(&id.object);
        }
        self.put(id, entry, temporary)?;
        Ok(true)
    }

    fn put(&mut self, id: ObjectIdentifier, entry: Entry, temporary: bool) -> Result<()> {
        if temporary {
            self.temporary.insert(id, entry);
        } else {
            self.database_mut(&id.catalog, &id.database)?.objects.insert(id.object, entry);
        }
        Ok(())
    }

    /// Puts a changed object in the place of the one that its name stands for.
    pub fn replace(&mut self, id: &ObjectIdentifier, entry: Entry) -> Result<()> {
        let temporary = self.is_temporary(id);
        self.put(id.clone(), entry, temporary)
    }

    /// DROP TABLE, DROP VIEW: `temporary` says which one is meant, as in Flink.
    pub fn drop_object(&mut self, id: &ObjectIdentifier, kind: &str, temporary: bool, if_exists: bool) -> Result<()> {
        let shown = capital(kind);
        if temporary {
            return match self.temporary.get(id) {
                Some(entry) if entry.kind() == kind => {
                    self.temporary.remove(id);
                    Ok(())
                }
                _ if if_exists => Ok(()),
                _ => Err(Error::user(format!("Temporary {kind} with identifier '{id}' does not exist."))
                    .with("object", &id.object)),
            };
        }
        if self.temporary.get(id).is_some_and(|e| e.kind() == kind) {
            return Err(Error::user(format!(
                "Temporary {kind} with identifier '{id}' exists. Drop it first before removing the permanent {kind}."
            ))
            .with("object", &id.object)
            .hint(format!("DROP TEMPORARY {} {id}", kind.to_uppercase())));
        }
        match self.permanent(id) {
            Some(entry) if entry.kind() == kind => {
                let database = self.database_mut(&id.catalog, &id.database)?;
                database.objects.remove(&id.object);
                database.partitions.remove(&id.object);
                Ok(())
            }
            Some(entry) if !if_exists => Err(Error::user(format!("{shown} with identifier '{id}' does not exist."))
                .with("object", &id.object)
                .hint(format!("It is a {0}: DROP {1} {id}", entry.kind(), entry.kind().to_uppercase()))),
            _ if if_exists => Ok(()),
            _ => Err(self.no_object(id, &shown)),
        }
    }

    /// RENAME TO: the new name stays in the old one's catalog.
    pub fn rename(&mut self, from: &ObjectIdentifier, to: &ObjectIdentifier) -> Result<()> {
        if from.catalog != to.catalog {
            return Err(Error::user(
                "The catalog name of the new table name must be the same as the origin table name.",
            )
            .with("object", &from.object)
            .hint(format!("Rename within catalog '{}'", from.catalog)));
        }
        if self.is_temporary(from) {
            return Err(Error::user(format!("Temporary object {from} cannot be renamed")).with("object", &from.object));
        }
        self.database(&to.catalog, &to.database)?;
        if let Some(old) = self.permanent(to) {
            return Err(Error::user(format!("{} with identifier '{to}' already exists.", capital(old.kind())))
                .with("object", &to.object));
        }
        let database = self.database_mut(&from.catalog, &from.database)?;
        let (entry, partitions) = (database.objects.remove(&from.object), database.partitions.remove(&from.object));
        let entry = entry.ok_or_else(|| self.no_object(from, "Table"))?;
        self.put(to.clone(), entry, false)?;
        if let Some(partitions) = partitions {
            self.database_mut(&to.catalog, &to.database)?.partitions.insert(to.object.clone(), partitions);
        }
        Ok(())
    }
}

fn capital(kind: &str) -> String {
    if kind == "view" { "View".into() } else { "Table".into() }
}
