//! Every scalar function over 8,192 rows: nanoseconds per row, beside copying its columns into fresh memory.
//!
//! `functions.txt` lists the calls. `--page` prints docs/reference/function-speed.md, a word measures the calls that hold it,
//! `--check` only looks whether all of them can be measured.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::types::{Decimal128Type, Float64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    PrimitiveArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_data::ArrayData;
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use flott_core::LogicalType;
use flott_core::rng::Rng;
use flott_core::types::{TypeKind, arrow_schema};
use flott_function::cast::cast;
use flott_function::lazy::short_circuit;
use flott_function::{FunctionEnv, TypedExpr, operator, scalar};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a batch.
const ROWS: usize = 8_192;
/// One row in so many is NULL.
const NULL_EVERY: u64 = 16;
/// How long a call is repeated; its fastest time counts, which other work on the machine disturbs least.
const PATIENCE: Duration = Duration::from_millis(60);
/// From where on a call needs a reason.
const TIMES_MAX: f64 = 10.0;

const WORDS: [&str; 16] = [
    "and", "river", "stone", "of", "abandon", "candle", "über", "to", "one", "window", "a", "naïve", "land", "quick",
    "fan", "the",
];

type Failure = String;

/// What there is to call with.
struct Table {
    names: Vec<String>,
    types: Vec<LogicalType>,
    columns: Vec<ArrayRef>,
}

impl Table {
    fn add(&mut self, name: &str, data_type: LogicalType, column: ArrayRef) {
        self.names.push(name.to_string());
        self.types.push(data_type);
        self.columns.push(column);
    }

    fn column(&self, name: &str) -> Option<TypedExpr> {
        let i = self.names.iter().position(|n| n == name)?;
        Some(TypedExpr::new(Expr::Column(Column::new_unqualified(name)), self.types[i].clone()))
    }

    fn rows(&self) -> Result<RecordBatch, Failure> {
        let schema = arrow_schema(self.names.iter().map(String::as_str).zip(&self.types));
        RecordBatch::try_new(schema, self.columns.clone()).map_err(|e| e.to_string())
    }

    /// Columns of every plain type, with ranges that jobs have: numbers of some digits, texts of two to five words, times of
    /// this century.
    fn random() -> Result<Table, Failure> {
        let mut rng = Rng::seeded(8_192);
        let mut table = Table { names: vec![], types: vec![], columns: vec![] };
        let rng = &mut rng;
        for second in ["", "2"] {
            let mut add = |name: &str, data_type: &str, column: ArrayRef| -> Result<(), Failure> {
                let data_type = data_type.parse().map_err(|e| format!("{data_type}: {e}"))?;
                table.add(&format!("{name}{second}"), data_type, column);
                Ok(())
            };
            let days = |rng: &mut Rng| 11_000 + rng.below(15_000) as i32;
            let millis = |rng: &mut Rng| i64::from(days(rng)) * 86_400_000 + rng.below(86_400_000) as i64;
            add("flag", "BOOLEAN", Arc::new(BooleanArray::from(each(rng, |r| r.below(2) == 0))))?;
            add("small", "INT", Arc::new(Int32Array::from(each(rng, |r| r.below(10) as i32))))?;
            add("positive", "INT", Arc::new(Int32Array::from(each(rng, |r| 1 + r.below(1_000) as i32))))?;
            add("int", "INT", Arc::new(Int32Array::from(each(rng, |r| r.below(2_000_000) as i32 - 1_000_000))))?;
            add("bigint", "BIGINT", Arc::new(Int64Array::from(each(rng, |r| r.below(4_000_000_000) as i64))))?;
            add("seconds", "BIGINT", Arc::new(Int64Array::from(each(rng, |r| millis(r) / 1_000))))?;
            add("double", "DOUBLE", doubles(each(rng, |r| (r.next_f64() - 0.5) * 1e6)))?;
            add("fraction", "DOUBLE", doubles(each(rng, Rng::next_f64)))?;
            let decimals = Decimal128Array::from(each(rng, |r| i128::from(1 + r.below(99_999_999))));
            add("decimal", "DECIMAL(10, 2)", scaled(decimals)?)?;
            add(
                "text",
                "STRING",
                texts(each(rng, |r| {
                    let count = 2 + r.below(4);
                    words(r, count)
                })),
            )?;
            add("word", "STRING", texts(each(rng, |r| words(r, 1))))?;
            let bytes = each(rng, |r| words(r, 3).into_bytes());
            let bytes = BinaryArray::from_iter(bytes.iter().map(|b| b.as_deref()));
            add("bytes", "BYTES", Arc::new(bytes))?;
            add("date", "DATE", Arc::new(Date32Array::from(each(rng, days))))?;
            add("timestamp", "TIMESTAMP(3)", Arc::new(TimestampMillisecondArray::from(each(rng, millis))))?;
        }
        let event_time =
            TypeKind::timestamp(3).nullable().with_time_attribute(flott_core::types::TimeAttribute::Rowtime);
        let times = PrimitiveArray::<TimestampMillisecondType>::from(each(rng, |r| r.below(1 << 40) as i64));
        table.add("rowtime", event_time, Arc::new(times));
        Ok(table)
    }
}

