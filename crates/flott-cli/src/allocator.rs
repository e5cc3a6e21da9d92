//! How the command takes memory, and when it gives it back.
//!
//! mimalloc gives pages back one second after they are free. A job with a large state frees and takes the same memory at
//! every checkpoint: the kernel clears those pages again while a worker waits, which was more than half of the longest
//! pause (docs/performance.md). So they stay for [`PURGE_DELAY_MS`], and at the end of a job they go at once.
//!
//! mimalloc asks for large pages (2 MB on x86-64). A large state is faster in them, but a small job touches a bit of many,
//! and the kernel clears each as a whole: that was a fifth of the time of a job through Kafka (docs/performance.md). So a
//! process begins without, and has them once a job holds much.

use std::ffi::{c_int, c_long};
use std::process::Command;

use flott_core::process_memory::{self, Allocator};
use libmimalloc_sys::{mi_collect, mi_option_set_default};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay`, which the bindings do not name: its place in `mi_option_t` of mimalloc 3.
const PURGE_DELAY: c_int = 15;

/// How long free pages stay, in milliseconds: longer than checkpoints are apart, and still not for ever.
const PURGE_DELAY_MS: c_long = 600_000;

/// Set for a process that another one of ours starts: that it has no large pages is what that one has set for itself.
const REFUSED_BY_US: &str = "FLOTT_WORKER_SMALL_PAGES";

/// Sets how long free memory stays, and when pages are large. `MIMALLOC_PURGE_DELAY` and `MIMALLOC_ALLOW_THP` in the
/// environment are stronger.
pub(crate) fn configure() {
    // SAFETY: takes two numbers and writes one of mimalloc's options, which it reads at any time; out of range is ignored.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
    process_memory::allocated_by(Allocator { give_back, becomes_large: large_pages::allow });
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
        large_pages::refuse(std::env::var_os(REFUSED_BY_US).is_some());
    }
}

/// What a process of ours that this one starts has to know.
pub(crate) fn tell(child: &mut Command) {
    if large_pages::are_refused() {
        child.env(REFUSED_BY_US, "1");
    }
}

/// Gives memory that is free back to the system.
pub(crate) fn give_back() {
    // SAFETY: may be called by any thread at any time; no block that is in use is touched.
    unsafe { mi_collect(true) }
}

/// Whether the kernel may back the process with large pages (`PR_SET_THP_DISABLE`).
#[cfg(target_os = "linux")]
mod large_pages {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

    /// It was us: what the environment has refused stays refused.
    static REFUSED: AtomicBool = AtomicBool::new(false);

    pub(super) fn are_refused() -> bool {
        REFUSED.load(Ordering::SeqCst)
    }

    pub(super) fn refuse(before_by_us: bool) {
        let is_ours = match transparent_huge_pages_are_disabled() {
            Ok(true) => before_by_us,
            Ok(false) => disable_transparent_huge_pages(true).is_ok(),
            Err(_) => false,
        };
        REFUSED.store(is_ours, Ordering::SeqCst);
    }

    pub(super) fn allow() {
        if REFUSED.swap(false, Ordering::SeqCst) {
            // A kernel that has taken the one takes the other. Without, it is slower.
            disable_transparent_huge_pages(false).ok();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod large_pages {
    pub(super) fn are_refused() -> bool {
        false
    }

    pub(super) fn refuse(_before_by_us: bool) {}

    pub(super) fn allow() {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use flott_core::process_memory;
    use libmimalloc_sys::mi_option_get;

    use super::{PURGE_DELAY, PURGE_DELAY_MS, configure, give_back};

    /// A line of what the kernel says of this process, in bytes.
    fn bytes(file: &str, name: &str) -> usize {
        let text = std::fs::read_to_string(format!("/proc/self/{file}")).expect("Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("kilobytes") << 10
    }

    fn resident() -> usize {
        bytes("status", "VmRSS:")
    }

    /// In large pages.
    fn large() -> usize {
        bytes("smaps_rollup", "AnonHugePages:")
    }

    /// The number of the option is right only as long as mimalloc's list is as it was: its default shows that. All of it
    /// is one test, since the allocator is the process's.
    #[test]
    fn free_memory_stays_until_it_is_given_back_and_pages_are_large_once_a_job_is() {
        if let Some(set) =
            ["MIMALLOC_PURGE_DELAY", "MIMALLOC_ALLOW_THP"].into_iter().find(|n| std::env::var_os(n).is_some())
        {
            println!("SKIPPED: {set} is set, which is stronger than what is tested");
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

        let kernel = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        if !kernel.contains("[madvise]") && !kernel.contains("[always]") {
            println!("SKIPPED: the kernel has no large pages: {}", kernel.trim());
            return;
        }
        let fill = || (0..BYTES >> 16).map(|_| vec![1u8; 1 << 16]).collect::<Vec<_>>();
        let held = fill();
        let small = large();
        drop(black_box(held));
        // What was refused is allowed, as often as somebody says so.
        give_back();
        process_memory::becomes_large();
        process_memory::becomes_large();
        let held = fill();
        let grown = large();
        drop(black_box(held));
        assert!(small < BYTES / 4, "{small} bytes were in large pages before the job was large");
        assert!(grown > small + BYTES / 4, "{grown} bytes are in large pages, {small} before the job was large");
    }
}
