// SPDX-License-Identifier: MIT OR Apache-2.0

//! Made-up outcomes for the tests of everything that shows them.

use crate::figures::Figures;
use crate::load::Rates;
use crate::outcome::{Outcome, Way};

/// 10,000 periods at 10 kHz; in-band it is slower, with a tail, and 7 periods are missed.
pub(crate) fn outcome(way: &str) -> Outcome {
    let way = if way == "oob" { Way::Oob } else { Way::Inband };
    let mut figures = Figures::new();
    figures.periods = 10_000;
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
            ..Rates::default()
        }),
        model_ns: (way == Way::Oob).then_some(4_321),
    }
}
