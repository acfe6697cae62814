// SPDX-License-Identifier: GPL-2.0-only

//! The bus under loom: every interleaving (within a bound of preemptions) and every allowed
//! reordering of a few threads, timers and interrupts on one bus.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p oob-spi --release --test model
//! ```
//!
//! Every model checks this. Loom reports two users of the controller at once. The modelled
//! controller asserts that it is pulsed only while prepared, that a frame is finished as signalled
//! only when that very frame has completed, and that no frame follows the stop frame. A wait may
//! time out at any moment before its event.
#![cfg(loom)]

mod rig;

use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;
use oob::gate::Gate;
use oob_spi::controller::Path;
use oob_spi::errno::RunError;
use rig::*;
use std::sync::atomic::Ordering as Untracked;

#[test]
fn run_against_run() {
    check(3, || {
        let rig = Rig::on(Path::Fifo, 1);
        let other = rig.clone();
        let thread = thread::spawn(move || other.run());
        let results = [rig.run(), thread.join().unwrap()];
        let done = results.iter().filter(|result| result.is_ok()).count();
        assert!(done >= 1, "{results:?}");
        for result in results {
            assert!(matches!(result, Ok(()) | Err(RunError::Busy)), "{result:?}");
        }
        let stats = rig.bus.stats(0);
        assert_eq!(
            (stats.frames, stats.rejected),
            (done as u64, 2 - done as u64)
        );
        assert_eq!(rig.hardware.lock().unwrap().regular as usize, done);
    });
}

/// Two frames, each of which may time out at any moment, and the interrupts of both.
#[test]
fn run_against_completion_and_timeout() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1);
        let other = rig.clone();
        let handler = thread::spawn(move || {
            other.complete();
            other.complete();
        });
        for _ in 0..2 {
            let result = rig.run();
            assert!(
                matches!(result, Ok(()) | Err(RunError::Stuck)),
                "{result:?}"
            );
        }
        handler.join().unwrap();
        let stats = rig.bus.stats(0);
        assert_eq!(stats.frames + stats.timeouts, 2);
    });
}

#[test]
fn run_against_disable_and_completion() {
    for path in [Path::Fifo, Path::SlowFifo, Path::Dma] {
        check(2, move || {
            let rig = Rig::on(path, 1);
            let (runner, handler) = (rig.clone(), rig.clone());
            let run = thread::spawn(move || runner.run());
            let complete = thread::spawn(move || handler.complete());
            rig.bus.disable(&inband(), 0, ME).unwrap();
            assert!(!rig.hardware.lock().unwrap().prepared);
            assert!(!rig.bus.gate().is_oob());
            use RunError::*;
            let result = run.join().unwrap();
            let fine = matches!(result, Ok(()) | Err(Stuck | Closing | Off | SettingUp));
            assert!(fine, "{result:?}");
            complete.join().unwrap();
        });
    }
}

#[test]
fn run_against_close_with_a_stop_frame() {
    check(3, || {
        let rig = Rig::on(Path::Fifo, 1);
        rig.set_stop(0, 0);
        let runner = rig.clone();
        let run = thread::spawn(move || runner.run());
        rig.bus.close(&inband(), 0, ME);
        assert_eq!(rig.hardware.lock().unwrap().stops, 1);
        let _ = run.join().unwrap();
    });
}

#[test]
fn run_against_unbind() {
    check(3, || {
        let rig = Rig::on(Path::Fifo, 1);
        let runner = rig.clone();
        let run = thread::spawn(move || runner.run());
        rig.bus.shutdown(&inband());
        use RunError::*;
        let result = run.join().unwrap();
        assert!(
            matches!(result, Ok(()) | Err(Gone | SettingUp)),
            "{result:?}"
        );
        assert_eq!(rig.run(), Err(Gone));
    });
}

