//! A resolved function as an expression that DataFusion can carry and evaluate.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_schema::{DataType, FieldRef};
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use flott_core::types::{TypeKind, arrow_field, arrow_type, map_array, map_key_field, map_keys};
use flott_core::{Error, LogicalType, Result};

/// An expression with its Flink type.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedExpr {
    /// The expression.
    pub expr: Expr,
    /// Its type.
    pub data_type: LogicalType,
}

impl TypedExpr {
    /// An expression of this type.
    pub fn new(expr: Expr, data_type: LogicalType) -> TypedExpr {
        TypedExpr { expr, data_type }
    }

    /// A constant. The value's Arrow type must be the type's.
    pub fn literal(value: ScalarValue, data_type: LogicalType) -> TypedExpr {
        let field = arrow_field("", &data_type);
        let metadata = datafusion_common::metadata::FieldMetadata::from(field.metadata().clone());
        TypedExpr { expr: Expr::Literal(value, Some(metadata)), data_type }
    }

    /// The constant, where it is one.
    pub fn constant(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }

    /// A text constant.
    pub fn text(&self) -> Option<&str> {
        match self.constant() {
            Some(ScalarValue::Utf8(Some(text))) => Some(text),
            _ => None,
        }
    }
}

/// The value of a literal, or of a CAST of one.
fn constant_of(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::ScalarFunction(call) if call.func.name() == "CAST" => {
            let cast = call.func.inner().downcast_ref::<FlinkFunction>()?;
            let arguments = call.args.iter().map(|a| constant_of(a).map(ColumnarValue::Scalar));
            match (cast.resolved.kernel)(&arguments.collect::<Option<Vec<_>>>()?, 1).ok()? {
                ColumnarValue::Scalar(value) => Some(value),
                ColumnarValue::Array(array) => scalar_of(&array).ok(),
            }
        }
        _ => None,
    }
}

/// An argument that becomes a DOUBLE: a FLOAT that is a literal counts as the value that it is, whereas CAST takes its
/// digits.
pub(crate) fn widened_literal(value: TypedExpr, to: &LogicalType) -> TypedExpr {
    if value.data_type.kind != TypeKind::Float || to.kind != TypeKind::Double {
        return value;
    }
    match constant_of(&value.expr) {
        Some(ScalarValue::Float32(Some(v))) => {
            TypedExpr::literal(ScalarValue::Float64(Some(f64::from(v))), TypeKind::Double.not_null())
        }
        _ => value,
    }
}

/// Computes a batch: the arguments and the number of rows.
pub type Kernel = Arc<dyn Fn(&[ColumnarValue], usize) -> Result<ColumnarValue> + Send + Sync>;

/// A function resolved for the types of its arguments.
#[derive(Clone)]
pub struct Resolved {
    /// The type of its result.
    pub data_type: LogicalType,
    /// What it computes.
    pub kernel: Kernel,
    /// Whether the same arguments always give the same result.
    pub deterministic: bool,
    /// Whether it may fail for some values (see [`crate::lazy`]). What nobody has thought about may.
    pub can_fail: bool,
}

impl Resolved {
    /// A deterministic function.
    pub fn new(
        data_type: LogicalType,
        kernel: impl Fn(&[ColumnarValue], usize) -> Result<ColumnarValue> + Send + Sync + 'static,
    ) -> Resolved {
        Resolved { data_type, kernel: Arc::new(kernel), deterministic: true, can_fail: true }
    }

