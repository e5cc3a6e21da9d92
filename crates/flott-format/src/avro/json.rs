//! Avro's JSON encoding, by way of the binary one: `avro.encoding` = `json`, and the defaults of schemas.

use flott_core::{Error, Result};
use serde_json::Value;

use super::binary::{Input, Read, below, put_bytes, put_long, wrong};
use super::schema::{AvroSchema, DEPTH_MAX, Node};
use crate::json::scanner::{Scalar, Scanner, SyntaxError, TOO_DEEP};
use crate::text::number::{parse_f64, parse_i64};

fn found<T>(json: &Value, expected: &str) -> Read<T> {
    let text = json.to_string();
    wrong(format!("'{}' is not {expected}", crate::text::shown(text.as_bytes())))
}

/// The tree of a text. (serde_json's own may miss the nearest double by one.)
pub(super) fn parse(text: &[u8]) -> Result<Value> {
    let shown = || crate::text::shown(text);
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(Error::data(format!("'{}' is not valid UTF-8", shown())));
    }
    let mut scanner = Scanner::new(text);
    let tree = tree(&mut scanner, &mut vec![], 0).and_then(|tree| match scanner.peek() {
        None => Ok(tree),
        Some(_) => Err(scanner.error("more text follows the value")),
    });
    tree.map_err(|e| Error::data(format!("'{}' is not valid JSON: {} at byte {}", shown(), e.reason, e.at + 1)))
}

fn tree(scanner: &mut Scanner<'_>, scratch: &mut Vec<u8>, depth: usize) -> std::result::Result<Value, SyntaxError> {
    if depth > DEPTH_MAX {
        return Err(scanner.error(TOO_DEEP));
    }
    let utf8 = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let mut first = true;
    match scanner.scalar(scratch)? {
        Scalar::Null => Ok(Value::Null),
        Scalar::True => Ok(Value::Bool(true)),
        Scalar::False => Ok(Value::Bool(false)),
        Scalar::String(text) => Ok(Value::String(utf8(text))),
        Scalar::Number { text, float } => Ok(match parse_i64(text).filter(|_| !float) {
            Some(n) => Value::from(n),
            None => parse_f64(text).map_or(Value::Null, Value::from),
        }),
        Scalar::Open if scanner.peek() == Some(b'[') => {
            scanner.at += 1;
            let mut elements = vec![];
            while scanner.next_part(&mut first, b']')? {
                elements.push(tree(scanner, scratch, depth + 1)?);
            }
            Ok(Value::Array(elements))
        }
        Scalar::Open => {
            scanner.expect(b'{', "expected a value")?;
            let mut fields = serde_json::Map::new();
            while scanner.next_part(&mut first, b'}')? {
                let name = utf8(scanner.string(scratch)?);
                scanner.expect(b':', "expected ':' behind the name of a field")?;
                fields.insert(name, tree(scanner, scratch, depth + 1)?);
            }
            Ok(Value::Object(fields))
        }
    }
}

