// SPDX-License-Identifier: MIT OR Apache-2.0

//! Helpers of the tests: invented outcomes, and an allocator that counts.

use crate::figures::Figures;
use crate::outcome::{Outcome, Stage};
use inband_load::Rates;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

/// 10,000 periods at 10 kHz. In-band, the loop is slower, its histograms have a tail, and 7 periods
/// are missed.
pub(crate) fn outcome(stage: &str) -> Outcome {
    let stage = if stage == "oob" {
        Stage::Oob
    } else {
        Stage::Inband
    };
    let mut figures = Figures::new();
    figures.periods = 10_000;
    figures.span = Duration::from_micros(999_900);
    for i in 0..10_000_u64 {
        // A fixed scatter: 7919 and 10,000 have no common factor, so all residues occur.
        let scatter = i * 7_919 % 10_000;
        let (wake, cycle) = match stage {
            Stage::Oob => (3_000 + scatter / 10, 24_000 + scatter / 5),
            Stage::Inband => (
                9_000 + scatter + u64::from(i % 997 == 0) * 80_000,
                40_000 + 2 * scatter + u64::from(i % 1_999 == 0) * 90_000,
            ),
        };
        figures.wake.saturating_record(wake);
        figures.cycle.saturating_record(cycle);
        figures.tracking.add(1.5);
    }
    if stage == Stage::Inband {
        figures.missed = 7;
    }
    Outcome {
        stage,
        rate_hz: 10_000,
        figures,
        load: Some(Rates {
            forks: 812.4,
            idle_percent: Some(0.02),
            ..Rates::default()
        }),
        model_ns: (stage == Stage::Oob).then_some(4_321),
    }
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How many allocations the calling thread has made so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// The system's allocator, which counts allocations for the tests.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged. The count is a thread-local without
// a destructor, so counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller promises that the layout's size is not zero, as `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that `alloc` returned `memory` for this layout, and `alloc`
        // got it from `System`.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
