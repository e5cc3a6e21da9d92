//! Functions of the user's own that are code: what a program that embeds Flott offers ([`FunctionDefinition`]), and what a
//! language makes of a file ([`FunctionLanguage`]).
//!
//! A function gets whole Arrow columns and gives one back. What it gives is checked against its [`FunctionSignature`] before
//! anybody reads it: a function that is wrong gives an error, never a value that its type does not have.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;
use bytes::Bytes;
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, LogicalType, Result};
use sha2::{Digest, Sha256};

/// Code that computes a column of columns.
///
/// It is called by all threads of a job at once. The same rows may be given again: after a restart, and where a query names
/// the result twice.
pub trait UserFunction: Send + Sync {
    /// The results for `rows` rows.
    ///
    /// `arguments` are the columns of the parameters, each with `rows` values of the parameter's Arrow type
    /// ([`flott_core::types::arrow_type`]); there are none where the function has no parameters. A scalar function gives a
    /// column of `rows` values of the type that it returns. A table function gives a list of structs for each row: the rows
    /// that it makes of it, in which a list without elements makes none.
    ///
    /// # Errors
    ///
    /// An error ends the attempt of the job; [`Error::user`] is for what no later run can do better.
    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef>;
}

impl<F> UserFunction for F
where
    F: Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync,
{
    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self(arguments, rows)
    }
}

/// What a function takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSignature {
    /// Its parameters.
    pub parameters: Vec<(String, LogicalType)>,
    /// What it gives; for a table function a ROW of its columns.
    pub returns: LogicalType,
    /// It gives rows, whose columns are the fields of what it returns.
    pub is_table: bool,
}

fn named(pairs: &[(&str, &str)]) -> Result<Vec<(String, LogicalType)>> {
    pairs.iter().map(|(name, t)| Ok(((*name).to_string(), t.parse()?))).collect()
}

impl FunctionSignature {
    /// Of a function of one value, with types as SQL writes them: `scalar(&[("cents", "BIGINT")], "STRING")`.
    ///
    /// # Errors
    ///
    /// Where a type is none, or two parameters have one name.
    pub fn scalar(parameters: &[(&str, &str)], returns: &str) -> Result<FunctionSignature> {
        let signature =
            FunctionSignature { parameters: named(parameters)?, returns: returns.parse()?, is_table: false };
        signature.check_names()?;
        Ok(signature)
    }

    /// Of a table function: `table(&[("line", "STRING")], &[("word", "STRING NOT NULL")])`.
    ///
    /// # Errors
    ///
    /// Where a type is none, or two parameters or columns have one name.
    pub fn table(parameters: &[(&str, &str)], columns: &[(&str, &str)]) -> Result<FunctionSignature> {
        let columns = named(columns)?.into_iter().map(|(name, t)| RowField::new(name, t)).collect();
        let returns = TypeKind::Row(columns).not_null();
        let signature = FunctionSignature { parameters: named(parameters)?, returns, is_table: true };
        signature.check_names()?;
        Ok(signature)
    }

    /// The columns of the rows that a table function gives.
    pub fn columns(&self) -> Option<&[RowField]> {
        self.returns.kind.fields().filter(|_| self.is_table)
    }

    /// The type of what its code gives for a row: what it returns, or an ARRAY of the rows.
    pub fn result_type(&self) -> LogicalType {
        match self.is_table {
            true => TypeKind::Array(Box::new(self.returns.with_nullable(false))).not_null(),
            false => self.returns.clone(),
        }
    }

    /// `f(a INT, b STRING) RETURNS BIGINT`
    pub fn text(&self, name: &str) -> String {
        let parameters: Vec<String> = self.parameters.iter().map(|(n, t)| format!("{n} {t}")).collect();
        let returns = match self.columns() {
            Some(columns) => {
                let columns: Vec<String> = columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
                format!("TABLE({})", columns.join(", "))
            }
            None => self.returns.to_string(),
        };
        format!("{name}({}) RETURNS {returns}", parameters.join(", "))
    }

