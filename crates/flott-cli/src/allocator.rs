//! How the command takes memory, and when it gives it back.
//!
//! mimalloc gives pages back one second after they are free. A job with a large state frees and takes the same memory at
//! every checkpoint: the kernel clears those pages again while a worker waits, which was more than half of the longest
//! pause (docs/performance.md). So they stay for [`PURGE_DELAY_MS`], and at the end of a job they go at once.

use std::ffi::{c_int, c_long};

use libmimalloc_sys::{mi_collect, mi_option_set_default};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay`, which the bindings do not name: its place in `mi_option_t` of mimalloc 3.
const PURGE_DELAY: c_int = 15;

/// How long free pages stay, in milliseconds: longer than checkpoints are apart, and still not for ever.
const PURGE_DELAY_MS: c_long = 600_000;

/// Sets how long free memory stays. `MIMALLOC_PURGE_DELAY` in the environment is stronger.
pub(crate) fn configure() {
    // SAFETY: takes two numbers and writes one of mimalloc's options, which it reads at any time; out of range is ignored.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
}

/// Gives memory that is free back to the system.
pub(crate) fn give_back() {
    // SAFETY: may be called by any thread at any time; no block that is in use is touched.
    unsafe { mi_collect(true) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use libmimalloc_sys::mi_option_get;

    use super::{PURGE_DELAY, PURGE_DELAY_MS, configure, give_back};

    /// What is resident of this process, in bytes.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("what is resident");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("kilobytes") << 10
    }

    /// The number of the option is right only as long as mimalloc's list is as it was: its default shows that. All of it
    /// is one test, since the allocator is the process's.
    #[test]
    fn free_memory_stays_until_it_is_given_back() {
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
            println!("SKIPPED: MIMALLOC_PURGE_DELAY is set, which is stronger than what is tested");
            return;
        }
        // SAFETY: reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "not mi_option_purge_delay, or another default");
        configure();
        assert_eq!(delay(), PURGE_DELAY_MS);

        const BYTES: usize = 256 << 20;
        let before = resident();
        for _ in 0..2 {
            let held: Vec<Vec<u8>> = (0..BYTES >> 16).map(|_| vec![1; 1 << 16]).collect();
            black_box(&held);
        }
        let freed = resident();
        assert!(freed > before + BYTES / 2, "{freed} bytes are resident after all was freed, {before} before");
        give_back();
        let after = resident();
        assert!(after < before + BYTES / 4, "{after} bytes are resident after memory was given back, {before} before");
    }
}
