//! Functions of the user's own, by name. Names are not case-sensitive, as those of built-in functions are not.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_connector::function::{FunctionArtifact, FunctionSignature};
use flott_connector::table::ObjectIdentifier;
use flott_core::error::{Error, Result};

/// A function as a catalog stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFunction {
    /// What it takes and gives.
    pub signature: FunctionSignature,
    /// What it is.
    pub body: FunctionBody,
}

/// What a function of a catalog is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionBody {
    /// LANGUAGE SQL: the expression over the parameters; of a table function the query.
    Sql(String),
    /// Code of another language.
    Artifact(Arc<FunctionArtifact>),
}

impl CatalogFunction {
    /// The language that it is written in.
    pub fn language(&self) -> &str {
        match &self.body {
            FunctionBody::Sql(_) => "SQL",
            FunctionBody::Artifact(artifact) => &artifact.language,
        }
    }
}

/// Where a function belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FunctionPlace {
    /// TEMPORARY SYSTEM: of the session, before all others.
    System(String),
    /// TEMPORARY: of the session, under a name in a database.
    Temporary(ObjectIdentifier),
    /// Of a database.
    Permanent(ObjectIdentifier),
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogFunctions {
    by_place: BTreeMap<FunctionPlace, CatalogFunction>,
}

fn lower(id: &ObjectIdentifier) -> ObjectIdentifier {
    ObjectIdentifier::new(&id.catalog, &id.database, id.object.to_lowercase())
}

impl FunctionPlace {
    fn normalized(&self) -> FunctionPlace {
        match self {
            FunctionPlace::System(name) => FunctionPlace::System(name.to_lowercase()),
            FunctionPlace::Temporary(id) => FunctionPlace::Temporary(lower(id)),
            FunctionPlace::Permanent(id) => FunctionPlace::Permanent(lower(id)),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            FunctionPlace::System(_) => "Temporary system function",
            FunctionPlace::Temporary(_) => "Temporary catalog function",
            FunctionPlace::Permanent(_) => "Function",
        }
    }

    fn name(&self) -> String {
        match self {
            FunctionPlace::System(name) => name.clone(),
            FunctionPlace::Temporary(id) | FunctionPlace::Permanent(id) => id.to_string(),
        }
    }

    /// The database that it belongs to.
    fn identifier(&self) -> Option<&ObjectIdentifier> {
        match self {
            FunctionPlace::System(_) => None,
            FunctionPlace::Temporary(id) | FunctionPlace::Permanent(id) => Some(id),
        }
    }
}

impl CatalogFunctions {
    /// The temporary system function of this name: it comes before a built-in one.
    pub fn system(&self, name: &str) -> Option<&CatalogFunction> {
        self.by_place.get(&FunctionPlace::System(name.to_lowercase()))
    }

    /// The function of a database; a temporary one comes first.
    pub fn of_database(&self, id: &ObjectIdentifier) -> Option<&CatalogFunction> {
        let id = lower(id);
        let temporary = self.by_place.get(&FunctionPlace::Temporary(id.clone()));
        temporary.or_else(|| self.by_place.get(&FunctionPlace::Permanent(id)))
    }

