// SPDX-License-Identifier: GPL-2.0-only

//! The bus under loom: every interleaving (within a bound of preemptions) and every allowed reordering of a few threads,
//! timers and interrupts on one bus.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p oob-spi --release --test model
//! ```
//!
//! What is checked everywhere: loom finds two users of the controller at once; the modelled controller asserts that it
//! is pulsed only while prepared, that a frame is finished as signalled only when that very frame has completed, and
//! that no frame follows the stop frame. A wait may time out at any moment before its event.
#![cfg(loom)]

use evl::stage::{Inband, Oob};
use evl::time::{Clock, Instant, Ns, Timer};
use evl::wait::{Flag, WaitError};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use oob_spi::bus::{Block, Bus, Env, Owner, Request};
use oob_spi::controller::*;
use oob_spi::errno::RunError;
use oob_spi::gate::BusGate;
use oob_spi::layout::Geometry;
use oob_spi::validate::Settings;
use oobkit_abi::spi as abi;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool as Switch, AtomicU64, Ordering as Untracked};

const ME: Owner = Owner(1);

/// What the hardware does; shared by the controller and the interrupt handler.
#[derive(Default)]
struct Hardware {
    frame: u64,
    running: bool,
    completed: u64,
    /// The status that the handler reads and acknowledges.
    status: bool,
    prepared: bool,
    regular: u32,
    stops: u32,
}

struct Model {
    hardware: Arc<Mutex<Hardware>>,
    path: Path,
}

impl Controller for Model {
    fn limits(&self) -> Limits {
        Limits {
            chip_selects: 2,
            max_frame_len: 64,
            min_speed_hz: 1,
            max_speed_hz: 1_000_000,
            word_bits: 1 << 7,
            modes: 0,
        }
    }

    fn prepare(
        &mut self,
        _: &Inband<'_>,
        _: &Setup,
        _: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        self.hardware.lock().unwrap().prepared = true;
        Ok(Prepared {
            effective_hz: 1_000_000,
            wire: Ns(8_000),
            path: self.path,
        })
    }

    fn start(&mut self, _: &Inband<'_>) {}

    fn pulse(&mut self, _: u8, which: Which) -> Result<Pulse, TransferError> {
        let mut hardware = self.hardware.lock().unwrap();
        assert!(hardware.prepared, "a frame without memory");
        assert!(!hardware.running, "two frames at once");
        match which {
            Which::Regular => {
                assert_eq!(hardware.stops, 0, "a frame after the stop frame");
                hardware.regular += 1;
            }
            Which::Stop => hardware.stops += 1,
        }
        if self.path == Path::Fifo {
            return Ok(Pulse::Done);
        }
        hardware.frame += 1;
        hardware.running = true;
        Ok(Pulse::InFlight)
    }

    fn finish(&mut self, _: u8, outcome: Outcome) -> Result<(), TransferError> {
        let mut hardware = self.hardware.lock().unwrap();
        if outcome == Outcome::Signalled {
            assert_eq!(
                hardware.completed, hardware.frame,
                "another frame's completion"
            );
        }
        hardware.running = false;
        hardware.status = false;
        Ok(())
    }

    fn terminate(&mut self, _: &Inband<'_>, _: u8) {
        let mut hardware = self.hardware.lock().unwrap();
        assert!(!hardware.running, "terminated in flight");
        hardware.prepared = false;
    }

    fn stop(&mut self, _: &Inband<'_>) {}
}

/// Gives up at any moment before the event.
struct LoomFlag {
    raised: AtomicBool,
    /// Set once oob mode is off, and nobody may begin to wait any more. Not tracked: it only looks.
    off: Switch,
}

impl Flag for LoomFlag {
    fn clear(&self) {
        self.raised.store(false, Ordering::Relaxed);
    }

    fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }

    fn wait_until(&self, _: &Oob<'_>, _: Instant) -> Result<(), WaitError> {
        assert!(!self.off.load(Untracked::Relaxed), "waits after DISABLE");
        match self.raised.swap(false, Ordering::AcqRel) {
            true => Ok(()),
            false => Err(WaitError::TimedOut),
        }
    }
}

struct NoTimer;

impl Timer for NoTimer {
    fn start(&self, _: Instant, _: Ns) {}

