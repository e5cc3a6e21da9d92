//! Which columns of a file go to which columns of a table, and as what.

use flott_core::types::TypeKind;

use super::meta::{Kind, Type};
use crate::builder::{ColumnBuilder, Values};
use crate::wrong::{Read, below, wrong};

/// How a column of the file is read.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Its number in the file.
    pub(super) id: usize,
    pub(super) how: How,
}

#[derive(Debug, Clone)]
pub(super) enum How {
    Boolean,
    Byte,
    /// SHORT, INT, LONG and DATE.
    Int,
    Float,
    Double,
    Bytes,
    Decimal,
    Timestamp {
        instant: bool,
    },
    List(Box<Plan>),
    Map(Box<Plan>, Box<Plan>),
    /// Columns of the table that the file lacks are NULL.
    Struct(Vec<Option<Plan>>),
}

fn type_name(column: &ColumnBuilder) -> String {
    column.kind.clone().nullable().to_string()
}

/// The columns of a row, found by name; as in Flink's reader, also where only their case is another.
pub(super) fn of_row(types: &[Type], id: usize, columns: &[ColumnBuilder]) -> Read<Vec<Option<Plan>>> {
    let row = &types[id];
    let one = |column: &ColumnBuilder| {
        let name = column.field.name();
        let at = row.names.iter().position(|n| n == name);
        let at = at.or_else(|| row.names.iter().position(|n| n.eq_ignore_ascii_case(name)));
        match at {
            Some(at) => of_column(types, row.children[at], column).map(Some),
            None if column.nullable() => Ok(None),
            None => wrong(format!("the file has no such column, which is declared {} NOT NULL", type_name(column))),
        }
        .map_err(|e| below(e, name))
    };
    columns.iter().map(one).collect()
}

fn of_column(types: &[Type], id: usize, column: &ColumnBuilder) -> Read<Plan> {
    let of = &types[id];
    let is_int = matches!(column.kind, TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt);
    let how = match (of.kind, &column.values) {
        (Kind::Boolean, Values::Bool(_)) => How::Boolean,
        (Kind::Byte, _) if is_int => How::Byte,
        (Kind::Short | Kind::Int | Kind::Long, _) if is_int => How::Int,
        (Kind::Float, Values::F32(_) | Values::F64(_)) => How::Float,
        (Kind::Double, Values::F64(_)) => How::Double,
        (Kind::String | Kind::Varchar | Kind::Char, _) if column.kind.is_character() => How::Bytes,
        (Kind::Binary, _) if column.kind.is_binary() => How::Bytes,
        (Kind::Decimal, Values::I128(_)) => How::Decimal,
        (Kind::Date, _) if matches!(column.kind, TypeKind::Date) => How::Int,
        (Kind::Timestamp | Kind::TimestampInstant, _) if column.kind.is_timestamp() => {
            How::Timestamp { instant: of.kind == Kind::TimestampInstant }
        }
        (Kind::List, Values::List { element, .. }) => {
            How::List(Box::new(of_column(types, of.children[0], element).map_err(|e| below(e, "[]"))?))
        }
        (Kind::Map, Values::Map { key, value, .. }) => {
            let key = of_column(types, of.children[0], key).map_err(|e| below(e, "key"))?;
            let value = of_column(types, of.children[1], value).map_err(|e| below(e, "value"))?;
            How::Map(Box::new(key), Box::new(value))
        }
        (Kind::Struct, Values::Struct(children)) => How::Struct(of_row(types, id, children)?),
        _ => return wrong(format!("The file holds {}, but the column is declared {}", of.name(), type_name(column))),
    };
    Ok(Plan { id, how })
}

/// The numbers of the columns in the file that are read.
pub(super) fn wanted(plans: &[Option<Plan>], ids: &mut Vec<usize>) {
    for plan in plans.iter().flatten() {
        wanted_of(plan, ids);
    }
}

fn wanted_of(plan: &Plan, ids: &mut Vec<usize>) {
    ids.push(plan.id);
    match &plan.how {
        How::List(element) => wanted_of(element, ids),
        How::Map(key, value) => {
            wanted_of(key, ids);
            wanted_of(value, ids);
        }
        How::Struct(children) => wanted(children, ids),
        _ => {}
    }
}
