//! A module at work: its memory, its fuel, and one call.

use std::cell::Cell;

use arrow_array::ArrayRef;
use flott_core::{Error, LogicalType, Result};
use wasmi::errors::{ErrorKind, InstantiationError, MemoryError};
use wasmi::{
    Engine, Instance, Memory, Module, ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, TrapCode, TypedFunc,
};

use crate::arguments::Block;
use crate::layout;
use crate::module::{self, one_line};
use crate::result;

/// Elements of a table of a module: functions that it calls by number.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Such tables.
const TABLES_MAX: usize = 16;
/// Instructions for what is done once for a call, in rows: a batch of one row may be counted more closely than it can be
/// computed.
const ROWS_AT_LEAST: u64 = 100;

/// How much a module may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Instructions for a row, on average over the rows of a call.
    pub(crate) fuel_per_row: u64,
    /// Bytes of its memory.
    pub(crate) memory_bytes: usize,
}

/// What a store belongs to.
struct Host {
    limits: Limits,
    /// What the engine asks before a module grows. What it denies is a trap: a module that went on without would stop
    /// somewhere else, and nobody would know why.
    growth: StoreLimits,
}

impl Host {
    fn new(limits: Limits) -> Host {
        let growth = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(1)
            .memories(1)
            .tables(TABLES_MAX)
            .trap_on_grow_failure(true)
            .build();
        Host { limits, growth }
    }
}

/// An instance of a module.
pub(crate) struct Live {
    store: Store<Host>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    release: Option<TypedFunc<u32, ()>>,
    function: TypedFunc<(u32, u32, u32, u32), i32>,
}

impl Live {
    /// A new one. Its start function runs.
    pub(crate) fn new(engine: &Engine, module: &Module, symbol: &str, limits: Limits) -> Result<Live> {
        let mut store = Store::new(engine, Host::new(limits));
        store.limiter(|host: &mut Host| -> &mut dyn ResourceLimiter { &mut host.growth });
        fill(&mut store, 1)?;
        let instance = Instance::new(&mut store, module, &[]).map_err(|e| failed(&store, &e, 1))?;
        let other =
            |e: wasmi::Error| Error::internal(format!("an export that was looked at is none: {}", one_line(&e)));
        let memory = instance
            .get_memory(&store, module::MEMORY)
            .ok_or_else(|| Error::internal("a memory that was looked at is none"))?;
        Ok(Live {
            memory,
            alloc: instance.get_typed_func(&store, module::ALLOC).map_err(other)?,
            free: instance.get_typed_func(&store, module::FREE).map_err(other)?,
            release: instance.get_typed_func(&store, module::RELEASE).ok(),
            function: instance.get_typed_func(&store, symbol).map_err(other)?,
            store,
        })
    }

    /// One call. After an error the instance is in no known state.
    pub(crate) fn call(&mut self, arguments: Block, count: usize, rows: usize, t: &LogicalType) -> Result<ArrayRef> {
        fill(&mut self.store, rows as u64)?;
        let number = |n: usize, what: &str| {
            u32::try_from(n).map_err(|_| Error::user(format!("{n} {what} are too many for a module")))
        };
        let (size, count, n) = (number(arguments.len(), "bytes")?, number(count, "arguments")?, number(rows, "rows")?);
        let base = self.alloc.call(&mut self.store, size).map_err(|e| failed(&self.store, &e, rows))?;
        let end = u64::from(base) + u64::from(size);
        if base == 0 {
            return Err(no_memory(&self.store, size));
        }
        if !(base as usize).is_multiple_of(layout::ALIGNMENT) || end > self.memory.data_size(&self.store) as u64 {
            return Err(Error::user(format!(
                "{} of the module gave address {base} for {size} bytes, which is not in its memory or not a multiple of {}",
                module::ALLOC,
                layout::ALIGNMENT
            ))
            .hint("Mend the module's allocator"));
        }
        let block = arguments.at(base);
        self.memory
            .write(&mut self.store, base as usize, &block)
            .map_err(|e| Error::internal("a place that was looked at is none").caused_by(e))?;
        drop(block);
        let at = base + count * layout::SIZE as u32;
        let code =
            self.function.call(&mut self.store, (base, count, n, at)).map_err(|e| failed(&self.store, &e, rows))?;
        let left = Cell::new(0);
        let memory = result::Memory::new(self.memory.data(&self.store), &left);
        if code != 0 {
            return Err(Error::data(format!("the function failed: {}", memory.message(at))));
        }
        let column = memory.column(at, t, rows)?;
        if let Some(release) = &self.release {
            release.call(&mut self.store, at).map_err(|e| failed(&self.store, &e, rows))?;
        }
        self.free.call(&mut self.store, (base, size)).map_err(|e| failed(&self.store, &e, rows))?;
        Ok(column)
    }
}

/// The instructions for so many rows.
fn fuel(limits: Limits, rows: u64) -> u64 {
    limits.fuel_per_row.saturating_mul(rows.saturating_add(ROWS_AT_LEAST))
}

fn fill(store: &mut Store<Host>, rows: u64) -> Result<()> {
    let fuel = fuel(store.data().limits, rows);
    store.set_fuel(fuel).map_err(|e| Error::internal(format!("fuel is not counted: {}", one_line(&e))))
}

fn no_memory(store: &Store<Host>, size: u32) -> Error {
    let most = store.data().limits.memory_bytes;
    Error::user(format!("the module has no memory for {size} bytes of arguments; it may have {most} bytes in all"))
        .hint("Raise 'memory' in WITH (..) of CREATE FUNCTION")
}

/// Why a module has stopped.
fn failed(store: &Store<Host>, e: &wasmi::Error, rows: usize) -> Error {
    let limits = &store.data().limits;
    match e.as_trap_code() {
        Some(TrapCode::OutOfFuel) => {
            let (rows, per_row) = (rows as u64, limits.fuel_per_row);
            Error::user(format!(
                "the function was stopped after {} instructions, for {rows} rows: 'fuel-per-row' is {per_row}",
                fuel(*limits, rows)
            ))
            .hint("Raise 'fuel-per-row' in WITH (..) of CREATE FUNCTION, or look for a loop that does not end")
        }
        Some(TrapCode::StackOverflow) => Error::user(format!(
            "the function calls itself more than {} deep, or takes more than {} bytes of stack",
            module::RECURSION_DEPTH_MAX,
            module::STACK_BYTES_MAX
        ))
        .hint("Look for a recursion that does not end"),
        _ if is_denied(e) => Error::user(format!(
            "the function needs more memory than the {} bytes that it may have ('memory'): {}",
            limits.memory_bytes,
            one_line(e)
        ))
        .hint("Raise 'memory' in WITH (..) of CREATE FUNCTION, or look for memory that the module does not take back"),
        _ => Error::user(format!("the module has stopped: {}", one_line(e))).hint(
            "It has panicked, or done what WebAssembly does not allow: try it with these rows in a program of its own",
        ),
    }
}

/// Whether a module has asked for more memory than it may have.
fn is_denied(e: &wasmi::Error) -> bool {
    let memory = match e.kind() {
        ErrorKind::Memory(memory) | ErrorKind::Instantiation(InstantiationError::FailedToInstantiateMemory(memory)) => {
            Some(memory)
        }
        _ => None,
    };
    matches!(e.as_trap_code(), Some(TrapCode::GrowthOperationLimited))
        || matches!(memory, Some(MemoryError::ResourceLimiterDeniedAllocation))
}
