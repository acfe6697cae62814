// SPDX-License-Identifier: GPL-2.0-only

//! Exchange calls of two oob threads while an in-band thread turns oob mode on and off, in every
//! order.

use crate::rig::*;
use oob::host::{Host, Interference, Task, Thread, explore};
use oob::stage::Oob;
use oob::time::{Clock, Instant, Ns};
use oob_spi::controller::*;
use oob_spi::errno::RunError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How often each result of a call was seen.
type Ends = Rc<RefCell<BTreeMap<String, u32>>>;

/// Runs frames until the date, and counts their results.
fn exchange(host: &Host, rig: &Rc<Rig>, priority: i32, ends: &Ends) {
    let (clock, rig, ends) = (host.clone(), rig.clone(), ends.clone());
    let body = move |oob: &Oob<'_>, me: &oob::host::Running<'_>| {
        for nth in 1..=12 {
            let date = Instant(60_000 * nth * priority as u64);
            me.sleep_until(oob, date.max(clock.now())).unwrap();
            let end = rig.bus.run(oob, 0, ME);
            *ends.borrow_mut().entry(format!("{end:?}")).or_default() += 1;
        }
    };
    Thread::run(host, &host.inband(), c"loop", priority, body).unwrap();
}

/// Checks the calls of the controller: it is prepared before its first frame, and idle when it is
/// stopped.
fn in_order(log: &[Did], path: Path) {
    let (mut is_on, mut in_flight) = (false, false);
    for did in log {
        match did {
            Did::Prepare(_) => assert!(!in_flight),
            Did::Start => is_on = true,
            Did::Pulse(..) => {
                assert!(is_on && !in_flight);
                in_flight = path == Path::Dma;
            }
            Did::Finish(..) => in_flight = false,
            Did::Terminate(_) | Did::Stop => {
                assert!(!in_flight);
                is_on = false;
            }
        }
    }
    assert!(!in_flight);
}

#[test]
fn exchange_calls_and_the_life_cycle_mix_in_every_way() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        let (ends, sent) = (Ends::default(), Cell::new(0));
        for processors in [1, 2] {
            explore(0..300, |host| {
                host.set_processors(processors);
                host.disturb(Interference {
                    odds: 3,
                    burst: Ns(90_000),
                    stall: Ns(90_000),
                    hard_off: Ns(2_000),
                });
                let rig = Rig::on_host(path, host.clone());
                exchange(host, &rig, 3, &ends);
                exchange(host, &rig, 4, &ends);
                let (of_task, clock) = (rig.clone(), host.clone());
                Task::run(host, &host.inband(), c"life", move |_, _| {
                    for _ in 0..4 {
                        of_task.enable(0).unwrap();
                        clock.compute(Ns(300_000));
                        of_task.disable();
                        clock.compute(Ns(50_000));
                    }
                });
                host.finish(Instant(1_000_000_000)).unwrap();
                in_order(&rig.hardware.log.borrow(), path);
                sent.set(sent.get() + rig.hardware.pulses().len());
            });
        }
        let ends = ends.borrow();
        println!("{path:?}: {ends:?}");
        let known = [
            Ok(()),
            Err(RunError::Off),
            Err(RunError::Busy),
            Err(RunError::Closing),
        ];
        let known: Vec<_> = known.iter().map(|end| format!("{end:?}")).collect();
        assert!(ends.keys().all(|end| known.contains(end)), "{ends:?}");
        // Every frame that was sent was reported to its thread.
        assert_eq!(ends[&known[0]] as usize, sent.get());
        assert!(ends.contains_key(&known[1]));
    }
}