/// The fail-safe has stopped a chip select, whose watch-dog still runs: that does not refuse
/// another chip select's RUN.
#[test]
fn run_beside_a_stopped_chip_select() {
    check(3, || {
        // One reading of the clock is one watch period: the watch-dog trips at its first tick.
        let rig = Rig::on(Path::Fifo, 1_000_000);
        rig.enable(1);
        rig.set_stop(1, 1_000_000);
        rig.bus.watchdog_tick(0, 0);
        assert_eq!(rig.hardware.lock().unwrap().stops, 1);
        let watch = rig.clone();
        let watch = thread::spawn(move || watch.bus.watchdog_tick(0, 0));
        assert_eq!(rig.bus.run(&oob(), 1, ME), Ok(()));
        watch.join().unwrap();
    });
}

/// The fail-safe trips while a frame is under way, is about to be, or has just been.
#[test]
fn stop_frame_against_run() {
    check(3, || {
        // One reading of the clock is one watch period: the watch-dog trips at its first tick.
        let rig = Rig::on(Path::Fifo, 1_000_000);
        rig.set_stop(1, 1_000_000);
        let watch = rig.clone();
        let watch = thread::spawn(move || watch.bus.watchdog_tick(0, 0));
        let first = rig.run();
        assert!(
            matches!(first, Ok(()) | Err(RunError::Stopped | RunError::Busy)),
            "{first:?}"
        );
        watch.join().unwrap();
        let hardware = rig.hardware.lock().unwrap();
        assert_eq!(hardware.stops, rig.bus.stats(0).stops as u32);
        let stopped = hardware.stops == 1;
        drop(hardware);
        assert_eq!(rig.run() == Err(RunError::Stopped), stopped);
    });
}

#[test]
fn stop_frame_by_dma_against_run_and_completion() {
    check(2, || {
        let rig = Rig::on(Path::Dma, 1_000_000);
        rig.set_stop(1, 1_000_000);
        let (watch, handler) = (rig.clone(), rig.clone());
        let watch = thread::spawn(move || watch.bus.watchdog_tick(0, 0));
        let handler = thread::spawn(move || handler.complete());
        let _ = rig.run();
        watch.join().unwrap();
        handler.join().unwrap();
        // The next completion and the next tick serve what is left.
        rig.complete();
        rig.bus.watchdog_tick(0, 0);
        rig.complete();
        let hardware = rig.hardware.lock().unwrap();
        assert_eq!(hardware.stops, 1, "sent once");
        assert_eq!(rig.bus.stats(0).stops, 1);
    });
}

/// Two ticks of the trigger timer against two completions; the clock jumps, so that the first frame
/// may be overdue.
#[test]
fn trigger_against_completion_and_overdue() {
    for step in [1, 20_000_000] {
        check(3, move || {
            let rig = Rig::on(Path::Dma, step);
            rig.set_timer();
            let other = rig.clone();
            let handler = thread::spawn(move || {
                other.complete();
                other.complete();
            });
            rig.bus.trigger_tick(0, 0);
            rig.bus.trigger_tick(0, 0);
            handler.join().unwrap();
            rig.complete();
            let (stats, hardware) = (rig.bus.stats(0), rig.hardware.lock().unwrap());
            assert_eq!(stats.frames + stats.overruns + stats.timeouts, 2);
            assert_eq!(u64::from(hardware.regular), 2 - stats.overruns);
        });
    }
}

/// A handler and a thread find the same frame overdue, and one of them has started the next frame
/// when the other acts.
#[test]
fn an_overdue_frame_is_ended_once() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.enable(1);
        rig.set_timer();
        rig.bus.trigger_tick(0, 0);
        rig.bus.env().now.fetch_add(20_000_000, Untracked::Relaxed);
        let ticker = rig.clone();
        let ticker = thread::spawn(move || ticker.bus.trigger_tick(0, 0));
        let result = rig.bus.run(&oob(), 1, ME);
        let fine = matches!(result, Err(RunError::Stuck | RunError::Busy));
        assert!(fine, "{result:?}");
        ticker.join().unwrap();
        assert_eq!(rig.bus.stats(0).timeouts, 1);
    });
}

