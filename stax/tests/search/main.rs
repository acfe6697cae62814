// SPDX-License-Identifier: GPL-2.0-only

//! Searches every state that the lock's protocol can reach with a few threads, and the published
//! protocol, too.
//!
//! ```text
//!   main.rs        the numbers of threads, and the faults
//!   ours.rs        threads that run the shipped transitions, and the invariants of every state
//!   world.rs       a packed state
//!   published.rs   the one-bit protocol, from its description
//!   engine.rs      visits every state
//! ```
//!
//! `cargo test -p stax --test search -- --nocapture` prints the numbers of states; `-- --ignored`
//! adds the largest mixes in which load and swap are separate steps.

mod engine;
mod ours;
mod published;
mod world;

use engine::explore;
use ours::{Fault, Ours};
use published::Published;
use stax::stage::Side;

fn mix(oob: usize, inband: usize) -> Ours {
    Ours {
        oob,
        inband,
        measure: None,
        spin: false,
        merge: true,
        fault: Fault::None,
    }
}

/// Every mix of up to 3 + 3 threads.
fn mixes() -> impl Iterator<Item = (usize, usize)> {
    (0..=3)
        .flat_map(|oob| (0..=3).map(move |inband| (oob, inband)))
        .filter(|mix| *mix != (0, 0))
}

/// Checks all states of a model. Returns their number.
fn holds(name: &str, model: &Ours) -> usize {
    let start = std::time::Instant::now();
    let (oob, inband) = (model.oob, model.inband);
    match explore(model) {
        Ok(states) => {
            let seconds = start.elapsed().as_secs_f32();
            println!("{name}, {oob} oob + {inband} in-band: {states} states, {seconds:.1} s");
            states
        }
        Err(wrong) => panic!("{name}, {oob} + {inband}: {wrong}"),
    }
}

/// The number of states of every mix; the number of in-band threads counts faster. A different
/// number means that the protocol or the search has changed; docs/stax.md has the numbers, too.
const LOOPING: [usize; 15] = [
    16, 65, 199, //
    9, 330, 3_171, 18_389, //
    49, 3_171, 32_198, 185_288, //
    174, 18_297, 184_247, 998_320,
];
/// The numbers for the mixes with in-band threads if these spin.
const SPINNING: [usize; 12] = [
    16, 65, 199, //
    322, 2_895, 16_040, //
    3_027, 28_327, 155_072, //
    17_072, 157_094, 808_921,
];

#[test]
fn every_mix() {
    let states: Vec<_> = mixes()
        .map(|(oob, inband)| holds("looping", &mix(oob, inband)))
        .collect();
    assert_eq!(states, LOOPING);
}

#[test]
fn every_mix_with_in_band_threads_that_spin() {
    let states: Vec<_> = mixes()
        .filter(|(_, inband)| *inband > 0)
        .map(|(oob, inband)| {
            let model = Ours {
                spin: true,
                ..mix(oob, inband)
            };
            holds("spinning", &model)
        })
        .collect();
    assert_eq!(states, SPINNING);
}

/// Load and swap as separate steps: the swap may fail again and again because of other threads'
/// steps. Takes each mix with its number of states.
fn load_and_swap_apart(mixes: &[(usize, usize, usize)]) {
    for (oob, inband, states) in mixes {
        let model = Ours {
            merge: false,
            ..mix(*oob, *inband)
        };
        assert_eq!(holds("load and swap apart", &model), *states);
    }
}

#[test]
fn load_and_swap_apart_of_up_to_four() {
    load_and_swap_apart(&[
        (1, 1, 762),
        (2, 1, 21_025),
        (1, 2, 21_013),
        (2, 2, 957_068),
        (3, 1, 611_402),
        (1, 3, 610_556),
    ]);
}

#[test]
#[ignore = "takes four minutes and 1.7 GB"]
fn load_and_swap_apart_of_five() {
    load_and_swap_apart(&[(3, 2, 36_353_454), (2, 3, 36_321_587)]);
}

/// While a thread waits, each thread of the other stage begins at most one section. With a bound
/// that is one less the search fails, so the counter works.
#[test]
fn a_waiter_is_passed_once_by_each_thread_of_the_other_stage() {
    for side in [Side::Oob, Side::Inband] {
        for (oob, inband) in mixes().filter(|(oob, inband)| *oob > 0 && *inband > 0) {
            let others = if side == Side::Oob { inband } else { oob };
            let within = |most| Ours {
                measure: Some((side, most)),
                ..mix(oob, inband)
            };
            holds("measured", &within(others as u8));
            // The only thread of its stage waits behind no thread of its own stage, so it waits for
            // no new section.
            let own = oob + inband - others;
            let reached = if own == 1 { 0 } else { others as u8 };
            if reached == 0 {
                holds("measured", &within(0));
            } else {
                let wrong = explore(&within(reached - 1)).unwrap_err();
                assert_eq!(wrong.what, "a waiter was passed too often");
            }
        }
    }
}

#[test]
fn every_fault_is_found() {
    for (fault, what) in [
        (Fault::LeaveForgetsWaiters, "stuck"),
        (Fault::GrantForgetsToWake, "stuck"),
        (Fault::CloseForgetsToWake, "stuck"),
        (Fault::NewcomersPass, "a newcomer passed a waiter"),
        (
            Fault::WithdrawForgetsToSettle,
            "a thread waits for no other thread",
        ),
        (Fault::WithdrawForgetsGrant, "the count is wrong"),
    ] {
        let wrong = explore(&Ours { fault, ..mix(2, 2) }).expect_err("the search misses a fault");
        println!("{fault:?}: {wrong}\n");
        assert!(wrong.what.starts_with(what), "{fault:?}: {wrong}");
    }
}

/// The published protocol loses a wake-up. Either of two repairs alone does not help; both together
/// do.
#[test]
fn the_published_protocol_gets_stuck() {
    let run = |oob, inband, rounds, again, both| {
        explore(&Published {
            oob,
            inband,
            rounds,
            set_again_before_each_sleep: again,
            clear_only_when_nobody_sleeps: both,
        })
    };
    assert!(run(1, 1, 5, false, false).is_ok());
    for (oob, inband, rounds) in [
        (2, 1, 3),
        (1, 2, 3),
        (2, 2, 2),
        (3, 1, 2),
        (1, 3, 2),
        (2, 3, 1),
    ] {
        for (again, both) in [(false, false), (true, false), (false, true)] {
            let wrong =
                run(oob, inband, rounds, again, both).expect_err("the protocol is not stuck");
            assert!(wrong.what.starts_with("stuck"), "{wrong}");
            if (oob, inband, again, both) == (2, 2, false, false) {
                println!("published, 2 oob + 2 in-band: {wrong}");
            }
        }
        let states = run(oob, inband, rounds, true, true).expect("both repairs help");
        println!("published and repaired, {oob} oob + {inband} in-band: {states} states");
    }
}
