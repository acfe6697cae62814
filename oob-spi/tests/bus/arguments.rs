// SPDX-License-Identifier: GPL-2.0-only

//! Arguments as programs pass them: any bytes, decoded as the device node decodes them, and passed
//! to the bus.
//!
//! ```text
//!   a structure that may be right --some bytes changed, or all--> decoded --> Bus       (calls.rs)
//!        Ok:  no documented cause of a refusal applies                                  (model.rs)
//!        Err: the errno of a cause that applies; counted, and nothing else has changed
//! ```

mod calls;
mod model;

use crate::rig::*;
use calls::{Call, Step, step};
use model::{Model, frames, reserved};
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::{Delays, Path};
use oob_spi::errno::Errno;
use oob_spi::request::Owner;
use oob_spi::validate::{Change, Settings};
use oobkit_abi::spi as abi;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const OTHER: Owner = Owner(8);

/// Everything that a refused call must not change.
#[derive(Debug, PartialEq)]
struct Seen {
    settings: Settings,
    stats: [abi::Stats; 3],
    on: [bool; 3],
    pulses: usize,
    now: Instant,
}

fn seen(rig: &Rig) -> Seen {
    Seen {
        settings: rig.settings.get(),
        stats: [0, 1, 2].map(|chip_select| rig.bus.stats(chip_select)),
        on: rig.hardware.memory.borrow().map(|memory| memory.is_some()),
        pulses: rig.hardware.pulses().len(),
        now: rig.host.now(),
    }
}

fn errno<T>(result: Result<T, impl Errno>) -> Option<i32> {
    result.err().map(Errno::errno)
}

