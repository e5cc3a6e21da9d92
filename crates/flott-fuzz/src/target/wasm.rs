//! WebAssembly: a module is loaded, and where it exports a function of the right shape it is called.

use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, Int32Array};
use flott_connector::function::{FunctionArtifact, FunctionLanguage, FunctionSignature};
use flott_wasm::WasmLanguage;

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    static SIGNATURE: OnceLock<FunctionSignature> = OnceLock::new();
    let signature = SIGNATURE.get_or_init(|| {
        FunctionSignature::scalar(&[("a", "INT"), ("b", "STRING")], "STRING").unwrap_or_else(|e| panic!("{e}"))
    });
    let language = WasmLanguage::default();
    let options = [("memory", "1 mb"), ("fuel-per-row", "1000")].into_iter().collect();
    let artifact = FunctionArtifact::new("WASM", "f", "f.wasm", data.to_vec(), options);
    let Some(function) = rows::given(language.load(&artifact, signature)) else { return };
    let texts: ArrayRef = Arc::new(arrow_array::StringArray::from(vec![Some("x"), None, Some("yz")]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(-7), None]));
    for _ in 0..2 {
        rows::given(function.evaluate(&[Arc::clone(&numbers), Arc::clone(&texts)], 3));
    }
}