/// A value for each row; some are NULL.
fn each<T>(rng: &mut Rng, value: impl Fn(&mut Rng) -> T) -> Vec<Option<T>> {
    (0..ROWS).map(|_| (rng.below(NULL_EVERY) != 0).then(|| value(rng))).collect()
}

fn doubles(values: Vec<Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<PrimitiveArray<Float64Type>>()) as Arc<Float64Array>
}

fn scaled(values: PrimitiveArray<Decimal128Type>) -> Result<ArrayRef, Failure> {
    Ok(Arc::new(values.with_precision_and_scale(10, 2).map_err(|e| e.to_string())?))
}

fn texts(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn words(rng: &mut Rng, count: u64) -> String {
    let words: Vec<&str> = (0..count).map(|_| WORDS[rng.below(WORDS.len() as u64) as usize]).collect();
    words.join(" ")
}

/// A call and why it may take long.
struct Call {
    section: String,
    text: String,
    reason: Option<String>,
}

struct List {
    made: Vec<(String, String)>,
    calls: Vec<Call>,
}

fn list() -> Result<List, Failure> {
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut made, mut calls, mut section) = (vec![], vec![], String::new());
    for line in include_str!("functions.txt").lines().filter(|l| !l.is_empty()) {
        if let Some(because) = line.strip_prefix("# because ") {
            let (word, reason) = because.split_once(": ").ok_or_else(|| format!("no reason: {line}"))?;
            reasons.insert(word, reason);
        } else if let Some(title) = line.strip_prefix("# ") {
            section = title.to_string();
        } else if let Some(rest) = line.strip_prefix("let ") {
            let (name, call) = rest.split_once(" = ").ok_or_else(|| format!("no call: {line}"))?;
            made.push((name.to_string(), call.to_string()));
        } else if !line.starts_with('#') {
            let (text, reason) = line.split_once(" ;; ").map_or((line, None), |(text, reason)| (text, Some(reason)));
            let reason = reason.map(|r| reasons.get(r).map_or(r, |long| *long).to_string());
            calls.push(Call { section: section.clone(), text: text.to_string(), reason });
        }
    }
    Ok(List { made, calls })
}

/// A call as `functions.txt` has it, as an expression over the table, and the columns that it reads.
fn expression(text: &str, table: &Table) -> Result<(TypedExpr, Vec<usize>), Failure> {
    let env = FunctionEnv::default();
    let mut read = vec![];
    let mut argument = |text: &str| -> Result<TypedExpr, Failure> {
        if let Some(i) = table.names.iter().position(|n| n == text) {
            if !read.contains(&i) {
                read.push(i);
            }
            return table.column(text).ok_or_else(|| format!("no column '{text}'"));
        }
        if let Some(quoted) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            let t = TypeKind::Char(quoted.chars().count() as u32).not_null();
            return Ok(TypedExpr::literal(ScalarValue::Utf8(Some(quoted.to_string())), t));
        }
        let number: i32 = text.parse().map_err(|_| format!("'{text}' is no column, text or number"))?;
        Ok(TypedExpr::literal(ScalarValue::Int32(Some(number)), TypeKind::Int.not_null()))
    };
    let operands: Vec<&str> = text.split(' ').collect();
    let done = if let [left, sign, right] = operands[..]
        && !text.contains('(')
    {
        let op = match sign {
            "+" => Operator::Plus,
            "-" => Operator::Minus,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            "=" => Operator::Eq,
            "<" => Operator::Lt,
            "AND" => Operator::And,
            "OR" => Operator::Or,
            "||" => Operator::StringConcat,
            "IS_DISTINCT_FROM" => Operator::IsDistinctFrom,
            other => return Err(format!("'{other}' is no operator")),
        };
        operator::binary(op, argument(left)?, argument(right)?, &env)
    } else {
        let inner = text.strip_suffix(')').and_then(|t| t.split_once('('));
        let (name, inner) = inner.ok_or_else(|| format!("'{text}' is no call"))?;
        if let (Some((value, to)), true) = (inner.split_once(" AS "), name.ends_with("CAST")) {
            let to = to.parse().map_err(|e| format!("{to}: {e}"))?;
            cast(argument(value)?, &to, name == "TRY_CAST", &env)
        } else {
            let values = arguments(inner).into_iter().map(&mut argument).collect::<Result<Vec<_>, _>>()?;
            scalar::call(name, values, &env).ok_or_else(|| format!("no function {name}"))?
        }
    };
    Ok((done.map_err(|e| format!("{text}: {e}"))?, read))
}

