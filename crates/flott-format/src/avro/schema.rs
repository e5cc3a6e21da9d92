//! Avro schemas, as their JSON text says them.

use std::collections::HashMap;

use flott_core::{Error, Result};
use serde_json::Value;

/// Types inside each other, in a schema's text and in data.
pub(crate) const DEPTH_MAX: usize = 128;
/// Types of a schema.
const NODES_MAX: usize = 100_000;

/// What a number or bytes stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    Decimal {
        scale: u32,
    },
    TimeMicros,
    Date,
    TimeMillis,
    /// Instants and local times: only their unit counts here. Seconds are cut into as many parts.
    Timestamp {
        per_second: i64,
    },
    /// A uuid, a duration: read as the type below it.
    Other,
}

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) node: usize,
    pub(crate) default: Option<Value>,
    /// Names that data may have for it, where this is the reader's schema.
    pub(crate) aliases: Vec<String>,
}

/// A schema: its types by number, so that one may contain itself.
#[derive(Debug, Clone)]
pub(crate) struct AvroSchema {
    nodes: Vec<(Node, Option<Logical>)>,
    /// Full names of those that have one; the others' words. What a union's branch is called in JSON.
    names: Vec<String>,
    pub(crate) root: usize,
    pub(crate) text: String,
}

struct Parser {
    nodes: Vec<(Node, Option<Logical>)>,
    names: Vec<String>,
    named: HashMap<String, usize>,
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::user(format!("The Avro schema is not valid: {why}"))
}

/// Avro's rule for names; full names have dots between such.
pub(crate) fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl AvroSchema {
    /// Reads a schema's text. What is no schema is a user's error.
    pub(crate) fn parse(text: &str) -> Result<AvroSchema> {
        AvroSchema::parse_with(&[], text)
    }

    /// The same, with schemas whose names it uses.
    pub(crate) fn parse_with(references: &[String], text: &str) -> Result<AvroSchema> {
        // serde_json itself stops at 128 levels of brackets.
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| wrong("it is no JSON").caused_by(e));
        let mut parser = Parser { nodes: vec![], names: vec![], named: HashMap::new() };
        for reference in references {
            parser.node(&json(reference)?, "", 0)?;
        }
        let root = parser.node(&json(text)?, "", 0)?;
        Ok(AvroSchema { nodes: parser.nodes, names: parser.names, root, text: text.to_string() })
    }

    pub(crate) fn node(&self, node: usize) -> &Node {
        &self.nodes[node].0
    }

    pub(crate) fn logical(&self, node: usize) -> Option<Logical> {
        self.nodes[node].1
    }

    /// `int`, `record`'s full name, …
    pub(crate) fn name(&self, node: usize) -> &str {
        &self.names[node]
    }
}

impl Parser {
    fn push(&mut self, name: &str, node: Node, logical: Option<Logical>) -> Result<usize> {
        if self.nodes.len() >= NODES_MAX {
            return Err(wrong(format!("it has more than {NODES_MAX} types")));
        }
        self.nodes.push((node, logical));
        self.names.push(name.to_string());
        Ok(self.nodes.len() - 1)
    }

