//! The words that a statement of a session may use, for completion.

use std::collections::BTreeMap;

use flott_connector::table::ObjectIdentifier;
use flott_sql::catalog::{CatalogManager, Entry};

use crate::Session;

/// Names of the catalogs, as they are when it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Catalogs.
    pub catalogs: Vec<String>,
    /// Databases of the current catalog.
    pub databases: Vec<String>,
    /// Tables and views of the current database, each with its columns.
    pub tables: BTreeMap<String, Vec<String>>,
}

impl Session {
    /// The names that a statement may use now.
    pub fn vocabulary(&self) -> Vocabulary {
        let catalog = self.catalog();
        let current = catalog.current_catalog();
        let databases = catalog.catalog(current).map(|c| c.databases.keys().cloned().collect()).unwrap_or_default();
        Vocabulary {
            catalogs: catalog.catalog_names().map(str::to_string).collect(),
            databases,
            tables: tables(catalog),
        }
    }
}

fn tables(catalog: &CatalogManager) -> BTreeMap<String, Vec<String>> {
    let (current, database) = (catalog.current_catalog(), catalog.current_database());
    let names = catalog.object_names(current, database, |_| true);
    let columns = |name: &String| {
        let columns = match catalog.entry(&ObjectIdentifier::new(current, database, name.as_str()))? {
            Entry::Table(table) => &table.schema.columns,
            Entry::View(view) => &view.columns,
        };
        Some(columns.iter().map(|c| c.name.clone()).collect())
    };
    names.iter().map(|name| (name.clone(), columns(name).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_follow_the_current_database() {
        let mut session = Session::builder().build().unwrap();
        let script = "CREATE TABLE t (a INT, b AS a + 1) WITH ('connector' = 'blackhole');
            CREATE TEMPORARY VIEW v AS SELECT 1 AS one; CREATE DATABASE d;";
        for statement in session.parse(script).unwrap() {
            drop(session.execute(&statement).await.unwrap());
        }
        let words = session.vocabulary();
        assert_eq!(words.catalogs, ["default_catalog"]);
        assert_eq!(words.databases, ["d", "default_database"]);
        assert_eq!(words.tables["t"], ["a", "b"]);
        assert_eq!(words.tables["v"], ["one"]);
        let used = session.parse("USE d").unwrap().remove(0);
        drop(session.execute(&used).await.unwrap());
        assert!(session.vocabulary().tables.is_empty());
    }
}