/// The thread that waits for a timer's frame finds it overdue, while its late completion and the
/// timer's next tick come.
#[test]
fn an_overdue_frame_is_ended_once_where_a_thread_waits_for_it() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.set_timer();
        rig.bus.trigger_tick(0, 0);
        rig.bus.env().now.fetch_add(20_000_000, Untracked::Relaxed);
        let (ticker, handler) = (rig.clone(), rig.clone());
        let ticker = thread::spawn(move || ticker.bus.trigger_tick(0, 0));
        let handler = thread::spawn(move || handler.complete());
        let result = rig.run();
        let fine = matches!(
            result,
            Ok(()) | Err(RunError::Stuck | RunError::Interrupted)
        );
        assert!(fine, "{result:?}");
        ticker.join().unwrap();
        handler.join().unwrap();
        rig.complete();
        let (stats, hardware) = (rig.bus.stats(0), rig.hardware.lock().unwrap());
        assert_eq!(stats.frames + stats.timeouts, u64::from(hardware.regular));
        assert_eq!(stats.overruns, 2 - u64::from(hardware.regular));
    });
}

/// The same, while oob mode ends or another trigger is set.
#[test]
fn an_overdue_frame_is_ended_once_while_oob_mode_ends() {
    for disable in [true, false] {
        check(3, move || {
            let rig = Rig::on(Path::Dma, 1);
            rig.set_timer();
            rig.bus.trigger_tick(0, 0);
            rig.bus.env().now.fetch_add(20_000_000, Untracked::Relaxed);
            let runner = rig.clone();
            let run = thread::spawn(move || runner.run());
            if disable {
                rig.bus.disable(&inband(), 0, ME).unwrap();
            } else {
                rig.set_call();
            }
            use RunError::*;
            let result = run.join().unwrap();
            let fine = match result {
                // A call that comes after the change.
                Err(Busy) | Ok(()) => !disable,
                Err(Stuck | Interrupted | SettingUp | Closing | Off) => true,
                _ => false,
            };
            assert!(fine, "{result:?}");
            assert!(rig.bus.stats(0).timeouts >= 1);
        });
    }
}

/// The fail-safe trips while a timer's own frame is in flight. The frame is given up or completes,
/// once, and the stop frame follows.
#[test]
fn a_trip_against_the_completion_of_a_timers_frame() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1_000_000);
        rig.set_stop(1, 1_000_000);
        rig.set_timer();
        rig.bus.trigger_tick(0, 0);
        let handler = rig.clone();
        let handler = thread::spawn(move || handler.complete());
        rig.bus.watchdog_tick(0, 0);
        handler.join().unwrap();
        rig.complete();
        let (stats, hardware) = (rig.bus.stats(0), rig.hardware.lock().unwrap());
        assert_eq!((hardware.regular, hardware.stops, stats.stops), (1, 1, 1));
        assert_eq!(stats.frames + stats.timeouts, 1);
    });
}

#[test]
fn run_and_trigger_and_completion() {
    check(2, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.set_timer();
        let (ticker, handler) = (rig.clone(), rig.clone());
        let ticker = thread::spawn(move || ticker.bus.trigger_tick(0, 0));
        let handler = thread::spawn(move || handler.complete());
        let result = rig.run();
        assert!(
            matches!(result, Ok(()) | Err(RunError::Interrupted)),
            "{result:?}"
        );
        ticker.join().unwrap();
        handler.join().unwrap();
    });
}

/// When DISABLE returns, a thread that waits for a timer's frame has left, or it never begins to
/// wait.
#[test]
fn a_waiter_leaves_before_disable_returns() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.set_timer();
        let runner = rig.clone();
        let run = thread::spawn(move || runner.run());
        rig.bus.disable(&inband(), 0, ME).unwrap();
        rig.bus.env().flag.off.store(true, Untracked::Relaxed);
        use RunError::*;
        let result = run.join().unwrap();
        assert!(
            matches!(result, Err(Closing | Off | Interrupted)),
            "{result:?}"
        );
    });
}

