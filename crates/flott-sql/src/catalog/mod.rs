//! The session's catalogs: databases, tables and views by name, and temporary ones that shadow them.
//!
//! Every catalog is of Flink's type `generic_in_memory`; what has to outlive the session is in its
//! [snapshot](CatalogManager::snapshot).

mod expand;
mod function;
pub mod object;
mod partition;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use expand::place as place_in;
pub use function::{CatalogFunction, CatalogFunctions, FunctionBody, FunctionPlace};
pub use partition::Spec as CatalogPartitionSpec;
pub(crate) use tables::offset;

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_connector::table::{CatalogTable, Column, ObjectIdentifier};
use flott_core::error::{Error, Result};
use flott_core::options::Options;
use flott_core::suggest;

/// The catalog that exists from the start.
pub const DEFAULT_CATALOG: &str = "default_catalog";
/// Its database.
pub const DEFAULT_DATABASE: &str = "default_database";
/// The first database of every other catalog, where `default-database` names no other.
pub const CATALOG_DATABASE: &str = "default";
/// The most names that an error lists.
const NAMES_SHOWN_MAX: usize = 40;
/// Flink's name of the type of a database in a catalog without one.
pub const CATALOG_TYPE: &str = "generic_in_memory";

/// A view as a catalog stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogView {
    /// Its query as written.
    pub text: String,
    /// Its query with full names of tables, which means the same from every current database.
    pub expanded: String,
    /// Its columns, as resolved when it was made.
    pub columns: Vec<Column>,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A table.
    Table(CatalogTable),
    /// A view.
    View(CatalogView),
}

impl Entry {
    /// `table` or `view`.
    pub fn kind(&self) -> &'static str {
        match self {
            Entry::Table(_) => "table",
            Entry::View(_) => "view",
        }
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `WITH (..)`.
    pub options: Options,
    /// Its tables and views by name.
    pub objects: BTreeMap<String, Entry>,
    /// The partitions that ALTER TABLE has added, by table: values in the order of the table's keys, and options.
    pub partitions: BTreeMap<String, BTreeMap<Vec<String>, Options>>,
}

/// A catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `WITH (..)`, with `type`.
    pub options: Options,
    /// Its databases by name.
    pub databases: BTreeMap<String, Database>,
}

/// All catalogs of a session, and which is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogManager {
    catalogs: BTreeMap<String, Catalog>,
    temporary: BTreeMap<ObjectIdentifier, Entry>,
    functions: Arc<CatalogFunctions>,
    current_catalog: String,
    current_database: String,
}

impl Default for CatalogManager {
    fn default() -> CatalogManager {
        let mut options = Options::new();
        options.set("type", CATALOG_TYPE);
        let databases = BTreeMap::from([(DEFAULT_DATABASE.to_string(), Database::default())]);
        CatalogManager {
            catalogs: BTreeMap::from([(DEFAULT_CATALOG.to_string(), Catalog { comment: None, options, databases })]),
            temporary: BTreeMap::new(),
            functions: Arc::default(),
            current_catalog: DEFAULT_CATALOG.into(),
            current_database: DEFAULT_DATABASE.into(),
        }
    }
}

/// An error about a name that is not there, with the nearest one that is.
pub(crate) fn missing<'a>(message: String, name: &str, names: impl IntoIterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = names.into_iter().collect();
    let error = Error::user(message);
    match suggest::nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("Did you mean '{near}'?")),
        None if names.is_empty() || names.len() > NAMES_SHOWN_MAX => error,
        None => error.hint(format!("There are: {}", names.join(", "))),
    }
}

impl CatalogManager {
    /// With `default_catalog.default_database`, which is current.
    pub fn new() -> CatalogManager {
        CatalogManager::default()
    }

    /// The current catalog's name.
    pub fn current_catalog(&self) -> &str {
        &self.current_catalog
    }

    /// The current database's name; empty where the current catalog has none.
    pub fn current_database(&self) -> &str {
        &self.current_database
    }

    /// The catalogs' names, sorted.
    pub fn catalog_names(&self) -> impl Iterator<Item = &str> {
        self.catalogs.keys().map(String::as_str)
    }

    /// A catalog.
    pub fn catalog(&self, name: &str) -> Result<&Catalog> {
        self.catalogs.get(name).ok_or_else(|| self.no_catalog(name))
    }

