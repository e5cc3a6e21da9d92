//! A function of a module: batches of rows become calls of instances.

use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array};
use arrow_select::concat::concat;
use flott_connector::function::UserFunction;
use flott_core::types::arrow_type;
use flott_core::{LogicalType, Result};
use parking_lot::Mutex;
use wasmi::{Engine, Module};

use crate::arguments::Block;
use crate::instance::{Limits, Live};

/// Idle instances that are kept: one for each thread of a job, if it has no more.
const IDLE_MAX: usize = 64;

/// The function.
pub(crate) struct WasmFunction {
    pub(crate) engine: Engine,
    pub(crate) module: Arc<Module>,
    pub(crate) symbol: String,
    pub(crate) limits: Limits,
    /// What its code gives for a row.
    pub(crate) result: LogicalType,
    idle: Mutex<Vec<Live>>,
}

impl WasmFunction {
    /// One whose module can be started.
    pub(crate) fn new(
        engine: &Engine,
        module: Arc<Module>,
        symbol: &str,
        limits: Limits,
        result: LogicalType,
    ) -> Result<WasmFunction> {
        let first = Live::new(engine, &module, symbol, limits)?;
        let (engine, idle) = (engine.clone(), Mutex::new(vec![first]));
        Ok(WasmFunction { engine, module, symbol: symbol.to_string(), limits, result, idle })
    }

    /// The results, in as many calls as the arguments need to have room in the module's memory.
    fn calls(&self, live: &mut Live, arguments: &[ArrayRef], rows: usize, given: &mut Vec<ArrayRef>) -> Result<()> {
        let block = Block::of(arguments)?;
        if block.len() > self.limits.memory_bytes / 4 && rows > 1 {
            drop(block);
            let half = rows / 2;
            for (from, len) in [(0, half), (half, rows - half)] {
                let part: Vec<ArrayRef> = arguments.iter().map(|a| a.slice(from, len)).collect();
                self.calls(live, &part, len, given)?;
            }
            return Ok(());
        }
        given.push(live.call(block, arguments.len(), rows, &self.result)?);
        Ok(())
    }
}

impl UserFunction for WasmFunction {
    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        if rows == 0 {
            return Ok(new_empty_array(&arrow_type(&self.result)));
        }
        let idle = self.idle.lock().pop();
        let mut live = match idle {
            Some(live) => live,
            None => Live::new(&self.engine, &self.module, &self.symbol, self.limits)?,
        };
        let mut given = vec![];
        self.calls(&mut live, arguments, rows, &mut given)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(live);
        }
        drop(idle);
        if let [one] = given.as_slice() {
            return Ok(Arc::clone(one));
        }
        let parts: Vec<_> = given.iter().map(|a| a.as_ref()).collect();
        Ok(concat(&parts)?)
    }
}