    /// Refuses parameters, and columns, of one name.
    pub fn check_names(&self) -> Result<()> {
        let parameters: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        let columns: Vec<&str> = self.columns().unwrap_or_default().iter().map(|c| c.name.as_str()).collect();
        for (what, names) in [("parameters", parameters), ("columns", columns)] {
            for (i, name) in names.iter().enumerate() {
                if names[..i].contains(name) {
                    return Err(Error::user(format!("there are two {what} of the name '{name}'"))
                        .hint("Give each a name of its own"));
                }
            }
        }
        Ok(())
    }

    /// Refuses types whose values code outside cannot be given: their bytes are an encoding of our own.
    pub fn check_code_types(&self) -> Result<()> {
        let given = self.parameters.iter().map(|(name, t)| (format!("the parameter '{name}'"), t));
        for (what, t) in given.chain([("the result".to_string(), &self.returns)]) {
            if let Some(kind) = opaque(t) {
                return Err(Error::user(format!("{what} of a function in code cannot be of type {kind}"))
                    .hint("Convert it in the query: PARSE_JSON(s) makes a VARIANT of a text, BITMAP_TO_STRING(b) a text of a BITMAP"));
            }
        }
        Ok(())
    }
}

/// The first type in a type that code cannot be given.
fn opaque(t: &LogicalType) -> Option<&'static str> {
    match &t.kind {
        TypeKind::Variant => Some("VARIANT"),
        TypeKind::Bitmap => Some("BITMAP"),
        TypeKind::Null => Some("NULL"),
        TypeKind::Array(e) | TypeKind::Multiset(e) => opaque(e),
        TypeKind::Map(k, v) => opaque(k).or_else(|| opaque(v)),
        TypeKind::Row(fields) | TypeKind::Structured(_, fields) => fields.iter().find_map(|f| opaque(&f.data_type)),
        _ => None,
    }
}

/// A function that a program offers to the SQL of its sessions.
#[derive(Clone)]
pub struct FunctionDefinition {
    /// What it takes and gives.
    pub signature: FunctionSignature,
    /// What it computes.
    pub function: Arc<dyn UserFunction>,
    /// Whether the same arguments always give the same result (Flink's `isDeterministic`).
    pub is_deterministic: bool,
}

impl FunctionDefinition {
    /// A deterministic function: a closure, or an object with state of its own.
    pub fn new(signature: FunctionSignature, function: impl UserFunction + 'static) -> FunctionDefinition {
        FunctionDefinition { signature, function: Arc::new(function), is_deterministic: true }
    }

    /// The same function, whose results change from call to call: it is called once for each row, also where its arguments
    /// are constants.
    #[must_use]
    pub fn non_deterministic(mut self) -> FunctionDefinition {
        self.is_deterministic = false;
        self
    }
}

impl fmt::Debug for FunctionDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.signature.text("function"))
    }
}

/// The code of a function, as CREATE FUNCTION has read it from a file. The file is not read again.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionArtifact {
    /// The language, in upper case.
    pub language: String,
    /// What the code calls the function.
    pub symbol: String,
    /// Where it was read: for people.
    pub location: String,
    /// WITH
    pub options: Options,
    bytes: Bytes,
    digest: String,
}

impl FunctionArtifact {
    /// This code.
    pub fn new(
        language: impl Into<String>,
        symbol: impl Into<String>,
        location: impl Into<String>,
        bytes: impl Into<Bytes>,
        options: Options,
    ) -> FunctionArtifact {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        FunctionArtifact {
            language: language.into(),
            symbol: symbol.into(),
            location: location.into(),
            options,
            bytes,
            digest,
        }
    }

    /// The content of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its SHA-256, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the same arguments always give the same result ([`DETERMINISTIC`]).
    pub fn is_deterministic(&self) -> Result<bool> {
        self.options.bool(&DETERMINISTIC)
    }
}

impl fmt::Debug for FunctionArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {} ({} bytes)", self.language, self.symbol, self.location, self.bytes.len())
    }
}

/// The option that functions of every language have.
pub const DETERMINISTIC: ConfigOption = ConfigOption::optional(
    "deterministic",
    OptionType::Boolean,
    Some("true"),
    "Whether the same arguments always give the same result. A function that is not is called once for each row.",
);

