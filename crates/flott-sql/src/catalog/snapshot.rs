//! Catalogs as JSON, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flott_connector::function::{FunctionArtifact, FunctionSignature};
use flott_connector::table::{
    CatalogTable, Column, ColumnKind, ObjectIdentifier, PrimaryKey, ResolvedSchema, WatermarkSpec,
};
use flott_core::LogicalType;
use flott_core::error::{Error, Result};
use flott_core::options::Options;
use serde::{Deserialize, Serialize};

use super::{
    Catalog, CatalogFunction, CatalogFunctions, CatalogManager, CatalogView, Database, Entry, FunctionBody,
    FunctionPlace,
};

/// Pairs in order, as options are.
type Pairs = Vec<(String, String)>;

#[derive(Serialize, Deserialize)]
struct SavedManager {
    current_catalog: String,
    current_database: String,
    catalogs: BTreeMap<String, SavedCatalog>,
    temporary: Vec<(String, String, String, SavedEntry)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    functions: Vec<SavedFunction>,
    /// The code of functions, in base64, by its digest: a module may have many functions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    artifacts: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct SavedFunction {
    /// Catalog, database and name; a system function has its name alone.
    name: Vec<String>,
    temporary: bool,
    parameters: Vec<(String, String)>,
    returns: String,
    /// SQL; empty where it is code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_table: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact: Option<SavedArtifact>,
}

/// The code itself: a job goes on without the file.
#[derive(Serialize, Deserialize)]
struct SavedArtifact {
    language: String,
    symbol: String,
    location: String,
    options: Pairs,
    digest: String,
    /// The code, where it is not among the artifacts: so it was stored once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    base64: String,
}

#[derive(Serialize, Deserialize)]
struct SavedCatalog {
    comment: Option<String>,
    options: Pairs,
    databases: BTreeMap<String, SavedDatabase>,
}