/// Bytes are texts of the letters U+0000 to U+00FF.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// Appends the binary form. In data a union's value names its branch (`tagged`); in a default it is of the first branch.
pub(super) fn to_binary(
    json: &Value,
    schema: &AvroSchema,
    node: usize,
    tagged: bool,
    depth: usize,
    out: &mut Vec<u8>,
) -> Read<()> {
    if depth > DEPTH_MAX {
        return wrong(format!("values lie more than {DEPTH_MAX} levels inside each other"));
    }
    match (schema.node(node), json) {
        (Node::Null, Value::Null) => {}
        (Node::Boolean, Value::Bool(v)) => out.push(u8::from(*v)),
        (Node::Int, Value::Number(n)) => match n.as_i64().and_then(|n| i32::try_from(n).ok()) {
            Some(n) => put_long(i64::from(n), out),
            None => return found(json, "an int"),
        },
        (Node::Long, Value::Number(n)) => match n.as_i64() {
            Some(n) => put_long(n, out),
            None => return found(json, "a long"),
        },
        (Node::Float, json) => match float(json) {
            Some(n) => out.extend_from_slice(&(n as f32).to_le_bytes()),
            None => return found(json, "a float"),
        },
        (Node::Double, json) => match float(json) {
            Some(n) => out.extend_from_slice(&n.to_le_bytes()),
            None => return found(json, "a double"),
        },
        (Node::String, Value::String(text)) => put_bytes(text.as_bytes(), out),
        (Node::Bytes, Value::String(text)) => match bytes_of(text) {
            Some(bytes) => put_bytes(&bytes, out),
            None => return found(json, "bytes"),
        },
        (Node::Fixed(size), Value::String(text)) => match bytes_of(text) {
            Some(bytes) if bytes.len() == *size => out.extend_from_slice(&bytes),
            _ => return found(json, &format!("{size} bytes")),
        },
        (Node::Enum(symbols), Value::String(text)) => match symbols.iter().position(|s| s == text) {
            Some(symbol) => put_long(symbol as i64, out),
            None => return found(json, "a symbol of the enum"),
        },
        (Node::Array(inner), Value::Array(elements)) => {
            if !elements.is_empty() {
                put_long(elements.len() as i64, out);
                for element in elements {
                    to_binary(element, schema, *inner, tagged, depth + 1, out).map_err(|e| below(e, "[]"))?;
                }
            }
            out.push(0);
        }
        (Node::Map(inner), Value::Object(entries)) => {
            if !entries.is_empty() {
                put_long(entries.len() as i64, out);
                for (key, value) in entries {
                    put_bytes(key.as_bytes(), out);
                    to_binary(value, schema, *inner, tagged, depth + 1, out).map_err(|e| below(e, "[]"))?;
                }
            }
            out.push(0);
        }
        (Node::Union(branches), json) => {
            let (branch, value) = match json {
                _ if !tagged => (0, json),
                Value::Null => {
                    let null = branches.iter().position(|b| matches!(schema.node(*b), Node::Null));
                    (null.map_or_else(|| found(json, "a branch of the union"), Ok)?, json)
                }
                Value::Object(tag) if tag.len() == 1 => {
                    let Some((name, value)) = tag.iter().next() else { return found(json, "a branch of the union") };
                    let Some(branch) = branches.iter().position(|b| schema.name(*b) == name) else {
                        return wrong(format!("'{name}' is no branch of the union"));
                    };
                    (branch, value)
                }
                _ => return found(json, "null or {\"<type>\": value}, as a union has to be written"),
            };
            let Some(node) = branches.get(branch) else { return found(json, "a branch of the union") };
            put_long(branch as i64, out);
            to_binary(value, schema, *node, tagged, depth + 1, out)?;
        }
        (Node::Record(fields), Value::Object(values)) => {
            for field in fields {
                match (values.get(&field.name), &field.default) {
                    (Some(value), _) => to_binary(value, schema, field.node, tagged, depth + 1, out),
                    (None, Some(default)) if !tagged => to_binary(default, schema, field.node, false, depth + 1, out),
                    (None, _) => wrong("the field is missing"),
                }
                .map_err(|e| below(e, &field.name))?;
            }
        }
        (_, json) => return found(json, schema.name(node)),
    }
    Ok(())
}

/// What is no number has a name in quotes, as in Java.
fn float(json: &Value) -> Option<f64> {
    match json {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    // Texts of strings cannot fail to be written.
    serde_json::to_writer(&mut *out, text).unwrap_or_default();
}

fn put_float(finite: bool, n: f64, text: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    match (finite, n.is_nan(), n > 0.0) {
        (true, ..) => text(out),
        (_, true, _) => out.extend_from_slice(b"\"NaN\""),
        (_, _, true) => out.extend_from_slice(b"\"Infinity\""),
        _ => out.extend_from_slice(b"\"-Infinity\""),
    }
}

/// Appends the JSON form of a value in binary form.
pub(super) fn from_binary(input: &mut Input<'_>, schema: &AvroSchema, node: usize, out: &mut Vec<u8>) -> Read<()> {
    let latin = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
    match schema.node(node) {
        Node::Null => out.extend_from_slice(b"null"),
        Node::Boolean => out.extend_from_slice(if input.boolean()? { b"true" } else { b"false" }),
        Node::Int | Node::Long => out.extend_from_slice(itoa::Buffer::new().format(input.long()?).as_bytes()),
        Node::Float => {
            let n = input.float()?;
            put_float(n.is_finite(), f64::from(n), |out| crate::text::number::write_java_float(n, out), out);
        }
        Node::Double => {
            let n = input.double()?;
            put_float(n.is_finite(), n, |out| crate::text::number::write_java_float(n, out), out);
        }
        Node::Bytes => put_text(&latin(input.bytes()?), out),
        Node::Fixed(size) => put_text(&latin(input.take(*size)?), out),
        Node::String => put_text(&String::from_utf8_lossy(input.bytes()?), out),
        Node::Enum(symbols) => put_text(&symbols[input.index(symbols.len(), "symbol")?], out),
        Node::Union(branches) => {
            let branch = branches[input.index(branches.len(), "branch")?];
            if matches!(schema.node(branch), Node::Null) {
                out.extend_from_slice(b"null");
            } else {
                out.push(b'{');
                put_text(schema.name(branch), out);
                out.push(b':');
                from_binary(input, schema, branch, out)?;
                out.push(b'}');
            }
        }
        Node::Record(fields) => {
            out.push(b'{');
            for (i, field) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put_text(&field.name, out);
                out.push(b':');
                from_binary(input, schema, field.node, out)?;
            }
            out.push(b'}');
        }
        Node::Array(inner) | Node::Map(inner) => {
            let is_map = matches!(schema.node(node), Node::Map(_));
            out.push(if is_map { b'{' } else { b'[' });
            let mut first = true;
            loop {
                let count = input.block()?;
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    if is_map {
                        put_text(&String::from_utf8_lossy(input.bytes()?), out);
                        out.push(b':');
                    }
                    from_binary(input, schema, *inner, out)?;
                }
            }
            out.push(if is_map { b'}' } else { b']' });
        }
    }
    Ok(())
}