    fn stop(&self) {}
}

struct LoomEnv {
    flag: LoomFlag,
    timer: NoTimer,
    /// Each look at the clock takes `step`: not tracked by loom, as it orders nothing.
    now: AtomicU64,
    step: u64,
}

impl Clock for LoomEnv {
    fn now(&self) -> Instant {
        Instant(self.now.fetch_add(self.step, Untracked::Relaxed))
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

impl Env for LoomEnv {
    type Flag = LoomFlag;
    type Timer = NoTimer;

    fn flag(&self, _: u8) -> &LoomFlag {
        &self.flag
    }

    fn trigger_timer(&self, _: u8) -> &NoTimer {
        &self.timer
    }

    fn watch_timer(&self, _: u8) -> &NoTimer {
        &self.timer
    }

    fn is_interrupted(&self, _: &Oob<'_>) -> bool {
        true
    }

    fn nap(&self, _: &Inband<'_>) {
        thread::yield_now();
    }

    fn gate_opened(&self) {}
}

#[derive(Clone)]
struct Rig {
    bus: Arc<Bus<Model, LoomEnv>>,
    hardware: Arc<Mutex<Hardware>>,
}

fn oob() -> Oob<'static> {
    // SAFETY: a model's thread blocks nothing else.
    unsafe { Oob::assume() }
}

fn inband() -> Inband<'static> {
    // SAFETY: as above.
    unsafe { Inband::assume() }
}

impl Rig {
    fn on(path: Path, step: u64) -> Self {
        let hardware = Arc::new(Mutex::new(Hardware::default()));
        let env = LoomEnv {
            flag: LoomFlag {
                raised: AtomicBool::new(false),
                off: Switch::new(false),
            },
            timer: NoTimer,
            now: AtomicU64::new(1_000),
            step,
        };
        let model = Model {
            hardware: hardware.clone(),
            path,
        };
        let rig = Self {
            bus: Arc::new(Bus::new(model, env)),
            hardware,
        };
        rig.enable(0);
        rig
    }

    fn enable(&self, chip_select: u8) {
        let args = abi::Enable {
            frame_len: 8,
            ..abi::Enable::default()
        };
        let request = Request {
            owner: ME,
            args: &args,
            settings: &Settings::default(),
            geometry: Geometry {
                align: 64,
                page: 4096,
            },
            gate_limit: Ns(0),
        };
        let memory = |layout: &oob_spi::layout::Layout| {
            let block = MEMORY.with(|memory| memory.as_ptr());
            assert!(layout.total as usize <= 8192);
            Some(Block {
                cpu: NonNull::new(block.cast()).unwrap(),
                bus: 0,
            })
        };
        // SAFETY: the block is the thread's for good, and as long as is asserted.
        unsafe { self.bus.enable(&inband(), chip_select, &request, memory) }.unwrap();
    }

    fn run(&self) -> Result<(), RunError> {
        self.bus.run(&oob(), 0, ME)
    }

    /// The hardware completes what runs, and the handler is called: also when there is nothing.
    fn complete(&self) {
        let mut hardware = self.hardware.lock().unwrap();
        if hardware.running {
            hardware.running = false;
            hardware.completed = hardware.frame;
            hardware.status = true;
        }
        drop(hardware);
        self.bus
            .interrupt(|| std::mem::take(&mut self.hardware.lock().unwrap().status));
    }

    fn set_stop(&self, miss_limit: u32, period_ns: u64) {
        let args = abi::Stop {
            miss_limit,
            reserved: 0,
            period_ns,
        };
        self.bus.set_stop(&inband(), 0, ME, &args).unwrap();
    }