    fn catalog_mut(&mut self, name: &str) -> Result<&mut Catalog> {
        let error = self.no_catalog(name);
        self.catalogs.get_mut(name).ok_or(error)
    }

    fn no_catalog(&self, name: &str) -> Error {
        missing(format!("A catalog with name [{name}] does not exist."), name, self.catalog_names())
    }

    /// A database.
    pub fn database(&self, catalog: &str, database: &str) -> Result<&Database> {
        let of = self.catalog(catalog)?;
        of.databases.get(database).ok_or_else(|| no_database(of, catalog, database))
    }

    pub(super) fn database_mut(&mut self, catalog: &str, database: &str) -> Result<&mut Database> {
        let of = self.catalog_mut(catalog)?;
        if !of.databases.contains_key(database) {
            return Err(no_database(of, catalog, database));
        }
        of.databases.get_mut(database).ok_or_else(|| Error::internal("a database vanished"))
    }

    /// The full name of an object of one to three parts.
    pub fn qualify(&self, parts: &[&str]) -> Result<ObjectIdentifier> {
        match parts {
            [object] if self.current_database.is_empty() => {
                Err(Error::user(format!("No database is current in catalog '{}'", self.current_catalog))
                    .with("object", object)
                    .hint("USE a database, or write the full name"))
            }
            [object] => Ok(ObjectIdentifier::new(&self.current_catalog, &self.current_database, *object)),
            [database, object] => Ok(ObjectIdentifier::new(&self.current_catalog, *database, *object)),
            [catalog, database, object] => Ok(ObjectIdentifier::new(*catalog, *database, *object)),
            _ => Err(Error::user(format!("'{}' is not a name of one to three parts", parts.join(".")))
                .hint("Write name, database.name or catalog.database.name")),
        }
    }

    /// The functions of the user's own.
    pub fn functions(&self) -> &Arc<CatalogFunctions> {
        &self.functions
    }

    /// The same, to change them.
    pub fn functions_mut(&mut self) -> &mut CatalogFunctions {
        Arc::make_mut(&mut self.functions)
    }

    /// Catalog and database of a name of one or two parts.
    pub fn qualify_database(&self, parts: &[&str]) -> Result<(String, String)> {
        match parts {
            [database] => Ok((self.current_catalog.clone(), database.to_string())),
            [catalog, database] => Ok((catalog.to_string(), database.to_string())),
            _ => Err(Error::user(format!("'{}' is not the name of a database", parts.join(".")))
                .hint("Write database or catalog.database")),
        }
    }

    /// CREATE CATALOG.
    pub fn create_catalog(
        &mut self,
        name: &str,
        comment: Option<String>,
        options: Options,
        if_not_exists: bool,
    ) -> Result<()> {
        if self.catalogs.contains_key(name) {
            if if_not_exists {
                return Ok(());
            }
            return Err(Error::user(format!("Catalog {name} already exists.")).with("catalog", name));
        }
        let default = check_catalog_options(name, &options)?;
        let databases = BTreeMap::from([(default, Database::default())]);
        self.catalogs.insert(name.to_string(), Catalog { comment, options, databases });
        Ok(())
    }

    /// ALTER CATALOG SET, RESET.
    pub fn alter_catalog(&mut self, name: &str, change: impl FnOnce(&mut Options)) -> Result<()> {
        let catalog = self.catalog_mut(name)?;
        let mut options = catalog.options.clone();
        change(&mut options);
        check_catalog_options(name, &options)?;
        catalog.options = options;
        Ok(())
    }

    /// ALTER CATALOG COMMENT.
    pub fn comment_catalog(&mut self, name: &str, comment: &str) -> Result<()> {
        self.catalog_mut(name)?.comment = Some(comment.to_string());
        Ok(())
    }

    /// DROP CATALOG.
    pub fn drop_catalog(&mut self, name: &str, if_exists: bool) -> Result<()> {
        if !self.catalogs.contains_key(name) && if_exists {
            return Ok(());
        }
        self.catalog(name)?;
        if name == self.current_catalog {
            return Err(Error::user("Cannot drop a catalog which is currently in use.")
                .with("catalog", name)
                .hint("USE CATALOG another one first"));
        }
        self.catalogs.remove(name);
        self.temporary.retain(|id, _| id.catalog != name);
        self.functions_mut().forget(name, None);
        Ok(())
    }

