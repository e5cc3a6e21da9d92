//! How much memory an input takes: an allocator that counts, thread by thread.
//!
//! A program that wants it counted installs it; without it everything takes nothing.
//!
//! ```
//! #[global_allocator]
//! static COUNTING: flott_fuzz::allocator::Counting = flott_fuzz::allocator::Counting;
//!
//! let (bytes, peak) = flott_fuzz::allocator::peak(|| vec![1u8; 1000].len());
//! assert_eq!((bytes, peak), (1000, 1000));
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// A single piece of memory that is larger is refused: the program ends at once, and says so.
const PIECE_BYTES_MAX: usize = 2 << 30;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting;

fn count(bytes: isize) {
    // A thread that ends may have lost its counters already.
    let counted = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        live.get()
    });
    if let Ok(live) = counted {
        PEAK.try_with(|peak| peak.set(peak.get().max(live))).ok();
    }
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: everything is handed on to the system's allocator; counting allocates nothing.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > PIECE_BYTES_MAX {
            return std::ptr::null_mut();
        }
        count(signed(layout.size()));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > PIECE_BYTES_MAX {
            return std::ptr::null_mut();
        }
        count(signed(layout.size()));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size > PIECE_BYTES_MAX {
            return std::ptr::null_mut();
        }
        // Both pieces exist for a moment, or may.
        count(signed(new_size));
        count(-signed(layout.size()));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

/// What some work gives, and the most bytes that it had allocated at one time on this thread.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let done = work();
    let most = PEAK.with(Cell::get);
    (done, usize::try_from(most - before).unwrap_or(0))
}