    fn set_timer(&self) {
        let args = abi::Trigger {
            kind: abi::TRIGGER_TIMER,
            reserved: 0,
            first_ns: 0,
            period_ns: 1_000_000,
        };
        self.bus.set_trigger(&inband(), 0, ME, &args).unwrap();
    }
}

thread_local! {
    // Of the thread that runs the models; other threads only reach it through the bus.
    static MEMORY: std::cell::Cell<[u8; 8192]> = const { std::cell::Cell::new([0; 8192]) };
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

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
    for path in [Path::Fifo, Path::Dma] {
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
        rig.bus.gone(&inband());
        use RunError::*;
        let result = run.join().unwrap();
        assert!(
            matches!(result, Ok(()) | Err(Gone | SettingUp)),
            "{result:?}"
        );
        assert_eq!(rig.run(), Err(Gone));
    });
}

/// The fail-safe trips while a frame is under way, is about to be, or has just been.
#[test]
fn stop_frame_against_run() {
    check(3, || {
        // One look at the clock is one watch period: the watch-dog bites at its first tick.
        let rig = Rig::on(Path::Fifo, 1_000_000);
        rig.set_stop(1, 1_000_000);
        let watch = rig.clone();
        let watch = thread::spawn(move || watch.bus.watch_tick(0));
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
        let watch = thread::spawn(move || watch.bus.watch_tick(0));
        let handler = thread::spawn(move || handler.complete());
        let _ = rig.run();
        watch.join().unwrap();
        handler.join().unwrap();
        // Whatever is left is served by the next completion and the next tick.
        rig.complete();
        rig.bus.watch_tick(0);
        rig.complete();
        let hardware = rig.hardware.lock().unwrap();
        assert_eq!(hardware.stops, 1, "sent once");
        assert_eq!(rig.bus.stats(0).stops, 1);
    });
}

/// Two ticks of the trigger timer against two completions; the clock jumps, so that the first frame may be overdue.
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
            rig.bus.trigger_tick(0);
            rig.bus.trigger_tick(0);
            handler.join().unwrap();
            rig.complete();
            let (stats, hardware) = (rig.bus.stats(0), rig.hardware.lock().unwrap());
            assert_eq!(stats.frames + stats.overruns + stats.timeouts, 2);
            assert_eq!(u64::from(hardware.regular), 2 - stats.overruns);
        });
    }
}

/// Two find the same frame overdue; one of them has started the next when the other acts.
#[test]
fn an_overdue_frame_is_ended_once() {
    check(3, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.enable(1);
        rig.set_timer();
        rig.bus.trigger_tick(0);
        rig.bus.env().now.fetch_add(20_000_000, Untracked::Relaxed);
        let ticker = rig.clone();
        let ticker = thread::spawn(move || ticker.bus.trigger_tick(0));
        let result = rig.bus.run(&oob(), 1, ME);
        let fine = matches!(result, Err(RunError::Stuck | RunError::Busy));
        assert!(fine, "{result:?}");
        ticker.join().unwrap();
        assert_eq!(rig.bus.stats(0).timeouts, 1);
    });
}

#[test]
fn run_and_trigger_and_completion() {
    check(2, || {
        let rig = Rig::on(Path::Dma, 1);
        rig.set_timer();
        let (ticker, handler) = (rig.clone(), rig.clone());
        let ticker = thread::spawn(move || ticker.bus.trigger_tick(0));
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

/// A thread that waits for a timer's frame has left when DISABLE returns, or never waits.
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

/// In-band set-up against a loop of exchange calls: it always gets the bus.
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

/// A published driver cleared its lock outside of the lock that guards it. Seen to fail with `BusGate` storing the new
/// word instead of comparing and swapping it.
#[test]
fn defect_4_the_gate_lets_one_side_in() {
    check(4, || {
        let gate = Arc::new(BusGate::new());
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
