//! Expressions as Flink prints them: prefix form in the AST and the physical plan, infix form in the execution plan.

use arrow_schema::DataType;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Case, Expr, Operator};
use flott_core::LogicalType;
use flott_core::time_text::{civil_from_days, format_timestamp_ms};
use flott_core::types::{TYPE_METADATA_KEY, TypeKind};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `+($0, 1)`: the logical plan.
    Indexed,
    /// `+(a, 1)`: the physical plan.
    Prefix,
    /// `(a + 1)`: the execution plan.
    Infix,
    /// As in the physical plan: what state stands for. It is stored, and does not follow what EXPLAIN shows.
    Stored,
}

/// An expression over these columns.
pub(super) fn expression(e: &Expr, input: &DFSchema, style: Style) -> String {
    Printer { input, style }.print(e)
}

/// A literal of VALUES.
pub(super) fn literal_text(e: &Expr) -> String {
    expression(e, &DFSchema::empty(), Style::Indexed)
}

struct Printer<'a> {
    input: &'a DFSchema,
    style: Style,
}

impl Printer<'_> {
    fn print(&self, e: &Expr) -> String {
        match e {
            Expr::Alias(a) => self.print(&a.expr),
            Expr::Column(c) => match self.style {
                Style::Indexed => match self.input.index_of_column_by_name(None, &c.name) {
                    Some(i) => format!("${i}"),
                    None => c.name.clone(),
                },
                _ => c.name.clone(),
            },
            Expr::Literal(v, metadata) => {
                let t = metadata
                    .as_ref()
                    .and_then(|m| m.inner().get(TYPE_METADATA_KEY))
                    .and_then(|t| t.parse::<LogicalType>().ok());
                self.literal(v, t.as_ref())
            }
            Expr::BinaryExpr(b) => match b.op {
                Operator::And | Operator::Or => {
                    let mut parts = vec![];
                    self.flatten(e, b.op, &mut parts);
                    self.operation(&b.op.to_string(), parts)
                }
                op => {
                    self.operation(&op.to_string().replace("!=", "<>"), vec![self.print(&b.left), self.print(&b.right)])
                }
            },
            Expr::Not(x) => self.call("NOT", vec![self.print(x)]),
            Expr::Negative(x) => self.call("-", vec![self.print(x)]),
            Expr::IsNull(x) => self.suffix("IS NULL", x),
            Expr::IsNotNull(x) => self.suffix("IS NOT NULL", x),
            Expr::IsTrue(x) => self.suffix("IS TRUE", x),
            Expr::IsNotTrue(x) => self.suffix("IS NOT TRUE", x),
            Expr::IsFalse(x) => self.suffix("IS FALSE", x),
            Expr::IsNotFalse(x) => self.suffix("IS NOT FALSE", x),
            Expr::IsUnknown(x) => self.suffix("IS UNKNOWN", x),
            Expr::IsNotUnknown(x) => self.suffix("IS NOT UNKNOWN", x),
            Expr::Case(c) => self.call("CASE", self.branches(c)),
            Expr::InList(i) => {
                let list: Vec<String> = i.list.iter().map(|e| self.print(e)).collect();
                let value = self.print(&i.expr);
                let not = if i.negated { "NOT " } else { "" };
                match self.style {
                    Style::Infix => format!("{not}{value} IN ({})", list.join(", ")),
                    _ => format!("{not}IN({value}, {})", list.join(", ")),
                }
            }
            Expr::Cast(c) => {
                let t = flott_core::types::from_arrow_field(&c.field)
                    .map_or_else(|| c.field.data_type().to_string(), |t| t.to_string());
                self.cast("CAST", &c.expr, &t)
            }
            // The call pins the type of the CASE that is its argument.
            Expr::ScalarFunction(f) if f.func.name() == "CASE" && matches!(f.args.as_slice(), [Expr::Case(_)]) => {
                self.print(&f.args[0])
            }
            Expr::ScalarFunction(f) => {
                if self.style != Style::Stored
                    && f.func.name() == "IF"
                    && let [Expr::Case(c)] = f.args.as_slice()
                {
                    return self.call("IF", self.branches(c));
                }
                let name = f.func.name().to_string();
                crate::bind::Functions::shown(f)
                    .map(|shown| match shown {
                        crate::bind::Shown::Operator(op) => {
                            self.operation(op, f.args.iter().map(|a| self.print(a)).collect())
                        }
                        crate::bind::Shown::Cast(name, t) => self.cast(name, &f.args[0], &t),
                        crate::bind::Shown::Field(field) => format!("{}.{field}", self.print(&f.args[0])),
                    })
                    .unwrap_or_else(|| self.call(&name.to_uppercase(), f.args.iter().map(|a| self.print(a)).collect()))
            }
            other => other.to_string(),
        }
    }

    /// Conditions and values of a CASE, the last one behind them.
    fn branches(&self, c: &Case) -> Vec<String> {
        let branches = c.when_then_expr.iter().flat_map(|(when, then)| [self.print(when), self.print(then)]);
        branches.chain(c.else_expr.iter().map(|last| self.print(last))).collect()
    }

    fn flatten(&self, e: &Expr, op: Operator, parts: &mut Vec<String>) {
        match e {
            Expr::BinaryExpr(b) if b.op == op => {
                self.flatten(&b.left, op, parts);
                self.flatten(&b.right, op, parts);
            }
            other => parts.push(self.print(other)),
        }
    }

    fn operation(&self, op: &str, parts: Vec<String>) -> String {
        if parts.len() < 2 {
            return self.call(op, parts);
        }
        match self.style {
            // As Flink's execution plan shows joins by it.
            Style::Infix if op == "IS NOT DISTINCT FROM" => self.call(op, parts),
            Style::Infix => format!("({})", parts.join(&format!(" {op} "))),
            _ => format!("{op}({})", parts.join(", ")),
        }
    }

    fn call(&self, name: &str, parts: Vec<String>) -> String {
        format!("{name}({})", parts.join(", "))
    }

    fn suffix(&self, words: &str, x: &Expr) -> String {
        match self.style {
            Style::Infix => format!("{} {words}", self.print(x)),
            _ => format!("{words}({})", self.print(x)),
        }
    }

    fn cast(&self, name: &str, x: &Expr, t: &str) -> String {
        let named = |t: &str| t.parse::<LogicalType>().map_or_else(|_| t.to_string(), |t| type_name(&t));
        match self.style {
            Style::Infix => format!("{name}({} AS {})", self.print(x), named(t)),
            Style::Stored => format!("{name}({}):{t}", self.print(x)),
            _ => format!("{name}({}):{}", self.print(x), named(t)),
        }
    }

    fn literal(&self, v: &ScalarValue, t: Option<&LogicalType>) -> String {
        if v.is_null() {
            return match t {
                Some(t) if t.kind != TypeKind::Null => format!("null:{}", type_name(t)),
                _ => "null".to_string(),
            };
        }
        match v {
            ScalarValue::Utf8(Some(s)) => match self.style {
                Style::Indexed => format!("_UTF-16LE'{}'", s.replace('\'', "''")),
                _ => format!("'{}'", s.replace('\'', "''")),
            },
            ScalarValue::DurationMillisecond(Some(ms)) => {
                let t = t.map_or("INTERVAL SECOND".to_string(), interval_words);
                format!("{ms}:{t}")
            }
            ScalarValue::IntervalYearMonth(Some(m)) => {
                let t = t.map_or("INTERVAL MONTH".to_string(), interval_words);
                format!("{m}:{t}")
            }
            ScalarValue::Date32(Some(d)) => {
                let (y, m, d) = civil_from_days(i64::from(*d));
                format!("{y:04}-{m:02}-{d:02}")
            }
            ScalarValue::TimestampMillisecond(Some(ms), _) => {
                let text = format_timestamp_ms(*ms);
                text.strip_suffix(".000").unwrap_or(&text).to_string()
            }
            ScalarValue::Decimal128(Some(d), _, s) if *s > 0 => decimal(*d, *s as usize),
            ScalarValue::Decimal128(Some(d), ..) => d.to_string(),
            ScalarValue::Boolean(Some(b)) => b.to_string(),
            other if matches!(other.data_type(), DataType::Float64 | DataType::Float32) => format!("{other}:DOUBLE"),
            other => other.to_string(),
        }
    }
}

/// A type as Calcite names it; whether it may be NULL is not said.
pub(super) fn type_name(t: &LogicalType) -> String {
    match &t.kind {
        TypeKind::Int => "INTEGER".to_string(),
        kind if *kind == TypeKind::STRING => "VARCHAR(2147483647)".to_string(),
        kind if *kind == TypeKind::BYTES => "VARBINARY(2147483647)".to_string(),
        _ => t.with_nullable(true).to_string(),
    }
}

fn interval_words(t: &LogicalType) -> String {
    // Flink leaves the precisions of a literal's type out.
    let text = t.with_nullable(true).to_string();
    let mut out = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

fn decimal(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" })
}