/// What stands between commas that are in no quotes.
fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (vec![], 0, false);
    for (i, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

fn physical(e: &TypedExpr, rows: &RecordBatch) -> Result<Arc<dyn PhysicalExpr>, Failure> {
    let schema = DFSchema::try_from(rows.schema()).map_err(|e| e.to_string())?;
    let physical = create_physical_expr(&e.expr, &schema, &ExecutionProps::new(), &Default::default())
        .map_err(|e| e.to_string())?;
    short_circuit(physical).map_err(|e| e.to_string())
}

/// The fastest of many times, in nanoseconds per row.
#[expect(clippy::disallowed_methods, reason = "a benchmark takes the time")]
fn fastest(mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    work()?;
    let (start, mut best) = (Instant::now(), Duration::MAX);
    let mut rounds = 0;
    while rounds < 3 || (start.elapsed() < PATIENCE && rounds < 5_000) {
        let before = Instant::now();
        work()?;
        best = best.min(before.elapsed());
        rounds += 1;
    }
    Ok(best.as_nanos() as f64 / ROWS as f64)
}

/// Copies everything that a column consists of.
fn copy(data: &ArrayData) {
    for buffer in data.buffers() {
        black_box(buffer.as_slice().to_vec());
    }
    if let Some(nulls) = data.nulls() {
        black_box(nulls.validity().to_vec());
    }
    data.child_data().iter().for_each(copy);
}

struct Measured {
    section: String,
    text: String,
    reason: Option<String>,
    nanos: f64,
    /// Of copying the columns; 0 where there is none.
    copied: f64,
}

impl Measured {
    fn times(&self) -> f64 {
        if self.copied > 0.0 { self.nanos / self.copied } else { 0.0 }
    }

    fn needs_a_reason(&self) -> bool {
        self.times() > TIMES_MAX && self.reason.is_none()
    }

    fn line(&self) -> String {
        let reason = match &self.reason {
            Some(reason) if self.times() > TIMES_MAX => reason,
            _ if self.needs_a_reason() => "NOT STATED",
            _ => "",
        };
        let (copied, times) = match self.copied > 0.0 {
            true => (format!("{:.2}", self.copied), format!("{:.1}", self.times())),
            false => (String::new(), String::new()),
        };
        format!("| `{}` | {:.2} | {copied} | {times} | {reason} |", self.text.replace('|', "\\|"), self.nanos)
    }
}

/// The calls, and all columns that they read. Every function is called by one of them.
fn prepare() -> Result<(Vec<Call>, Table), Failure> {
    let list = list()?;
    let is_called = |name: &str| {
        let (call, operator) = (format!("{name}("), format!(" {name} "));
        list.calls.iter().any(|c| c.text.starts_with(&call) || c.text.contains(&operator))
    };
    let missing: Vec<&str> = scalar::functions().map(|f| f.name).filter(|name| !is_called(name)).collect();
    if !missing.is_empty() {
        return Err(format!("functions.txt calls no {}", missing.join(", ")));
    }
    let mut table = Table::random()?;
    for (name, call) in &list.made {
        let (e, _) = expression(call, &table)?;
        let rows = table.rows()?;
        let value = physical(&e, &rows)?.evaluate(&rows).and_then(|v| v.into_array(ROWS));
        table.add(name, e.data_type.clone(), value.map_err(|e| format!("{call}: {e}"))?);
    }
    Ok((list.calls, table))
}

/// Whether there is something to measure in every line (`--check`, and a test).
pub(crate) fn check() -> Result<usize, Failure> {
    let (calls, table) = prepare()?;
    let rows = table.rows()?.slice(0, 64);
    let one = |call: &Call| -> Result<(), Failure> {
        let (e, _) = expression(&call.text, &table)?;
        physical(&e, &rows)?.evaluate(&rows).map(drop).map_err(|e| format!("{}: {e}", call.text))
    };
    let failed: Vec<Failure> = calls.iter().filter_map(|call| one(call).err()).collect();
    if failed.is_empty() { Ok(calls.len()) } else { Err(failed.join("\n")) }
}

fn measure(only: Option<&str>) -> Result<Vec<Measured>, Failure> {
    let (calls, table) = prepare()?;
    let rows = table.rows()?;
    let mut measured = vec![];
    for call in calls.into_iter().filter(|c| only.is_none_or(|only| c.text.contains(only))) {
        let (e, read) = expression(&call.text, &table)?;
        let physical = physical(&e, &rows)?;
        let nanos = fastest(|| {
            let value = physical.evaluate(&rows).map_err(|e| format!("{}: {e}", call.text))?;
            match value {
                ColumnarValue::Array(array) => drop(black_box(array)),
                ColumnarValue::Scalar(scalar) => drop(black_box(scalar)),
            }
            Ok(())
        })?;
        let data: Vec<ArrayData> = read.iter().map(|i| table.columns[*i].to_data()).collect();
        let copied = match data.is_empty() {
            true => 0.0,
            false => fastest(|| {
                data.iter().for_each(copy);
                Ok(())
            })?,
        };
        measured.push(Measured { section: call.section, text: call.text, reason: call.reason, nanos, copied });
    }
    Ok(measured)
}

/// The page of docs/reference.
fn page(measured: &[Measured]) -> String {
    let mut text = String::from(
        "# How long functions take\n\n\
         <!-- Written by `cargo xtask bench functions`. -->\n\n\
         Nanoseconds per row on one core, in batches of 8,192 rows of which one in 16 is NULL: texts of two to five words, words of\n\
         one, numbers of up to seven digits, times of this century, arrays of three and six numbers. The fastest of many runs counts.\n\
         Beside it stands what copying the columns that the call reads into fresh memory takes, and how many times that the call\n\
         takes; above ten times the reason is stated. Calls are written as the function gets them: `EXTRACT('YEAR', timestamp)` is\n\
         `EXTRACT(YEAR FROM timestamp)`.\n",
    );
    let mut section = "";
    for m in measured {
        if m.section != section {
            section = &m.section;
            let head = "| Call | ns per row | copy | times | why |\n|---|---|---|---|---|\n";
            // Writing into a String never fails.
            write!(text, "\n## {section}\n\n{head}").unwrap_or_default();
        }
        text.push_str(&m.line());
        text.push('\n');
    }
    text
}

#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
fn main() -> ExitCode {
    // cargo hands over `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.iter().any(|a| a == "--check") {
        return match check() {
            Ok(calls) => {
                println!("{calls} calls can be measured");
                ExitCode::SUCCESS
            }
            Err(message) => {
                println!("FAILED: {message}");
                ExitCode::FAILURE
            }
        };
    }
    let as_page = arguments.iter().any(|a| a == "--page");
    let only = arguments.iter().find(|a| !a.starts_with("--")).map(String::as_str);
    let mut measured = match measure(only) {
        Ok(measured) => measured,
        Err(message) => {
            println!("FAILED: {message}");
            return ExitCode::FAILURE;
        }
    };
    if as_page {
        print!("{}", page(&measured));
        return ExitCode::SUCCESS;
    }
    measured.sort_by(|a, b| b.times().total_cmp(&a.times()));
    for m in &measured {
        println!("{}", m.line());
    }
    let open = measured.iter().filter(|m| m.needs_a_reason()).count();
    println!(
        "{} calls, {open} take more than {TIMES_MAX} times as long as a copy without a stated reason",
        measured.len()
    );
    ExitCode::SUCCESS
}
