// SPDX-License-Identifier: GPL-2.0-only
//! The demo and the benchmarks' bars, as steps of `--long`.

use super::count::Count;
use super::modules;
use super::step::{Step, Tool};
use crate::{bench, demo};

pub(super) fn demo_step() -> Step {
    Step::new(
        "demo",
        "no period missed and no wrong frame, at 10 and 15 kHz",
        |_, _| demo::demo().map(Count::of),
    )
    .uses(Tool::Machine)
    .after(modules::name("6.12-rt-amd64"))
    .long()
}

/// One step for each benchmark.
pub(super) fn bench_steps() -> impl Iterator<Item = Step> {
    bench::NAMES.into_iter().map(|name| {
        Step::new(
            format!("bench {name}"),
            "the benchmark meets every bar",
            move |_, _| bench::bench(name).map(Count::of),
        )
        .uses(Tool::Machine)
        .long()
    })
}
