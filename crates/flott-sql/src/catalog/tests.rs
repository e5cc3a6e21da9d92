//! Names, shadowing, drops, full names in views, snapshots.

use flott_connector::table::{CatalogTable, Column, ObjectIdentifier, PrimaryKey, ResolvedSchema, WatermarkSpec};
use flott_core::options::Options;
use flott_core::types::{LogicalType, TimeAttribute, TypeKind};

use super::object::IfTaken;
use super::{CATALOG_TYPE, CatalogManager, CatalogView, Database, Entry};
use crate::bind::{CatalogObject, Tables};

fn table(columns: &[&str]) -> Entry {
    let columns = columns.iter().map(|n| Column::physical(*n, LogicalType::from(TypeKind::Int))).collect();
    Entry::Table(CatalogTable { schema: ResolvedSchema { columns, ..Default::default() }, ..Default::default() })
}

fn add(catalog: &mut CatalogManager, name: &[&str], entry: Entry, temporary: bool) {
    let id = catalog.qualify(name).expect("a name");
    assert!(catalog.create(id, entry, temporary, IfTaken::Fail).expect("created"));
}

#[test]
fn temporary_objects_shadow_permanent_ones() {
    let mut catalog = CatalogManager::new();
    add(&mut catalog, &["t"], table(&["permanent"]), false);
    add(&mut catalog, &["t"], table(&["temporary"]), true);
    let first = |catalog: &CatalogManager| catalog.table(&["t"]).expect("there").1.schema.columns[0].name.clone();
    assert_eq!(first(&catalog), "temporary");
    let id = catalog.qualify(&["t"]).expect("a name");
    let error = catalog.drop_object(&id, "table", false, true).expect_err("shadowed").to_string();
    assert!(error.contains("Drop it first before removing the permanent table"), "{error}");
    catalog.drop_object(&id, "table", true, false).expect("dropped");
    assert_eq!(first(&catalog), "permanent");
    assert!(catalog.drop_object(&id, "table", true, false).is_err());
    catalog.drop_object(&id, "table", true, true).expect("IF EXISTS");
    catalog.drop_object(&id, "table", false, false).expect("dropped");
    assert!(catalog.table(&["t"]).is_err());
}

#[test]
fn names_of_one_to_three_parts() {
    let mut catalog = CatalogManager::new();
    catalog.create_database(&["db"], Database::default(), false).expect("created");
    add(&mut catalog, &["db", "orders"], table(&["a"]), false);
    for name in [&["db", "orders"][..], &["default_catalog", "db", "orders"]] {
        let name: Vec<String> = name.iter().map(|n| n.to_string()).collect();
        let found = catalog.lookup(&name).expect("a name");
        assert!(matches!(found, Some(CatalogObject::Table(..))), "{name:?}");
    }
    assert!(catalog.lookup(&["orders".into()]).expect("a name").is_none());
    assert!(catalog.names().contains(&"default_catalog.db.orders".to_string()));
    catalog.use_database(&["db"]).expect("used");
    assert_eq!(catalog.names(), ["orders"]);
    let error = catalog.table(&["order"]).expect_err("another name").to_string();
    assert!(error.contains("Did you mean 'orders'?"), "{error}");
    assert!(catalog.qualify(&["a", "b", "c", "d"]).is_err());
}

#[test]
fn catalogs_and_databases() {
    let mut catalog = CatalogManager::new();
    let options: Options = [("type", CATALOG_TYPE), ("default-database", "first")].into_iter().collect();
    catalog.create_catalog("c", None, options, false).expect("created");
    let wrong: Options = [("type", "hive")].into_iter().collect();
    assert!(catalog.create_catalog("d", None, wrong, false).is_err());
    assert!(catalog.create_catalog("d", None, Options::new(), false).is_err());
    catalog.use_catalog("c").expect("used");
    assert_eq!((catalog.current_catalog(), catalog.current_database()), ("c", "first"));
    assert!(catalog.drop_catalog("c", false).is_err());
    catalog.create_database(&["db"], Database::default(), false).expect("created");
    assert!(catalog.create_database(&["db"], Database::default(), false).is_err());
    catalog.create_database(&["db"], Database::default(), true).expect("IF NOT EXISTS");
    add(&mut catalog, &["db", "t"], table(&["a"]), false);
    assert!(catalog.drop_database(&["db"], false, false).is_err());
    catalog.drop_database(&["db"], false, true).expect("CASCADE");
    assert!(catalog.drop_database(&["first"], false, true).is_err(), "it is current");
    catalog.drop_database(&["db"], true, false).expect("IF EXISTS");
    catalog.use_catalog("default_catalog").expect("used");
    catalog.drop_catalog("c", false).expect("dropped");
    catalog.drop_catalog("c", true).expect("IF EXISTS");
    assert!(catalog.use_catalog("c").is_err());
}

