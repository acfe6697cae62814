// SPDX-License-Identifier: MIT OR Apache-2.0

//! For the tests: made-up outcomes for everything that shows them, and an allocator that counts.

use crate::figures::Figures;
use crate::outcome::{Outcome, Way};
use inband_load::Rates;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

/// 10,000 periods at 10 kHz; in-band it is slower, with a tail, and 7 periods are missed.
pub(crate) fn outcome(way: &str) -> Outcome {
    let way = if way == "oob" { Way::Oob } else { Way::Inband };
    let mut figures = Figures::new();
    figures.periods = 10_000;
    figures.span = Duration::from_micros(999_900);
    for i in 0..10_000_u64 {
        // A fixed scatter: a product by an odd number visits all residues.
        let scatter = i * 7_919 % 10_000;
        let (wake, cycle) = match way {
            Way::Oob => (3_000 + scatter / 10, 24_000 + scatter / 5),
            Way::Inband => (
                9_000 + scatter + u64::from(i % 997 == 0) * 80_000,
                40_000 + 2 * scatter + u64::from(i % 1_999 == 0) * 90_000,
            ),
        };
        figures.wake.saturating_record(wake);
        figures.cycle.saturating_record(cycle);
        figures.tracking.add(1.5);
    }
    if way == Way::Inband {
        figures.missed = 7;
    }
    Outcome {
        way,
        rate_hz: 10_000,
        figures,
        load: Some(Rates {
            forks: 812.4,
            idle_percent: Some(0.02),
            ..Rates::default()
        }),
        model_ns: (way == Way::Oob).then_some(4_321),
    }
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How many allocations the calling thread has made so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the count lies in a thread-local without destructor, so
// counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for `alloc`.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