    /// USE CATALOG: its default database becomes current too.
    pub fn use_catalog(&mut self, name: &str) -> Result<()> {
        let catalog = self.catalog(name)?;
        let first = if name == DEFAULT_CATALOG { DEFAULT_DATABASE } else { CATALOG_DATABASE };
        let default = catalog.options.get("default-database").unwrap_or(first).to_string();
        self.current_database = if catalog.databases.contains_key(&default) { default } else { String::new() };
        self.current_catalog = name.to_string();
        Ok(())
    }

    /// USE.
    pub fn use_database(&mut self, parts: &[&str]) -> Result<()> {
        let (catalog, database) = self.qualify_database(parts)?;
        self.database(&catalog, &database)?;
        (self.current_catalog, self.current_database) = (catalog, database);
        Ok(())
    }

    /// CREATE DATABASE.
    pub fn create_database(&mut self, parts: &[&str], database: Database, if_not_exists: bool) -> Result<()> {
        let (catalog, name) = self.qualify_database(parts)?;
        let of = self.catalog_mut(&catalog)?;
        if of.databases.contains_key(&name) {
            if if_not_exists {
                return Ok(());
            }
            return Err(Error::user(format!("Database {name} already exists in Catalog {catalog}."))
                .with("database", &name)
                .hint("Add IF NOT EXISTS to leave it as it is"));
        }
        of.databases.insert(name, database);
        Ok(())
    }

    /// ALTER DATABASE SET.
    pub fn alter_database(&mut self, parts: &[&str], change: impl FnOnce(&mut Options)) -> Result<()> {
        let (catalog, name) = self.qualify_database(parts)?;
        change(&mut self.database_mut(&catalog, &name)?.options);
        Ok(())
    }

    /// DROP DATABASE: with `cascade` also what is in it.
    pub fn drop_database(&mut self, parts: &[&str], if_exists: bool, cascade: bool) -> Result<()> {
        let (catalog, name) = self.qualify_database(parts)?;
        let Some(database) = self.catalog(&catalog)?.databases.get(&name) else {
            return if if_exists { Ok(()) } else { self.database(&catalog, &name).map(|_| ()) };
        };
        if catalog == self.current_catalog && name == self.current_database {
            return Err(Error::user("Cannot drop a database which is currently in use.")
                .with("database", &name)
                .hint("USE another one first"));
        }
        let is_empty = database.objects.is_empty() && !self.functions.has_permanent(&catalog, &name);
        if !is_empty && !cascade {
            return Err(Error::user(format!("Database {name} in catalog {catalog} is not empty."))
                .with("database", &name)
                .hint("DROP DATABASE .. CASCADE drops its tables and views too"));
        }
        self.catalog_mut(&catalog)?.databases.remove(&name);
        self.functions_mut().forget(&catalog, Some(&name));
        Ok(())
    }
}

fn no_database(of: &Catalog, catalog: &str, database: &str) -> Error {
    let message = format!("A database with name [{database}] does not exist in the catalog: [{catalog}].");
    missing(message, database, of.databases.keys().map(String::as_str))
}

/// The name of the catalog's default database, if its options are right.
fn check_catalog_options(name: &str, options: &Options) -> Result<String> {
    let wrong = |message: String| Err(Error::user(message).with("catalog", name));
    match options.get("type") {
        None => {
            return wrong("Catalog options do not contain the option 'type'".into())
                .map_err(|e| e.hint(format!("Add 'type' = '{CATALOG_TYPE}'")));
        }
        Some(CATALOG_TYPE) => {}
        Some(other) => {
            return wrong(format!("Unknown catalog type '{other}'"))
                .map_err(|e| e.hint(format!("Only '{CATALOG_TYPE}' is supported")));
        }
    }
    for (key, _) in options.iter() {
        if !["type", "default-database"].contains(&key) {
            return wrong(format!("Unsupported option '{key}' for catalog '{name}'"))
                .map_err(|e| e.hint("Supported options: default-database, type"));
        }
    }
    Ok(options.get("default-database").unwrap_or(CATALOG_DATABASE).to_string())
}