/// Makes a call, and returns the errno of its refusal, and the errnos that it may have.
fn step_by(rig: &Rig, model: &mut Model, step: &Step) -> (Option<i32>, Vec<i32>) {
    let Step {
        call,
        chip_select,
        owner,
        spoil,
    } = step;
    let (cs, owner) = (*chip_select, *owner);
    let index = usize::from(cs);
    let change = |model: &mut Model, change: Change, changed: &dyn Fn(&mut Settings)| {
        let mut settings = rig.settings.get();
        let result = errno(rig.bus.configure(cs, &mut settings, change));
        rig.settings.set(settings);
        let causes = model.configure(cs, &change);
        if result.is_none() {
            changed(&mut model.settings);
        }
        (result, causes)
    };
    match call {
        Call::Enable(args) => {
            let args = spoil.decoded(args);
            let (causes, frame) = model.enable(cs, owner, &args);
            let result = rig.enable_as(cs, owner, &args);
            if let (Ok(answer), []) = (result, &causes[..]) {
                let half = args.frame_len.next_multiple_of(64);
                assert_eq!((answer.rx_offset, answer.tx_offset), (0, half));
                assert_eq!(answer.iobuf_len, 2 * half);
                (model.on[index], model.owner) = (Some(frame), owner);
            }
            (errno(result), causes)
        }
        Call::Disable => {
            let causes = model.absent(cs, owner);
            let result = errno(rig.bus.disable(&rig.host.inband(), cs, owner));
            if result.is_none() && causes.is_empty() {
                model.on[index] = None;
            }
            (result, causes)
        }
        Call::Mode(mode) => {
            let mode = spoil.decoded(mode);
            change(model, Change::Mode(mode), &|s| s.mode = mode)
        }
        Call::BitsPerWord(bits) => {
            let bits = spoil.decoded(bits);
            change(model, Change::BitsPerWord(bits), &|s| {
                s.bits_per_word = bits;
            })
        }
        Call::Speed(hz) => {
            let hz = spoil.decoded(hz);
            change(model, Change::Speed(hz), &|s| s.speed_hz = hz)
        }
        Call::Delays(args) => {
            let args = spoil.decoded(args);
            let ns = |ns| Ns(u64::from(ns));
            let delays = Delays {
                setup: ns(args.setup_ns),
                hold: ns(args.hold_ns),
                inactive: ns(args.inactive_ns),
            };
            change(model, Change::Delays(args), &|s| s.delays = delays)
        }
        Call::Trigger(args) => {
            let args = spoil.decoded(args);
            let set = |args| rig.bus.set_trigger(&rig.host.inband(), cs, owner, args);
            let causes = [model.absent(cs, owner), model.trigger(cs, &args)].concat();
            let result = errno(set(&args));
            if result.is_none() {
                set(&abi::Trigger::default()).unwrap();
            }
            (result, causes)
        }
        Call::Stop(args) => {
            let args = spoil.decoded(args);
            let set = |args| rig.bus.set_stop(&rig.host.inband(), cs, owner, args);
            let causes = [model.absent(cs, owner), model.stop(cs, &args)].concat();
            let result = errno(set(&args));
            if result.is_none() {
                set(&abi::Stop::default()).unwrap();
            }
            (result, causes)
        }
        Call::RunUntil(args) => {
            let args = spoil.decoded(args);
            let causes = [model.absent(cs, owner), reserved(args.reserved != 0)].concat();
            let (now, before) = (rig.host.now(), rig.hardware.pulses().len());
            let result = errno(rig.bus.run_until(&rig.host.oob(), cs, owner, &args));
            if causes.is_empty() {
                let (ends, exchanged) = frames(now, Instant(args.deadline_ns), 1);
                assert_eq!(result.unwrap_or(0), ends[0]);
                assert_eq!(rig.hardware.pulses().len() - before, exchanged);
                return (None, causes);
            }
            (result, causes)
        }
        Call::RunList(list) => {
            let list = spoil.decoded(list);
            let causes = model.list(owner, &list);
            let (now, before) = (rig.host.now(), rig.hardware.pulses().len());
            let mut answer = list;
            let result = errno(rig.bus.run_list(&rig.host.oob(), cs, owner, &mut answer));
            if !causes.is_empty() {
                assert_eq!(answer, list);
                return (result, causes);
            }
            let deadline = match list.deadline_ns {
                0 => Instant::NEVER,
                date => Instant(date),
            };
            let count = list.count as usize;
            let (ends, exchanged) = frames(now, deadline, count);
            let statuses: Vec<i32> = answer.entries.iter().map(|e| -e.status).collect();
            assert_eq!(statuses[..count], ends);
            assert_eq!(answer.entries[count..], list.entries[count..]);
            assert_eq!(result, ends.into_iter().find(|errno| *errno != 0));
            assert_eq!(rig.hardware.pulses().len() - before, exchanged);
            (None, causes)
        }
    }
}

proptest! {
    #[test]
    fn any_argument_is_accepted_or_refused_as_documented(
        path in select(vec![Path::Fifo, Path::SlowFifo, Path::Dma]),
        steps in vec(step(), 40),
    ) {
        let rig = Rig::new(path);
        let settings = Settings::default();
        let mut model = Model { path, settings, on: [None; 3], owner: ME };
        for step in &steps {
            let mut before = seen(&rig);
            let (result, causes) = step_by(&rig, &mut model, step);
            prop_assert!(
                result.map_or(causes.is_empty(), |errno| causes.contains(&errno)),
                "{step:?}: {result:?} of {causes:?}",
            );
            prop_assert_eq!(rig.settings.get(), model.settings);
            if result.is_some() {
                if let Some(stats) = before.stats.get_mut(usize::from(step.chip_select)) {
                    stats.rejected += 1;
                }
                prop_assert_eq!(&seen(&rig), &before, "{:?}", step);
                // It has not started anything either.
                rig.pass(Ns(1_000_000));
                prop_assert_eq!(seen(&rig).pulses, before.pulses, "{:?}", step);
            }
            prop_assert_eq!(seen(&rig).on, model.on.map(|on| on.is_some()));
            if !model.is_on() {
                prop_assert!(rig.bus.gate().try_enter_inband(), "{:?} keeps the bus", step);
                rig.bus.gate().exit_inband();
            }
        }
    }
}