    /// A deterministic function over whole columns.
    pub fn arrays(
        data_type: LogicalType,
        kernel: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Resolved {
        Resolved::new(data_type, move |args, rows| {
            // All constants: one row is enough.
            let constant = !args.is_empty() && args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
            let rows = if constant { 1 } else { rows };
            let result = kernel(&columns(args, rows)?, rows)?;
            if constant {
                return Ok(ColumnarValue::Scalar(scalar_of(&result)?));
            }
            Ok(ColumnarValue::Array(result))
        })
    }

    /// A deterministic function of one argument; the others are constants that it has read.
    pub(crate) fn of_argument(
        index: usize,
        data_type: LogicalType,
        kernel: impl Fn(&ArrayRef) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Resolved {
        Resolved::new(data_type, move |args, _| match &args[index] {
            ColumnarValue::Array(array) => kernel(array).map(ColumnarValue::Array),
            ColumnarValue::Scalar(value) => {
                let row = kernel(&value.to_array().map_err(from_datafusion)?)?;
                scalar_of(&row).map(ColumnarValue::Scalar)
            }
        })
    }

    /// One that fails for no value of its argument types.
    #[must_use]
    pub fn infallible(mut self) -> Resolved {
        self.can_fail = false;
        self
    }

    /// One that depends on time or chance.
    #[must_use]
    pub fn volatile(mut self) -> Resolved {
        self.deterministic = false;
        self
    }
}

/// Arguments as columns of so many rows.
pub fn columns(args: &[ColumnarValue], rows: usize) -> Result<Vec<ArrayRef>> {
    args.iter().map(|a| a.to_array(rows).map_err(from_datafusion)).collect()
}

/// The value of a column of one row. Nested values keep the fields that they have, with our metadata.
pub(crate) fn scalar_of(row: &ArrayRef) -> Result<ScalarValue> {
    if row.is_valid(0) {
        match row.data_type() {
            DataType::List(_) => return Ok(ScalarValue::List(Arc::new(row.as_list::<i32>().clone()))),
            DataType::Struct(_) => return Ok(ScalarValue::Struct(Arc::new(row.as_struct().clone()))),
            DataType::Map(..) => return Ok(ScalarValue::Map(Arc::new(row.as_map().clone()))),
            _ => {}
        }
    }
    ScalarValue::try_from_array(row, 0).map_err(from_datafusion)
}

/// The same values with the fields of this type: nested columns from elsewhere may lack our metadata.
fn relabelled(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    Ok(match (array.data_type(), wanted) {
        (have, wanted) if have == wanted => Arc::clone(array),
        (DataType::List(_), DataType::List(field)) => {
            let l = array.as_list::<i32>();
            let values = relabelled(l.values(), field.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(field), l.offsets().clone(), values, l.nulls().cloned())?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let s = array.as_struct();
            let columns = s.columns().iter().zip(fields).map(|(c, f)| relabelled(c, f.data_type()));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, s.nulls().cloned(), s.len())?)
        }
        (DataType::Map(..), DataType::Map(entries, _)) => {
            let m = array.as_map();
            let DataType::Struct(kv) = entries.data_type() else { return Ok(Arc::clone(array)) };
            let keys = relabelled(map_keys(m), map_key_field(kv).data_type())?;
            let values = relabelled(m.values(), kv[1].data_type())?;
            Arc::new(map_array(wanted, m.offsets().clone(), keys, values, m.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}

/// DataFusion's errors as ours; one of ours that went through keeps its kind.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::internal(format!("an expression failed: {other}")),
        },
        DataFusionError::ArrowError(e, _) => Error::from(*e),
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        other => Error::internal("an expression failed").caused_by(other),
    }
}

/// A call of a resolved function under this name.
pub fn call_resolved(name: &str, args: Vec<TypedExpr>, resolved: Resolved) -> TypedExpr {
    call_with_constants(name, args, vec![], resolved)
}

/// The same with the constants as they were written: a function may have read them (a unit, an escape) and keep them in
/// its kernel alone. They tell two calls apart.
pub(crate) fn call_with_constants(
    name: &str,
    args: Vec<TypedExpr>,
    constants: Vec<ScalarValue>,
    resolved: Resolved,
) -> TypedExpr {
    let data_type = resolved.data_type.clone();
    let volatility = if resolved.deterministic { Volatility::Immutable } else { Volatility::Volatile };
    // DataFusion refuses "any zero arguments".
    let signature =
        if args.is_empty() { Signature::nullary(volatility) } else { Signature::any(args.len(), volatility) };
    let udf = FlinkFunction {
        name: name.to_string(),
        arguments: args.iter().map(|a| a.data_type.clone()).collect(),
        constants,
        signature,
        resolved,
    };
    let call = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(udf)), args.into_iter().map(|a| a.expr).collect());
    TypedExpr { expr: Expr::ScalarFunction(call), data_type }
}

/// A resolved function for DataFusion. Equal by name, types and constants: the kernel follows from them.
pub struct FlinkFunction {
    name: String,
    arguments: Vec<LogicalType>,
    constants: Vec<ScalarValue>,
    signature: Signature,
    resolved: Resolved,
}

impl FlinkFunction {
    /// The types of the arguments of a call.
    pub(crate) fn arguments_of(call: &ScalarFunction) -> &[LogicalType] {
        call.func.inner().downcast_ref::<FlinkFunction>().map_or(&[], |f| &f.arguments)
    }

    /// Whether it may fail for some values of its arguments.
    pub(crate) fn can_fail(&self) -> bool {
        self.resolved.can_fail
    }
}

/// Tells apart what is not equal: parts of plans are compared by this text.
impl fmt::Debug for FlinkFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlinkFunction { name, arguments, constants, resolved, .. } = self;
        write!(f, "{name}({arguments:?}, {constants:?}) -> {}", resolved.data_type)
    }
}

impl PartialEq for FlinkFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.arguments == other.arguments
            && self.constants == other.constants
            && self.resolved.data_type == other.resolved.data_type
    }
}

impl Eq for FlinkFunction {}

impl Hash for FlinkFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.arguments.hash(state);
        self.constants.hash(state);
        self.resolved.data_type.hash(state);
    }
}

impl ScalarUDFImpl for FlinkFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> datafusion_common::Result<DataType> {
        Ok(arrow_type(&self.resolved.data_type))
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> datafusion_common::Result<FieldRef> {
        Ok(Arc::new(arrow_field(&self.name, &self.resolved.data_type)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion_common::Result<ColumnarValue> {
        let mut values = args.args;
        // A NULL literal has no type of its own in Arrow; kernels expect the argument's.
        for (value, t) in values.iter_mut().zip(&self.arguments) {
            if matches!(value, ColumnarValue::Scalar(ScalarValue::Null)) && t.kind != TypeKind::Null {
                *value = ColumnarValue::Scalar(ScalarValue::try_from(&arrow_type(t))?);
            }
        }
        let result = (self.resolved.kernel)(&values, args.number_rows)
            .map_err(|e| DataFusionError::External(Box::new(e.with("function", &self.name))))?;
        let wanted = args.return_field.data_type();
        let result = if wanted.is_nested() && result.data_type() != *wanted {
            let failed = |e: Error| DataFusionError::External(Box::new(e));
            match result {
                ColumnarValue::Array(array) => ColumnarValue::Array(relabelled(&array, wanted).map_err(failed)?),
                ColumnarValue::Scalar(value) if value.is_null() => {
                    ColumnarValue::Scalar(ScalarValue::try_from(wanted)?)
                }
                ColumnarValue::Scalar(value) => {
                    let row = relabelled(&value.to_array()?, wanted).map_err(failed)?;
                    ColumnarValue::Scalar(scalar_of(&row).map_err(failed)?)
                }
            }
        } else {
            result
        };
        if let ColumnarValue::Array(array) = &result
            && array.len() != args.number_rows
        {
            let e = Error::internal(format!("{} gave {} rows for {}", self.name, array.len(), args.number_rows));
            return Err(DataFusionError::External(Box::new(e)));
        }
        Ok(result)
    }
}
