//! What becomes of a row: commands.

use arrow_array::{Array, RecordBatch};
use flott_connector::format::Messages;
use flott_connector::row_text::RowText;
use flott_core::{Error, Result};
use redis::{Cmd, cmd};

use crate::target::{Keeping, Target};

/// The rows of a batch and what is written of them.
pub(crate) struct Rows<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rows: &'a RecordBatch,
    pub(crate) text: RowText<'a>,
    /// The rows in the table's format, but for hashes.
    pub(crate) values: Messages,
}

impl Rows<'_> {
    fn value(&self, column: usize, row: usize) -> String {
        let mut value = String::new();
        self.text.write_value(column, row, &mut value);
        value
    }

    /// The key of a row. Different rows have different keys: of several columns a delimiter inside of a value is escaped.
    fn key(&self, columns: &[usize], row: usize) -> Result<String> {
        let Target { prefix, delimiter, .. } = self.target;
        let mut key = prefix.clone();
        for (i, column) in columns.iter().enumerate() {
            if self.rows.column(*column).is_null(row) {
                return Err(Error::data("A value of the PRIMARY KEY is NULL")
                    .with("column", self.rows.schema_ref().field(*column).name()));
            }
            if i > 0 {
                key.push_str(delimiter);
            }
            let value = self.value(*column, row);
            if columns.len() == 1 { key.push_str(&value) } else { escape(&value, delimiter, &mut key) }
        }
        Ok(key)
    }

    /// Puts the row where its key is.
    pub(crate) fn upsert(&self, row: usize, out: &mut Vec<Cmd>) -> Result<()> {
        let ttl = self.target.ttl_ms;
        let value = || self.values.get(row).unwrap_or_default();
        let key = match &self.target.keeping {
            Keeping::String(columns) => {
                let mut set = cmd("SET");
                set.arg(self.key(columns, row)?).arg(value());
                if let Some(ttl) = ttl {
                    set.arg("PX").arg(ttl);
                }
                out.push(set);
                return Ok(());
            }
            Keeping::Hash(columns) => {
                let key = self.key(columns, row)?;
                let (mut set, mut remove) = (cmd("HSET"), cmd("HDEL"));
                set.arg(&key);
                remove.arg(&key);
                let mut removes = false;
                for (i, field) in self.rows.schema_ref().fields().iter().enumerate() {
                    if self.rows.column(i).is_null(row) {
                        remove.arg(field.name());
                        removes = true;
                    } else {
                        // The key's columns are never NULL, so that there is always a field.
                        set.arg(field.name()).arg(self.value(i, row));
                    }
                }
                out.push(set);
                if removes {
                    out.push(remove);
                }
                key
            }
            Keeping::List(key) => {
                let mut push = cmd("RPUSH");
                push.arg(key).arg(value());
                out.push(push);
                key.clone()
            }
        };
        if let Some(ttl) = ttl {
            let mut expire = cmd("PEXPIRE");
            expire.arg(key).arg(ttl);
            out.push(expire);
        }
        Ok(())
    }

    /// Removes the row's key.
    pub(crate) fn delete(&self, row: usize, out: &mut Vec<Cmd>) -> Result<()> {
        let (Keeping::String(columns) | Keeping::Hash(columns)) = &self.target.keeping else {
            return Err(Error::internal("a row of a list cannot be deleted"));
        };
        let mut delete = cmd("DEL");
        delete.arg(self.key(columns, row)?);
        out.push(delete);
        Ok(())
    }
}

fn escape(value: &str, delimiter: &str, out: &mut String) {
    for c in value.chars() {
        if c == '%' || delimiter.contains(c) {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_have_different_keys() {
        let of = |values: [&str; 2], delimiter: &str| {
            let mut key = String::new();
            escape(values[0], delimiter, &mut key);
            key.push_str(delimiter);
            escape(values[1], delimiter, &mut key);
            key
        };
        assert_eq!(of(["a", "b"], ":"), "a:b");
        assert_eq!(of(["a:b", "c"], ":"), "a%3Ab:c");
        for delimiter in [":", "::", "ü"] {
            let keys =
                [["a:b", "c"], ["a", "b:c"], ["a%3Ab", "c"], ["a:", ":c"], ["a", "::c"], ["a::", "c"], ["aü", "c"]];
            let mut keys = keys.map(|k| of(k, delimiter)).to_vec();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), 7, "{delimiter}");
        }
    }
}
