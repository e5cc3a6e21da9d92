//! LANGUAGE WASM: its options, and the modules that are loaded.

use std::sync::{Arc, Weak};

use flott_connector::function::{FunctionArtifact, FunctionLanguage, FunctionSignature, UserFunction};
use flott_core::options::{ConfigOption, OptionType};
use flott_core::{Error, LogicalType, Result};
use parking_lot::Mutex;
use wasmi::{Engine, Module};

use crate::function::WasmFunction;
use crate::instance::Limits;
use crate::module;

/// The largest module.
pub const ARTIFACT_BYTES_MAX: usize = 16 << 20;
/// Translated modules that are kept for statements to come.
const MODULES_MAX: usize = 16;

/// How many instructions a row may take.
pub const FUEL_PER_ROW: ConfigOption = ConfigOption::optional(
    "fuel-per-row",
    OptionType::Long,
    Some("100000"),
    "How many instructions of WebAssembly a row may take, on average over the rows of a call and a hundred more.",
);

/// The bounds of `fuel-per-row`: a call has to end before its job can.
const FUEL: std::ops::RangeInclusive<u64> = 1..=100_000_000;

/// How much memory a module may have.
pub const MEMORY: ConfigOption = ConfigOption::optional(
    "memory",
    OptionType::MemorySize,
    Some("64 mb"),
    "How much memory the module may have in each thread of a job, at most 4 gb. Batches whose arguments would take more than \
     a quarter of it are given to it in parts.",
);

/// The least and the most that a 32-bit memory can have.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 30;

/// A module that is, or is being, translated. Who needs it meanwhile waits for it, and for no other one.
type Slot = Arc<Mutex<Option<Arc<Module>>>>;

/// LANGUAGE WASM. Modules are translated once, whichever functions of them are made and called, and a function is one object
/// however often its name is in the statements that run: its instances are shared.
pub struct WasmLanguage {
    engine: Engine,
    /// By the digest of their artifacts, the one that was needed last at the end.
    modules: Mutex<Vec<(String, Slot)>>,
    /// Those that anybody calls.
    functions: Mutex<Vec<(FunctionKey, Weak<WasmFunction>)>>,
}

/// What a function is known by.
#[derive(PartialEq)]
struct FunctionKey {
    digest: String,
    symbol: String,
    limits: Limits,
    result: LogicalType,
}

impl Default for WasmLanguage {
    fn default() -> WasmLanguage {
        WasmLanguage { engine: module::engine(), modules: Mutex::default(), functions: Mutex::default() }
    }
}

impl WasmLanguage {
    fn module(&self, artifact: &FunctionArtifact) -> Result<Arc<Module>> {
        let slot = self.slot(artifact.digest());
        let mut translated = slot.lock();
        if let Some(module) = translated.as_ref() {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(module::compile(&self.engine, artifact.bytes())?);
        Ok(Arc::clone(translated.insert(module)))
    }

    fn slot(&self, digest: &str) -> Slot {
        let mut modules = self.modules.lock();
        let slot = match modules.iter().position(|(known, _)| known == digest) {
            Some(i) => modules.remove(i).1,
            None => Slot::default(),
        };
        if modules.len() >= MODULES_MAX {
            modules.remove(0);
        }
        modules.push((digest.to_string(), Arc::clone(&slot)));
        slot
    }

    /// The function of this key, if anybody calls it. Forgets those that nobody calls any more.
    fn known(&self, key: &FunctionKey) -> Option<Arc<WasmFunction>> {
        let mut functions = self.functions.lock();
        functions.retain(|(_, function)| function.strong_count() > 0);
        functions.iter().find(|(known, _)| known == key).and_then(|(_, function)| function.upgrade())
    }
}

fn limits(artifact: &FunctionArtifact) -> Result<Limits> {
    let wrong = |option: &ConfigOption, expected: &str| {
        let value = artifact.options.text(option).unwrap_or_default();
        Error::user(format!("Invalid value '{value}' for option '{}': expected {expected}", option.key))
            .with("option", option.key)
    };
    let fuel = artifact.options.long(&FUEL_PER_ROW)?.and_then(|n| u64::try_from(n).ok()).filter(|n| FUEL.contains(n));
    let fuel_per_row = fuel.ok_or_else(|| wrong(&FUEL_PER_ROW, "1 to 100000000"))?;
    let memory = artifact.options.bytes(&MEMORY)?.filter(|n| MEMORY_BYTES.contains(n));
    let memory = memory.ok_or_else(|| wrong(&MEMORY, "64 kb to 4 gb"))?;
    let memory_bytes = usize::try_from(memory).map_err(|_| wrong(&MEMORY, "less, on this machine"))?;
    Ok(Limits { fuel_per_row, memory_bytes })
}

impl FunctionLanguage for WasmLanguage {
    fn name(&self) -> &'static str {
        "WASM"
    }

    fn options(&self) -> &'static [ConfigOption] {
        const OPTIONS: [ConfigOption; 2] = [FUEL_PER_ROW, MEMORY];
        &OPTIONS
    }

    fn artifact_bytes_max(&self) -> usize {
        ARTIFACT_BYTES_MAX
    }

    fn load(&self, artifact: &FunctionArtifact, signature: &FunctionSignature) -> Result<Arc<dyn UserFunction>> {
        signature.check_code_types()?;
        let limits = limits(artifact)?;
        if artifact.bytes().len() > ARTIFACT_BYTES_MAX {
            return Err(Error::user(format!("the module has more than {ARTIFACT_BYTES_MAX} bytes")));
        }
        let key = FunctionKey {
            digest: artifact.digest().to_string(),
            symbol: artifact.symbol.clone(),
            limits,
            result: signature.result_type(),
        };
        if let Some(function) = self.known(&key) {
            return Ok(function);
        }
        let module = self.module(artifact)?;
        module::check_symbol(&module, &artifact.symbol)?;
        let function =
            Arc::new(WasmFunction::new(&self.engine, module, &artifact.symbol, limits, signature.result_type())?);
        self.functions.lock().push((key, Arc::downgrade(&function)));
        Ok(function)
    }
}