/// A language in which functions can be written: CREATE FUNCTION .. LANGUAGE name AS 'symbol' USING ARTIFACT 'file'.
pub trait FunctionLanguage: Send + Sync {
    /// Its name, in upper case.
    fn name(&self) -> &'static str;
    /// The options of WITH, without [`DETERMINISTIC`].
    fn options(&self) -> &'static [ConfigOption];
    /// The largest file that it takes, in bytes.
    fn artifact_bytes_max(&self) -> usize;
    /// Makes the function ready to be called. CREATE FUNCTION does it too, so that a mistake is told there.
    fn load(&self, artifact: &FunctionArtifact, signature: &FunctionSignature) -> Result<Arc<dyn UserFunction>>;
}

/// The functions and languages that a program has registered.
#[derive(Clone, Default)]
pub struct ProgramFunctions {
    functions: BTreeMap<String, FunctionDefinition>,
    languages: BTreeMap<&'static str, Arc<dyn FunctionLanguage>>,
}

impl ProgramFunctions {
    /// Adds a function; a later one of the same name wins. Names are not case-sensitive.
    pub(crate) fn add(&mut self, name: &str, definition: FunctionDefinition) {
        self.functions.insert(name.to_lowercase(), definition);
    }

    /// Adds a language.
    pub(crate) fn add_language(&mut self, language: Arc<dyn FunctionLanguage>) {
        self.languages.insert(language.name(), language);
    }

    /// The function of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&FunctionDefinition> {
        if self.functions.is_empty() {
            return None;
        }
        self.functions.get(&name.to_lowercase())
    }

    /// The names, in lower case and sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The language of this name in upper case.
    pub fn language(&self, name: &str) -> Option<&Arc<dyn FunctionLanguage>> {
        self.languages.get(name)
    }

    /// The languages, sorted by name.
    pub fn languages(&self) -> impl Iterator<Item = &Arc<dyn FunctionLanguage>> {
        self.languages.values()
    }
}

impl fmt::Debug for ProgramFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (functions, languages): (Vec<_>, Vec<_>) =
            (self.functions.keys().collect(), self.languages.keys().collect());
        write!(f, "functions: {functions:?}, languages: {languages:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_from_sql_types_and_printed() {
        let scalar =
            FunctionSignature::scalar(&[("a", "INT NOT NULL"), ("b", "STRING")], "BIGINT").expect("a signature");
        assert_eq!(scalar.text("f"), "f(a INT NOT NULL, b STRING) RETURNS BIGINT");
        assert_eq!(scalar.result_type().to_string(), "BIGINT");
        assert!(scalar.columns().is_none());
        let table = FunctionSignature::table(&[], &[("w", "STRING"), ("n", "INT")]).expect("a signature");
        assert_eq!(table.text("f"), "f() RETURNS TABLE(w STRING, n INT)");
        assert_eq!(table.result_type().to_string(), "ARRAY<ROW<`w` STRING, `n` INT> NOT NULL> NOT NULL");
    }

    #[test]
    fn names_and_types_that_cannot_be_are_refused() {
        let twice = FunctionSignature::scalar(&[("a", "INT"), ("a", "INT")], "INT").expect_err("two of one name");
        assert!(twice.to_string().contains("two parameters of the name 'a'"), "{twice}");
        let twice = FunctionSignature::table(&[], &[("a", "INT"), ("a", "INT")]).expect_err("two of one name");
        assert!(twice.to_string().contains("two columns of the name 'a'"), "{twice}");
        assert!(FunctionSignature::scalar(&[("a", "NUMBER")], "INT").is_err());
        for (parameter, named) in [("VARIANT", "VARIANT"), ("ARRAY<ROW<x BITMAP>>", "BITMAP")] {
            let signature = FunctionSignature::scalar(&[("a", parameter)], "INT").expect("a signature");
            let refused = signature.check_code_types().expect_err("no code can read it").to_string();
            assert!(refused.contains(named) && refused.contains("'a'"), "{refused}");
        }
    }

    #[test]
    fn an_artifact_is_what_its_bytes_are() {
        let artifact = |bytes: &'static [u8]| FunctionArtifact::new("WASM", "f", "f.wasm", bytes, Options::new());
        assert_eq!(artifact(b"abc"), artifact(b"abc"));
        assert_ne!(artifact(b"abc"), artifact(b"abd"));
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(artifact(b"abc").digest(), abc);
        assert!(artifact(b"abc").is_deterministic().expect("an option"));
    }
}