    fn node(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<usize> {
        if depth > DEPTH_MAX {
            return Err(wrong(format!("types lie more than {DEPTH_MAX} levels inside each other")));
        }
        match json {
            Value::String(name) => self.word(name, namespace, None),
            Value::Array(branches) => {
                let nodes = branches.iter().map(|b| self.node(b, namespace, depth + 1)).collect::<Result<Vec<_>>>()?;
                if nodes.iter().any(|n| matches!(self.nodes[*n].0, Node::Union(_))) {
                    return Err(wrong("a union stands directly in a union"));
                }
                // As Avro has it: two of one type could not be told apart.
                let mut names = std::collections::HashSet::new();
                if let Some(twice) = nodes.iter().map(|n| &self.names[*n]).find(|name| !names.insert(*name)) {
                    return Err(wrong(format!("a union has '{twice}' twice")));
                }
                self.push("union", Node::Union(nodes), None)
            }
            Value::Object(object) => {
                let Some(kind) = object.get("type") else { return Err(wrong("a type has no 'type'")) };
                let Value::String(word) = kind else { return self.node(kind, namespace, depth + 1) };
                let logical = logical(object);
                match word.as_str() {
                    "array" | "map" => {
                        let of = if word == "array" { "items" } else { "values" };
                        let Some(inner) = object.get(of) else { return Err(wrong(format!("a {word} has no '{of}'"))) };
                        let inner = self.node(inner, namespace, depth + 1)?;
                        self.push(word, if word == "array" { Node::Array(inner) } else { Node::Map(inner) }, None)
                    }
                    "record" | "error" | "enum" | "fixed" => self.named(word, object, logical, namespace, depth),
                    _ => self.word(word, namespace, logical),
                }
            }
            other => Err(wrong(format!("'{other}' is no type"))),
        }
    }

    fn word(&mut self, word: &str, namespace: &str, logical: Option<Logical>) -> Result<usize> {
        let node = match word {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" => Node::Int,
            "long" => Node::Long,
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes,
            "string" => Node::String,
            name => {
                let full = full_name(name, namespace);
                return match self.named.get(&full).or_else(|| self.named.get(name)) {
                    Some(node) => Ok(*node),
                    None => Err(wrong(format!("'{name}' is no type, and none of this name was defined before"))),
                };
            }
        };
        self.push(word, node, logical)
    }

    fn named(
        &mut self,
        word: &str,
        object: &serde_json::Map<String, Value>,
        logical: Option<Logical>,
        namespace: &str,
        depth: usize,
    ) -> Result<usize> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let Some(name) = text("name") else { return Err(wrong(format!("a {word} has no name"))) };
        let full = full_name(name, text("namespace").unwrap_or(namespace));
        if !full.split('.').all(is_name) {
            return Err(wrong(format!("'{full}' is no name: it has letters, digits and '_' only")));
        }
        let namespace = full.rsplit_once('.').map_or("", |(space, _)| space).to_string();
        // Its number first: it may contain itself.
        let node = self.push(&full, Node::Null, logical)?;
        if self.named.insert(full.clone(), node).is_some() {
            return Err(wrong(format!("'{full}' is defined twice")));
        }
        self.nodes[node].0 = match word {
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).and_then(|s| u32::try_from(s).ok());
                Node::Fixed(size.ok_or_else(|| wrong(format!("the fixed '{full}' has no size")))? as usize)
            }
            "enum" => {
                let symbols = object.get("symbols").and_then(Value::as_array);
                let symbols = symbols.ok_or_else(|| wrong(format!("the enum '{full}' has no symbols")))?;
                let symbol = |s: &Value| s.as_str().map(str::to_string);
                let symbols = symbols.iter().map(symbol).collect::<Option<Vec<_>>>();
                Node::Enum(symbols.ok_or_else(|| wrong(format!("a symbol of '{full}' is no text")))?)
            }
            _ => {
                let fields = object.get("fields").and_then(Value::as_array);
                let fields = fields.ok_or_else(|| wrong(format!("the record '{full}' has no fields")))?;
                let mut of_record = Vec::with_capacity(fields.len());
                let mut names = std::collections::HashSet::new();
                for field in fields {
                    let name = field.get("name").and_then(Value::as_str);
                    let name = name.ok_or_else(|| wrong(format!("a field of '{full}' has no name")))?;
                    let Some(kind) = field.get("type") else {
                        return Err(wrong(format!("the field '{name}' of '{full}' has no type")));
                    };
                    if !names.insert(name) {
                        return Err(wrong(format!("'{full}' has the field '{name}' twice")));
                    }
                    let node = self.node(kind, &namespace, depth + 1)?;
                    let aliases = field.get("aliases").and_then(Value::as_array).into_iter().flatten();
                    let aliases = aliases.filter_map(|a| a.as_str().map(str::to_string)).collect();
                    let default = field.get("default").cloned();
                    of_record.push(Field { name: name.to_string(), node, default, aliases });
                }
                Node::Record(of_record)
            }
        };
        Ok(node)
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_string() } else { format!("{namespace}.{name}") }
}

fn logical(object: &serde_json::Map<String, Value>) -> Option<Logical> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    Some(match object.get("logicalType")?.as_str()? {
        "decimal" => Logical::Decimal { scale: u32::try_from(number("scale").unwrap_or(0)).ok()? },
        "time-micros" => Logical::TimeMicros,
        "date" => Logical::Date,
        "time-millis" => Logical::TimeMillis,
        "timestamp-millis" | "local-timestamp-millis" => Logical::Timestamp { per_second: 1_000 },
        "timestamp-micros" | "local-timestamp-micros" => Logical::Timestamp { per_second: 1_000_000 },
        "timestamp-nanos" | "local-timestamp-nanos" => Logical::Timestamp { per_second: 1_000_000_000 },
        _ => Logical::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_read_and_wrong_ones_refused() {
        let text = r#"{"type":"record","name":"a.b.Tree","fields":[
            {"name":"v","type":{"type":"long","logicalType":"timestamp-micros"}},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
            {"name":"again","type":"a.b.E"},
            {"name":"next","type":["null","Tree"],"default":null}]}"#;
        let schema = AvroSchema::parse(text).expect("a schema");
        let Node::Record(fields) = schema.node(schema.root) else { panic!("a record") };
        assert_eq!(schema.logical(fields[0].node), Some(Logical::Timestamp { per_second: 1_000_000 }));
        assert_eq!(fields[1].node, fields[2].node);
        assert_eq!(schema.name(fields[1].node), "a.b.E");
        assert_eq!(fields[3].default, Some(Value::Null));
        for (text, part) in [
            ("{", "no JSON"),
            (r#""nothing""#, "'nothing' is no type"),
            (r#"[["null"]]"#, "directly in a union"),
            (r#"{"type":"record","name":"a-b","fields":[]}"#, "is no name"),
            (r#"{"type":"record","name":"a","fields":[{"name":"x"}]}"#, "has no type"),
            (r#"{"type":"fixed","name":"a"}"#, "has no size"),
            (r#"[{"type":"fixed","name":"a","size":1},{"type":"fixed","name":"a","size":2}]"#, "defined twice"),
            (r#"{"type":"array"}"#, "has no 'items'"),
            (r#"["null","int",{"type":"int","logicalType":"date"}]"#, "a union has 'int' twice"),
            (r#"[{"type":"fixed","name":"a","size":1},"a"]"#, "a union has 'a' twice"),
        ] {
            let e = AvroSchema::parse(text).expect_err(text).to_string();
            assert!(e.contains(part), "{text}: {e}");
        }
        let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(120), "}".repeat(120));
        AvroSchema::parse(&deep).expect("deep, but not too deep");
    }
}
