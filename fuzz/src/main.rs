//! Runs one target under libFuzzer: `FLOTT_FUZZ_TARGET` names it.
#![no_main]

use std::sync::OnceLock;

use flott_fuzz::{Target, target_of};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static COUNTING: flott_fuzz::allocator::Counting = flott_fuzz::allocator::Counting;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn choose() {
    // A panic that the product catches itself is no failure: only one that comes out is.
    drop(std::panic::take_hook());
    let name = std::env::var("FLOTT_FUZZ_TARGET").unwrap_or_default();
    let target = target_of(&name).unwrap_or_else(|| panic!("FLOTT_FUZZ_TARGET: there is no target '{name}'"));
    TARGET.set(target).ok();
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        target.check(&data[..data.len().min(target.length_max)]);
    }
});
