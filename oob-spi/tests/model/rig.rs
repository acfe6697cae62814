// SPDX-License-Identifier: GPL-2.0-only

//! A bus whose controller, timers and clock loom may reorder.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use oob::long_wait::LongWait;
use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant, Ns, Timer};
use oob::wait::{Flag, WaitError};
use oob_spi::bus::Bus;
use oob_spi::controller::*;
use oob_spi::env::Env;
use oob_spi::errno::RunError;
use oob_spi::layout::Geometry;
use oob_spi::request::{Block, Owner, Request};
use oob_spi::validate::Settings;
use oobkit_abi::spi as abi;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool as Switch, AtomicU64, Ordering as Untracked};

pub(crate) const ME: Owner = Owner(1);

/// The state of the hardware, which the controller and the interrupt handler share.
#[derive(Default)]
pub(crate) struct Hardware {
    pub(crate) frame: u64,
    pub(crate) running: bool,
    pub(crate) completed: u64,
    /// The status that the handler reads and acknowledges.
    pub(crate) status: bool,
    pub(crate) prepared: bool,
    pub(crate) regular: u32,
    /// Stop frames of chip select 0.
    pub(crate) stops: u32,
}

pub(crate) struct Model {
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

    unsafe fn prepare(
        &mut self,
        _: &Inband<'_>,
        _: &Setup,
        _: &FrameMemory,
    ) -> Result<Prepared, PrepareError> {
        self.hardware.lock().unwrap().prepared = true;
        Ok(Prepared {
            effective_hz: 1_000_000,
            wire: Ns(8_000),
            spin: Ns(8_000),
            path: self.path,
        })
    }

    fn start(&mut self, _: &Inband<'_>) {}

    fn pulse(&mut self, chip_select: u8, kind: FrameKind) -> Result<Pulse, TransferError> {
        let mut hardware = self.hardware.lock().unwrap();
        assert!(hardware.prepared, "a frame without memory");
        assert!(!hardware.running, "two frames at once");
        match kind {
            FrameKind::Regular => {
                let is_stopped = chip_select == 0 && hardware.stops > 0;
                assert!(!is_stopped, "a frame after the stop frame");
                hardware.regular += 1;
            }
            FrameKind::Stop => hardware.stops += 1,
        }
        if self.path != Path::Dma {
            return Ok(Pulse::Done);
        }
        hardware.frame += 1;
        hardware.running = true;
        Ok(Pulse::InFlight)
    }

    fn pulse_may_sleep(
        &mut self,
        chip_select: u8,
        kind: FrameKind,
        wait: &LongWait<'_>,
    ) -> Result<Pulse, TransferError> {
        if self.path == Path::SlowFifo && !wait.pass(Ns(8_000)) {
            return Err(TransferError::Stuck);
        }
        self.pulse(chip_select, kind)
    }

    fn finish(&mut self, _: u8, outcome: Outcome, _: &LongWait<'_>) -> Result<(), TransferError> {
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

/// A flag whose wait may time out at any moment before the event.
pub(crate) struct LoomFlag {
    pub(crate) raised: AtomicBool,
    /// Threads inside a wait. Loom does not track it.
    waiting: AtomicU64,
    /// Set once oob mode is off, and no thread may begin to wait any more. Loom does not track it,
    /// because it is only a check.
    pub(crate) off: Switch,
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
        let others = self.waiting.fetch_add(1, Untracked::Relaxed);
        assert_eq!(others, 0, "two threads wait at one flag");
        let raised = self.raised.swap(false, Ordering::AcqRel);
        self.waiting.fetch_sub(1, Untracked::Relaxed);
        match raised {
            true => Ok(()),
            false => Err(WaitError::TimedOut),
        }
    }
}

pub(crate) struct NoTimer;

impl Timer for NoTimer {
    fn start(&self, _: Instant, _: Ns) {}

    fn stop(&self, _: &Inband<'_>) {}
}

pub(crate) struct LoomEnv {
    pub(crate) flag: LoomFlag,
    timer: NoTimer,
    /// Each reading of the clock takes `step`. Loom does not track it, because it orders nothing.
    pub(crate) now: AtomicU64,
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

    fn watchdog_timer(&self, _: u8) -> &NoTimer {
        &self.timer
    }

    fn is_interrupted(&self, _: &Oob<'_>) -> bool {
        true
    }

    fn nap(&self, _: &Inband<'_>) {
        thread::yield_now();
    }

    fn gate_opened(&self, _: &Inband<'_>) {}
}

#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) bus: Arc<Bus<Model, LoomEnv>>,
    pub(crate) hardware: Arc<Mutex<Hardware>>,
}

pub(crate) fn oob() -> Oob<'static> {
    // SAFETY: a model has no stages, so its thread may stand for an out-of-band one.
    unsafe { Oob::assume() }
}

pub(crate) fn inband() -> Inband<'static> {
    // SAFETY: a model has no stages, so its thread may stand for an in-band one.
    unsafe { Inband::assume() }
}

impl Rig {
    pub(crate) fn on(path: Path, step: u64) -> Self {
        let hardware = Arc::new(Mutex::new(Hardware::default()));
        let env = LoomEnv {
            flag: LoomFlag {
                raised: AtomicBool::new(false),
                waiting: AtomicU64::new(0),
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

    pub(crate) fn enable(&self, chip_select: u8) {
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
            Ok(Block {
                cpu: NonNull::new(block.cast()).unwrap(),
                bus: 0,
            })
        };
        // SAFETY: the block belongs to the thread, which outlives the model, and the closure
        // asserts its length.
        unsafe { self.bus.enable(&inband(), chip_select, &request, memory) }.unwrap();
    }

    pub(crate) fn run(&self) -> Result<(), RunError> {
        self.bus.run(&oob(), 0, ME)
    }

    /// The hardware completes its frame, if one runs, and the handler is called in any case.
    pub(crate) fn complete(&self) {
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

    pub(crate) fn set_stop(&self, miss_limit: u32, period_ns: u64) {
        let args = abi::Stop {
            miss_limit,
            reserved: 0,
            period_ns,
        };
        self.bus.set_stop(&inband(), 0, ME, &args).unwrap();
    }

    /// A timer starts the frames.
    pub(crate) fn set_timer(&self) {
        self.set_trigger(abi::Trigger {
            kind: abi::TRIGGER_TIMER,
            period_ns: 1_000_000,
            ..abi::Trigger::default()
        });
    }

    /// The call starts the frames.
    pub(crate) fn set_call(&self) {
        self.set_trigger(abi::Trigger::default());
    }

    fn set_trigger(&self, args: abi::Trigger) {
        self.bus.set_trigger(&inband(), 0, ME, &args).unwrap();
    }
}

thread_local! {
    // It belongs to the thread that runs the models. Other threads reach it through the bus only.
    static MEMORY: std::cell::Cell<[u8; 8192]> = const { std::cell::Cell::new([0; 8192]) };
}

pub(crate) fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}
