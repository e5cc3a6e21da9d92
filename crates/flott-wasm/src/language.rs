//! LANGUAGE WASM: its options, and the modules that are loaded.

use std::sync::Arc;

use flott_connector::function::{FunctionArtifact, FunctionLanguage, FunctionSignature, UserFunction};
use flott_core::options::{ConfigOption, OptionType};
use flott_core::{Error, Result};
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

/// LANGUAGE WASM. Modules are translated once, whichever functions of them are made and called.
pub struct WasmLanguage {
    engine: Engine,
    /// By the digest of their artifacts, the one that was needed last at the end.
    modules: Mutex<Vec<(String, Arc<Module>)>>,
}

impl Default for WasmLanguage {
    fn default() -> WasmLanguage {
        WasmLanguage { engine: module::engine(), modules: Mutex::default() }
    }
}

impl WasmLanguage {
    fn module(&self, artifact: &FunctionArtifact) -> Result<Arc<Module>> {
        let mut modules = self.modules.lock();
        let known = modules.iter().position(|(digest, _)| digest == artifact.digest());
        let module = match known {
            Some(i) => modules.remove(i).1,
            // Whoever needs another one in the meantime waits: two at a time would not be done sooner.
            None => Arc::new(module::compile(&self.engine, artifact.bytes())?),
        };
        if modules.len() >= MODULES_MAX {
            modules.remove(0);
        }
        modules.push((artifact.digest().to_string(), Arc::clone(&module)));
        Ok(module)
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
        let module = self.module(artifact)?;
        module::check_symbol(&module, &artifact.symbol)?;
        let function = WasmFunction::new(&self.engine, module, &artifact.symbol, limits, signature.result_type())?;
        Ok(Arc::new(function))
    }
}