#[derive(Serialize, Deserialize)]
struct SavedDatabase {
    comment: Option<String>,
    options: Pairs,
    objects: BTreeMap<String, SavedEntry>,
    /// Table, values, options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partitions: Vec<(String, Vec<String>, Pairs)>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "object", rename_all = "lowercase")]
enum SavedEntry {
    Table {
        columns: Vec<SavedColumn>,
        watermark: Option<(String, String)>,
        primary_key: Option<(String, Vec<String>)>,
        partition_keys: Vec<String>,
        options: Pairs,
        comment: Option<String>,
        distribution: Option<String>,
    },
    View {
        text: String,
        expanded: String,
        columns: Vec<SavedColumn>,
        comment: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
struct SavedColumn {
    name: String,
    /// The type's summary, which keeps the time attribute.
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    /// Key and VIRTUAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<(Option<String>, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

impl CatalogManager {
    /// Everything as JSON.
    pub fn snapshot(&self) -> serde_json::Value {
        let mut artifacts = BTreeMap::new();
        for (_, function) in self.functions.iter() {
            if let FunctionBody::Artifact(a) = &function.body {
                artifacts.entry(a.digest().to_string()).or_insert_with(|| BASE64.encode(a.bytes()));
            }
        }
        let saved = SavedManager {
            current_catalog: self.current_catalog.clone(),
            current_database: self.current_database.clone(),
            catalogs: self.catalogs.iter().map(|(n, c)| (n.clone(), save_catalog(c))).collect(),
            temporary: self
                .temporary
                .iter()
                .map(|(id, e)| (id.catalog.clone(), id.database.clone(), id.object.clone(), save_entry(e)))
                .collect(),
            functions: self.functions.iter().map(|(place, f)| save_function(place, f)).collect(),
            artifacts,
        };
        // Plain structs with text keys cannot fail to become JSON.
        serde_json::to_value(saved).unwrap_or_default()
    }

    /// From what [`snapshot`](Self::snapshot) made.
    pub fn from_snapshot(value: serde_json::Value) -> Result<CatalogManager> {
        let saved: SavedManager = serde_json::from_value(value)
            .map_err(|e| Error::data("The stored catalogs cannot be read").caused_by(e))?;
        let mut catalogs = BTreeMap::new();
        for (name, c) in saved.catalogs {
            let mut databases = BTreeMap::new();
            for (database, d) in c.databases {
                let objects = d.objects.into_iter().map(|(n, e)| Ok((n, load_entry(e)?))).collect::<Result<_>>()?;
                let mut partitions: BTreeMap<String, BTreeMap<Vec<String>, Options>> = BTreeMap::new();
                for (table, values, options) in d.partitions {
                    partitions.entry(table).or_default().insert(values, options.into_iter().collect());
                }
                let options = d.options.into_iter().collect();
                let loaded = Database { comment: d.comment, options, objects, partitions };
                databases.insert(database, loaded);
            }
            catalogs.insert(name, Catalog { comment: c.comment, options: c.options.into_iter().collect(), databases });
        }
        let temporary = saved
            .temporary
            .into_iter()
            .map(|(c, d, o, e)| Ok((ObjectIdentifier::new(c, d, o), load_entry(e)?)))
            .collect::<Result<_>>()?;
        let mut functions = CatalogFunctions::default();
        let artifacts = saved.artifacts.iter().map(|(digest, text)| Ok((digest.clone(), decoded(text)?)));
        let artifacts = artifacts.collect::<Result<BTreeMap<String, Bytes>>>()?;
        for f in saved.functions {
            let (place, function) = load_function(f, &artifacts)?;
            functions.create(&place, function, false)?;
        }
        let functions = Arc::new(functions);
        let (current_catalog, current_database) = (saved.current_catalog, saved.current_database);
        Ok(CatalogManager { catalogs, temporary, functions, current_catalog, current_database })
    }
}

fn save_function(place: &FunctionPlace, f: &CatalogFunction) -> SavedFunction {
    let full = |id: &ObjectIdentifier| vec![id.catalog.clone(), id.database.clone(), id.object.clone()];
    let (name, temporary) = match place {
        FunctionPlace::System(name) => (vec![name.clone()], true),
        FunctionPlace::Temporary(id) => (full(id), true),
        FunctionPlace::Permanent(id) => (full(id), false),
    };
    let (body, artifact) = match &f.body {
        FunctionBody::Sql(text) => (text.clone(), None),
        FunctionBody::Artifact(a) => {
            let saved = SavedArtifact {
                language: a.language.clone(),
                symbol: a.symbol.clone(),
                location: a.location.clone(),
                options: pairs(&a.options),
                digest: a.digest().to_string(),
                base64: String::new(),
            };
            (String::new(), Some(saved))
        }
    };
    let FunctionSignature { parameters, returns, is_table } = &f.signature;
    SavedFunction {
        name,
        temporary,
        parameters: parameters.iter().map(|(n, t)| (n.clone(), t.to_string())).collect(),
        returns: returns.to_string(),
        body,
        is_table: *is_table,
        artifact,
    }
}

fn load_function(f: SavedFunction, artifacts: &BTreeMap<String, Bytes>) -> Result<(FunctionPlace, CatalogFunction)> {
    let place = match (f.name.as_slice(), f.temporary) {
        ([name], true) => FunctionPlace::System(name.clone()),
        ([c, d, o], true) => FunctionPlace::Temporary(ObjectIdentifier::new(c, d, o.as_str())),
        ([c, d, o], false) => FunctionPlace::Permanent(ObjectIdentifier::new(c, d, o.as_str())),
        _ => return Err(Error::data("The stored catalogs have a function without a name")),
    };
    let parameters = f.parameters.into_iter().map(|(n, t)| Ok((n, t.parse()?))).collect::<Result<_>>()?;
    let signature = FunctionSignature { parameters, returns: f.returns.parse()?, is_table: f.is_table };
    let body = match f.artifact {
        None => FunctionBody::Sql(f.body),
        Some(saved) => FunctionBody::Artifact(Arc::new(load_artifact(saved, artifacts)?)),
    };
    Ok((place, CatalogFunction { signature, body }))
}

fn decoded(base64: &str) -> Result<Bytes> {
    let bytes = BASE64.decode(base64);
    bytes.map(Bytes::from).map_err(|e| Error::data("The stored code of a function cannot be read").caused_by(e))
}

fn load_artifact(saved: SavedArtifact, artifacts: &BTreeMap<String, Bytes>) -> Result<FunctionArtifact> {
    let bytes = match artifacts.get(&saved.digest) {
        Some(bytes) => bytes.clone(),
        None => decoded(&saved.base64)?,
    };
    let options = saved.options.into_iter().collect();
    let artifact = FunctionArtifact::new(saved.language, saved.symbol, saved.location, bytes, options);
    if artifact.digest() != saved.digest {
        return Err(Error::data(format!("The stored code of a function ({}) has another SHA-256", artifact.location))
            .hint("Restore from another checkpoint, or start over"));
    }
    Ok(artifact)
}

fn pairs(options: &Options) -> Pairs {
    options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn save_catalog(c: &Catalog) -> SavedCatalog {
    let save = |d: &Database| SavedDatabase {
        comment: d.comment.clone(),
        options: pairs(&d.options),
        objects: d.objects.iter().map(|(n, e)| (n.clone(), save_entry(e))).collect(),
        partitions: d
            .partitions
            .iter()
            .flat_map(|(table, all)| all.iter().map(|(v, o)| (table.clone(), v.clone(), pairs(o))))
            .collect(),
    };
    SavedCatalog {
        comment: c.comment.clone(),
        options: pairs(&c.options),
        databases: c.databases.iter().map(|(n, d)| (n.clone(), save(d))).collect(),
    }
}

fn save_columns(columns: &[Column]) -> Vec<SavedColumn> {
    let save = |c: &Column| {
        let (expression, metadata) = match &c.kind {
            ColumnKind::Physical => (None, None),
            ColumnKind::Computed { expression } => (Some(expression.clone()), None),
            ColumnKind::Metadata { key, is_virtual } => (None, Some((key.clone(), *is_virtual))),
        };
        let (name, data_type) = (c.name.clone(), c.data_type.to_string());
        SavedColumn { name, data_type, expression, metadata, comment: c.comment.clone() }
    };
    columns.iter().map(save).collect()
}

fn save_entry(entry: &Entry) -> SavedEntry {
    match entry {
        Entry::Table(t) => SavedEntry::Table {
            columns: save_columns(&t.schema.columns),
            watermark: t.schema.watermark.as_ref().map(|w| (w.rowtime.clone(), w.expression.clone())),
            primary_key: t.schema.primary_key.as_ref().map(|k| (k.name.clone(), k.columns.clone())),
            partition_keys: t.partition_keys.clone(),
            options: pairs(&t.options),
            comment: t.comment.clone(),
            distribution: t.distribution.clone(),
        },
        Entry::View(v) => SavedEntry::View {
            text: v.text.clone(),
            expanded: v.expanded.clone(),
            columns: save_columns(&v.columns),
            comment: v.comment.clone(),
        },
    }
}

fn load_columns(columns: Vec<SavedColumn>) -> Result<Vec<Column>> {
    let load = |c: SavedColumn| {
        let kind = match (c.expression, c.metadata) {
            (Some(expression), _) => ColumnKind::Computed { expression },
            (None, Some((key, is_virtual))) => ColumnKind::Metadata { key, is_virtual },
            (None, None) => ColumnKind::Physical,
        };
        Ok(Column { data_type: c.data_type.parse::<LogicalType>()?, name: c.name, kind, comment: c.comment })
    };
    columns.into_iter().map(load).collect()
}

fn load_entry(saved: SavedEntry) -> Result<Entry> {
    Ok(match saved {
        SavedEntry::Table { columns, watermark, primary_key, partition_keys, options, comment, distribution } => {
            let schema = ResolvedSchema {
                columns: load_columns(columns)?,
                watermark: watermark.map(|(rowtime, expression)| WatermarkSpec { rowtime, expression }),
                primary_key: primary_key.map(|(name, columns)| PrimaryKey { name, columns }),
            };
            let options = options.into_iter().collect();
            Entry::Table(CatalogTable { schema, partition_keys, options, comment, distribution })
        }
        SavedEntry::View { text, expanded, columns, comment } => {
            Entry::View(CatalogView { text, expanded, columns: load_columns(columns)?, comment })
        }
    })
}
