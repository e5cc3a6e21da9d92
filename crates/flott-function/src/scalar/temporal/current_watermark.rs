//! CURRENT_WATERMARK: event time of the operator; NULL before the first watermark.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, PrimitiveArray};
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TimeAttribute;
use flott_core::{Error, LogicalType, Result};

use crate::context;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CURRENT_WATERMARK: ScalarFunction = ScalarFunction {
    name: "CURRENT_WATERMARK",
    syntax: "CURRENT_WATERMARK(rowtime)",
    description: "Event time of the operator; NULL before the first watermark.",
    documentation: "Its argument is the rowtime attribute of a table, whose type without NOT NULL it has. A row is \
         late where its time is not behind it. Any other argument is an error.",
    examples: &[Example {
        sql: "CREATE TEMPORARY TABLE clicks (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'number-of-rows' = '1'); SELECT CURRENT_WATERMARK(ts) FROM clicks",
        result: "<NULL>",
    }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| {
        if a.values[0].data_type.kind.time_attribute() != TimeAttribute::Rowtime {
            return Err(Error::user("CURRENT_WATERMARK() must be called with a rowtime attribute"));
        }
        let t = a.values[0].data_type.with_nullable(true).with_time_attribute(TimeAttribute::None);
        Ok(Some(Resolved::new(t.clone(), move |_, _| watermark(&t)).volatile()))
    },
};

fn watermark(t: &LogicalType) -> Result<ColumnarValue> {
    let ms = context::watermark_ms();
    let array: ArrayRef = Arc::new(PrimitiveArray::<TimestampMillisecondType>::from_iter([ms]));
    let target = flott_core::types::arrow_type(t);
    let cast = arrow_cast::cast(&array, &target)?;
    Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0).map_err(crate::udf::from_datafusion)?))
}
