//! Compiled modules: what they import (nothing) and export is looked at before one runs.

use flott_core::{Error, Result, suggest};
use wasmi::{CompilationMode, Config, EnforcedLimits, Engine, ExternType, FuncType, Module, ValType};

/// Calls inside each other.
pub(crate) const RECURSION_DEPTH_MAX: usize = 1_000;
/// Bytes of the values of all of them.
pub(crate) const STACK_BYTES_MAX: usize = 1 << 20;

/// What modules run on: an interpreter. It makes no machine code and installs no signal handlers, as it is a guest in its
/// program's process; its fuel and its floating-point numbers are the same on every machine.
pub(crate) fn engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // A mistake is found when a module is loaded, and a first call takes no more fuel than another.
        .compilation_mode(CompilationMode::Eager)
        // What a hostile module could make translation slow with: ten thousand functions at most, a thousand globals,
        // parts of data and of tables each, and no functions of nothing by the million.
        .enforced_limits(EnforcedLimits::strict())
        .set_max_recursion_depth(RECURSION_DEPTH_MAX)
        .set_max_stack_height(STACK_BYTES_MAX)
        .wasm_multi_memory(false);
    Engine::new(&config)
}

/// The exports that every module has.
pub(crate) const MEMORY: &str = "memory";
pub(crate) const ALLOC: &str = "flott_alloc";
pub(crate) const FREE: &str = "flott_free";
/// One that it may have.
pub(crate) const RELEASE: &str = "flott_release";

/// A module, ready to run.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    if bytes.get(..4) != Some(b"\0asm") {
        return Err(Error::user("the artifact is no WebAssembly module: it does not start with \\0asm")
            .hint("Name the .wasm file that the compiler has made, not its source or text form"));
    }
    let module = Module::new(engine, bytes).map_err(|e| {
        Error::user(format!("the WebAssembly module cannot be compiled: {}", one_line(&e)))
            .hint("Compile it for wasm32-unknown-unknown, without SIMD, threads, garbage collection and exceptions")
    })?;
    if let Some(import) = module.imports().next() {
        return Err(Error::user(format!(
            "the module imports '{}.{}', and can import nothing",
            shown(import.module()),
            shown(import.name())
        ))
        .hint("Compile it for wasm32-unknown-unknown, without WASI and without JavaScript around it"));
    }
    match module.get_export(MEMORY) {
        Some(ExternType::Memory(memory)) if !memory.is_64() => {}
        _ => return Err(lacks(&module, MEMORY, "a memory")),
    }
    function(&module, ALLOC, 1, true)?;
    function(&module, FREE, 2, false)?;
    if module.get_export(RELEASE).is_some() {
        function(&module, RELEASE, 1, false)?;
    }
    Ok(module)
}

/// Refuses a symbol that is no function of the shape of ours.
pub(crate) fn check_symbol(module: &Module, symbol: &str) -> Result<()> {
    if [ALLOC, FREE, RELEASE, MEMORY].contains(&symbol) {
        return Err(Error::user(format!("'{symbol}' is for Flott's own use and no function for SQL"))
            .hint("Name another export behind AS"));
    }
    function(module, symbol, 4, true)
}

/// Whether a function of so many numbers of 32 bits is exported.
fn function(module: &Module, name: &str, parameters: usize, gives: bool) -> Result<()> {
    let numbers = |n: usize| vec!["i32"; n].join(", ");
    let shape = format!("{name}({}){}", numbers(parameters), if gives { " -> i32" } else { "" });
    let is_wanted = |f: &FuncType| {
        f.params().len() == parameters
            && f.results().len() == usize::from(gives)
            && f.params().iter().chain(f.results()).all(|t| matches!(t, ValType::I32))
    };
    match module.get_export(name) {
        Some(ExternType::Func(f)) if is_wanted(&f) => Ok(()),
        Some(ExternType::Func(f)) => {
            let list = |types: &[ValType]| {
                types.iter().map(|t| format!("{t:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
            };
            let (takes, results) = (list(f.params()), list(f.results()));
            Err(Error::user(format!("the module's function is {name}({takes}) -> ({results}), and {shape} is needed"))
                .hint("flott docs user-functions says what a module exports"))
        }
        _ => Err(lacks(module, name, &format!("a function {shape}"))),
    }
}

fn lacks(module: &Module, name: &str, what: &str) -> Error {
    let exports: Vec<String> = module.exports().map(|e| shown(e.name())).take(50).collect();
    let hint = match suggest::nearest(name, exports.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean '{near}'?"),
        None if exports.is_empty() => "It exports nothing: mark its functions as exported".to_string(),
        None => format!("It exports: {}", exports.join(", ")),
    };
    Error::user(format!("the module does not export '{name}', {what}")).hint(hint)
}

/// A name that a module has given: cut, and without what moves a cursor.
fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}

/// A message of the engine's without line breaks.
pub(crate) fn one_line(e: &wasmi::Error) -> String {
    e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