#[test]
fn the_text_of_a_view_gets_full_names() {
    let mut catalog = CatalogManager::new();
    add(&mut catalog, &["t"], table(&["a"]), false);
    add(&mut catalog, &["ü t"], table(&["a"]), false);
    let full = "`default_catalog`.`default_database`";
    for (text, expected) in [
        ("SELECT t.a FROM t", format!("SELECT t.a FROM {full}.`t`")),
        (
            "SELECT 'ä', x.a\n FROM t AS x\n JOIN `ü t` y ON x.a = y.a",
            format!("SELECT 'ä', x.a\n FROM {full}.`t` AS x\n JOIN {full}.`ü t` y ON x.a = y.a"),
        ),
        (
            "SELECT a FROM default_database.t WHERE a IN (SELECT a FROM t)",
            format!("SELECT a FROM {full}.`t` WHERE a IN (SELECT a FROM {full}.`t`)"),
        ),
        ("WITH t AS (SELECT 1 AS a) SELECT a FROM t", "WITH t AS (SELECT 1 AS a) SELECT a FROM t".into()),
    ] {
        assert_eq!(catalog.expand(text).unwrap_or_else(|e| panic!("{text}: {e}")), expected);
    }
}

#[test]
fn a_snapshot_keeps_everything() {
    let mut catalog = CatalogManager::new();
    let rowtime = LogicalType::from(TypeKind::Timestamp(3, TimeAttribute::Rowtime));
    let mut columns = vec![Column::physical("a", LogicalType::from(TypeKind::Int).with_nullable(false))];
    columns.push(Column { comment: Some("c".into()), ..Column::physical("ts", rowtime) });
    let schema = ResolvedSchema {
        columns: columns.clone(),
        watermark: Some(WatermarkSpec { rowtime: "ts".into(), expression: "ts".into() }),
        primary_key: Some(PrimaryKey { name: "PK_a".into(), columns: vec!["a".into()] }),
    };
    let options = [("z", "1"), ("a", "2")].into_iter().collect();
    let made = CatalogTable {
        schema,
        partition_keys: vec!["a".into()],
        options,
        comment: Some("t".into()),
        distribution: None,
    };
    add(&mut catalog, &["t"], Entry::Table(made), false);
    let view = CatalogView { text: "SELECT 1".into(), expanded: "SELECT 1".into(), columns, comment: None };
    add(&mut catalog, &["v"], Entry::View(view), true);
    catalog.create_database(&["db"], Database::default(), false).expect("created");
    catalog.use_database(&["db"]).expect("used");
    assert_eq!(CatalogManager::from_snapshot(catalog.snapshot()).expect("read"), catalog);
    assert!(CatalogManager::from_snapshot(serde_json::json!({"catalogs": 1})).is_err());
}

#[test]
fn a_rename_stays_in_its_catalog() {
    let mut catalog = CatalogManager::new();
    add(&mut catalog, &["t"], table(&["a"]), false);
    add(&mut catalog, &["u"], table(&["a"]), false);
    let id = |name: &str| ObjectIdentifier::new("default_catalog", "default_database", name);
    assert!(catalog.rename(&id("t"), &id("u")).is_err());
    assert!(catalog.rename(&id("t"), &ObjectIdentifier::new("c", "d", "t")).is_err());
    catalog.rename(&id("t"), &id("w")).expect("renamed");
    assert!(catalog.entry(&id("t")).is_none() && catalog.entry(&id("w")).is_some());
}