/// The fail-safe trips while its owner leaves oob mode: a trip, which raises the flag, is followed
/// by the stop frame.
#[test]
fn a_trip_during_disable_sends_its_stop_frame() {
    check(3, || {
        let rig = Rig::on(Path::Fifo, 1_000_000);
        rig.set_stop(1, 1_000_000);
        let watch = rig.clone();
        let watch = thread::spawn(move || watch.bus.watchdog_tick(0, 0));
        rig.bus.disable(&inband(), 0, ME).unwrap();
        watch.join().unwrap();
        let has_tripped = rig.bus.env().flag.raised.load(Ordering::Acquire);
        assert_eq!(rig.hardware.lock().unwrap().stops, u32::from(has_tripped));
    });
}

/// Another trigger is set while a thread waits for a timer's frame: no call uses the flag before
/// that thread has left.
#[test]
fn a_waiter_leaves_before_another_trigger_serves() {
    check(2, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.set_timer();
        let threads = [rig.clone(), rig.clone()].map(|rig| thread::spawn(move || rig.run()));
        rig.set_call();
        for thread in threads {
            let result = thread.join().unwrap();
            use RunError::*;
            assert!(
                matches!(result, Err(Stuck | Busy | Interrupted | SettingUp)),
                "{result:?}"
            );
        }
    });
}

/// Another trigger is set after a timer's handler has read the old one. From then on the handler
/// starts no frame. Once the trigger is a timer again, each call of the handler starts a frame or
/// counts an overrun.
#[test]
fn a_trigger_is_set_during_its_handler() {
    check(3, || {
        let rig = Rig::on(Path::Fifo, 1);
        rig.set_timer();
        let regular = |rig: &Rig| rig.hardware.lock().unwrap().regular;
        let other = rig.clone();
        let ticker = thread::spawn(move || other.bus.trigger_tick(0, 0));
        rig.set_call();
        let before = regular(&rig);
        ticker.join().unwrap();
        assert_eq!(regular(&rig), before);
        let other = rig.clone();
        let ticker = thread::spawn(move || other.bus.trigger_tick(0, 0));
        rig.set_timer();
        ticker.join().unwrap();
        let (stats, after) = (rig.bus.stats(0), regular(&rig));
        assert_eq!(stats.frames, u64::from(after));
        assert!(u64::from(after - before) + stats.overruns <= 2);
        rig.bus.trigger_tick(0, 0);
        assert_eq!(regular(&rig), after + 1);
    });
}

/// An in-band set-up gets the bus in spite of a loop of exchange calls.
#[test]
fn set_up_against_run() {
    check(2, || {
        let rig = Rig::on(Path::Fifo, 1);
        let runner = rig.clone();
        let run = thread::spawn(move || (0..2).map(|_| runner.run()).collect::<Vec<_>>());
        rig.set_stop(0, 0);
        for result in run.join().unwrap() {
            assert!(
                matches!(result, Ok(()) | Err(RunError::SettingUp)),
                "{result:?}"
            );
        }
        assert_eq!(rig.run(), Ok(()), "the set-up leaves nothing behind");
    });
}

/// A published driver cleared its lock word outside of the lock that guards it. Failed when `Gate`
/// stored the new word instead of comparing and swapping it.
#[test]
fn defect_4_the_gate_lets_one_side_in() {
    check(4, || {
        let gate = Arc::new(Gate::new());
        let bus = Arc::new(loom::cell::UnsafeCell::new(0));
        let (other_gate, other_bus) = (gate.clone(), bus.clone());
        let inband = thread::spawn(move || {
            for _ in 0..2 {
                if other_gate.try_enter_inband() {
                    other_bus.with_mut(|_| ());
                    other_gate.exit_inband();
                }
            }
        });
        if gate.try_enter_oob() || gate.try_enter_oob() {
            bus.with_mut(|_| ());
            gate.exit_oob();
        } else {
            gate.give_up_oob();
        }
        inband.join().unwrap();
        assert!(gate.try_enter_inband(), "free at the end");
    });
}