    /// Whether a function anywhere has this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.by_place.keys().any(|place| match place {
            FunctionPlace::System(own) => *own == name,
            FunctionPlace::Temporary(id) | FunctionPlace::Permanent(id) => id.object == name,
        })
    }

    /// Whether there is a function at this place.
    pub fn is_taken(&self, place: &FunctionPlace) -> bool {
        self.by_place.contains_key(&place.normalized())
    }

    /// Whether what [`of_database`](Self::of_database) finds is a temporary one.
    pub fn is_temporary(&self, id: &ObjectIdentifier) -> bool {
        self.by_place.contains_key(&FunctionPlace::Temporary(lower(id)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionPlace, &CatalogFunction)> {
        self.by_place.iter()
    }

    /// Adds one; false where there was one and it was kept.
    pub fn create(&mut self, place: &FunctionPlace, function: CatalogFunction, keep: bool) -> Result<bool> {
        let place = place.normalized();
        if self.by_place.contains_key(&place) {
            if keep {
                return Ok(false);
            }
            return Err(Error::user(format!("{} '{}' already exists.", place.kind(), place.name()))
                .hint("Drop it first, or add IF NOT EXISTS to leave it as it is"));
        }
        self.by_place.insert(place, function);
        Ok(true)
    }

    /// Drops one.
    pub fn drop(&mut self, place: &FunctionPlace, if_exists: bool) -> Result<()> {
        let place = place.normalized();
        if self.by_place.remove(&place).is_none() && !if_exists {
            return Err(Error::user(format!("{} '{}' does not exist.", place.kind(), place.name()))
                .hint("SHOW USER FUNCTIONS lists those that there are; built-in functions cannot be dropped"));
        }
        Ok(())
    }

    /// Whether a database has any that stay.
    pub fn has_permanent(&self, catalog: &str, database: &str) -> bool {
        let of = |p: &FunctionPlace| matches!(p, FunctionPlace::Permanent(id) if id.catalog == catalog && id.database == database);
        self.by_place.keys().any(of)
    }

    /// Forgets those of a database, or of a whole catalog.
    pub fn forget(&mut self, catalog: &str, database: Option<&str>) {
        self.by_place.retain(|place, _| {
            place.identifier().is_none_or(|id| id.catalog != catalog || database.is_some_and(|d| d != id.database))
        });
    }

    /// The names that a query sees in a database, sorted.
    pub fn names(&self, catalog: &str, database: &str) -> Vec<String> {
        let seen = |p: &FunctionPlace| match p {
            FunctionPlace::System(name) => Some(name.clone()),
            FunctionPlace::Temporary(id) | FunctionPlace::Permanent(id) => {
                (id.catalog == catalog && id.database == database).then(|| id.object.clone())
            }
        };
        let mut names: Vec<String> = self.by_place.keys().filter_map(seen).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogManager;

    fn function(body: &str) -> CatalogFunction {
        let signature = FunctionSignature::scalar(&[("a", "INT")], "INT").expect("a signature");
        CatalogFunction { signature, body: FunctionBody::Sql(body.to_string()) }
    }

    fn body(function: Option<&CatalogFunction>) -> Option<&str> {
        match &function?.body {
            FunctionBody::Sql(text) => Some(text),
            FunctionBody::Artifact(artifact) => Some(artifact.digest()),
        }
    }

    #[test]
    fn temporary_functions_come_first_and_all_come_back_from_a_snapshot() {
        let mut catalog = CatalogManager::new();
        let id = catalog.qualify(&["F"]).expect("a name");
        let functions = catalog.functions_mut();
        assert!(functions.create(&FunctionPlace::Permanent(id.clone()), function("1"), false).expect("made"));
        assert!(functions.create(&FunctionPlace::Temporary(id.clone()), function("2"), false).expect("made"));
        assert!(functions.create(&FunctionPlace::System("G".to_string()), function("3"), false).expect("made"));
        assert!(!functions.create(&FunctionPlace::System("g".to_string()), function("4"), true).expect("kept"));
        assert!(functions.create(&FunctionPlace::System("g".to_string()), function("4"), false).is_err());
        let mut restored = CatalogManager::from_snapshot(catalog.snapshot()).expect("a catalog");
        assert_eq!(restored, catalog);
        let lower = restored.qualify(&["f"]).expect("a name");
        assert_eq!(body(restored.functions().of_database(&lower)), Some("2"));
        assert_eq!(body(restored.functions().system("g")), Some("3"));
        assert_eq!(restored.functions().names(&id.catalog, &id.database), ["f", "g"]);
        restored.functions_mut().drop(&FunctionPlace::Temporary(id.clone()), false).expect("dropped");
        assert_eq!(body(restored.functions().of_database(&lower)), Some("1"));
        restored.functions_mut().forget(&id.catalog, None);
        assert_eq!(restored.functions().names(&id.catalog, &id.database), ["g"]);
    }

    #[test]
    fn code_comes_back_with_its_bytes_and_options() {
        let mut catalog = CatalogManager::new();
        let options = [("memory", "1 mb")].into_iter().collect();
        let bytes: Vec<u8> = (0..=255).collect();
        let artifact = FunctionArtifact::new("WASM", "score", "score.wasm", bytes.clone(), options);
        let signature = FunctionSignature::table(&[("a", "INT")], &[("b", "STRING NOT NULL")]).expect("a signature");
        let function = CatalogFunction { signature, body: FunctionBody::Artifact(Arc::new(artifact)) };
        for name in ["f", "g"] {
            catalog.functions_mut().create(&FunctionPlace::System(name.into()), function.clone(), false).expect("made");
        }
        let stored = catalog.snapshot();
        let restored = CatalogManager::from_snapshot(stored.clone()).expect("a catalog");
        assert_eq!(restored, catalog);
        // The bytes are stored once, whichever functions are of them.
        assert_eq!(stored["artifacts"].as_object().map(|a| a.len()), Some(1));
        assert!(stored["functions"][0]["artifact"].get("base64").is_none());
        // As they were stored before: with each function.
        let mut old = stored.clone();
        let text = old["artifacts"].as_object().and_then(|a| a.values().next().cloned()).expect("bytes");
        for function in old["functions"].as_array_mut().expect("functions") {
            function["artifact"]["base64"] = text.clone();
        }
        old.as_object_mut().expect("an object").remove("artifacts");
        assert_eq!(CatalogManager::from_snapshot(old).expect("a catalog"), catalog);
        assert_eq!(restored.functions().system("f"), Some(&function));
        let Some(FunctionBody::Artifact(code)) = restored.functions().system("f").map(|f| &f.body) else {
            panic!("it was code")
        };
        assert_eq!((code.bytes().as_ref(), code.location.as_str()), (bytes.as_slice(), "score.wasm"));
        // One whose bytes have changed on the way is not taken.
        let mut stored = stored;
        stored["functions"][0]["artifact"]["digest"] = "00".into();
        let refused = CatalogManager::from_snapshot(stored).expect_err("other bytes").to_string();
        assert!(refused.contains("SHA-256"), "{refused}");
    }
}
