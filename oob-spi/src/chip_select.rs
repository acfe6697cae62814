// SPDX-License-Identifier: GPL-2.0-only

//! One chip select: its state, the parameters of its frames, its fail-safe and its counters.
//!
//! ```text
//!          ENABLE             fail-safe trips
//!   Off ------------> On ---------------------> Stopped
//!    ^                 |  DISABLE, close           |
//!    +---- Closing <---+---------------------------+        any --- controller unbound ---> Gone
//! ```
//!
//! All fields are atomics, because threads, timers and in-band calls read them at any time. Only
//! the claim's holder writes the parameters of the frames, and only while the state is not On.
//! `On -> Stopped` is a compare-and-swap that any context may do. The other moves are in-band
//! calls, which exclude one another.

use crate::controller::{FrameMemory, Path, Prepared};
use crate::counters::Counters;
use crate::errno::Refusal;
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crate::validate::{Plan, time_limit};
use oob::time::{Instant, Ns};
use oobkit_abi::spi as abi;

/// State of a chip select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Off,
    On,
    Stopped,
    Closing,
    Gone,
}

impl From<u8> for State {
    fn from(state: u8) -> Self {
        match state {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::Stopped,
            3 => Self::Closing,
            _ => Self::Gone,
        }
    }
}

/// Whether there is a stop frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StopFrame {
    None,
    Armed,
    Sent,
}

pub(crate) struct ChipSelect {
    index: u8,
    state: AtomicU8,
    stop: AtomicU8,
    path: AtomicU8,
    /// Whether a thread waits for a timer's frame; see [`Self::begin_wait`].
    waiting: AtomicU8,
    effective_hz: AtomicU32,
    mappable: AtomicU32,
    frame_len: AtomicU32,
    wire: AtomicU64,
    spin: AtomicU64,
    limit: AtomicU64,
    /// Period of the timer that starts frames; 0 where the exchange call starts them.
    pub(crate) trigger_period: AtomicU64,
    pub(crate) miss_limit: AtomicU32,
    /// Deadlines missed in a row.
    pub(crate) misses_in_a_row: AtomicU32,
    pub(crate) watchdog_period: AtomicU64,
    /// Entry date of the latest exchange call that had a deadline or was watched.
    pub(crate) last_call: AtomicU64,
    /// The watch-dog's own: the `last_call` that it saw, and how many misses it has counted since
    /// then.
    pub(crate) watchdog_seen: AtomicU64,
    pub(crate) watchdog_counted: AtomicU64,
    /// Timer-driven frames that have ended, times four, plus how the last one ended.
    pub(crate) ended: AtomicU64,
    pub(crate) counters: Counters,
    /// For the claim's holder only.
    pub(crate) memory: UnsafeCell<Option<FrameMemory>>,
}

impl ChipSelect {
    pub(crate) fn new(index: u8) -> Self {
        Self {
            index,
            state: AtomicU8::new(State::Off as u8),
            stop: AtomicU8::new(StopFrame::None as u8),
            path: AtomicU8::new(0),
            waiting: AtomicU8::new(0),
            effective_hz: AtomicU32::new(0),
            mappable: AtomicU32::new(0),
            frame_len: AtomicU32::new(0),
            wire: AtomicU64::new(0),
            spin: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            trigger_period: AtomicU64::new(0),
            miss_limit: AtomicU32::new(0),
            misses_in_a_row: AtomicU32::new(0),
            watchdog_period: AtomicU64::new(0),
            last_call: AtomicU64::new(0),
            watchdog_seen: AtomicU64::new(0),
            watchdog_counted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            counters: Counters::default(),
            memory: UnsafeCell::new(None),
        }
    }

    /// The chip select's number on its bus.
    #[inline]
    pub(crate) const fn index(&self) -> u8 {
        self.index
    }

    pub(crate) fn state(&self) -> State {
        State::from(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Sets the state and returns the former one.
    pub(crate) fn replace_state(&self, state: State) -> State {
        State::from(self.state.swap(state as u8, Ordering::AcqRel))
    }

    /// On -> Stopped; returns whether this call did it.
    pub(crate) fn trip(&self) -> bool {
        self.state
            .compare_exchange(
                State::On as u8,
                State::Stopped as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// Whether the watch-dog needs the dates of exchange calls.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watchdog_period.load(Ordering::Relaxed) != 0
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.state.load(Ordering::Acquire) == State::On as u8
    }

    /// Whether frames may be sent.
    pub(crate) fn check_on(&self) -> Result<(), Refusal> {
        match self.state() {
            State::On => Ok(()),
            State::Stopped => Err(Refusal::Stopped),
            _ => self.check_enabled(),
        }
    }

    /// Whether oob mode is on; the fail-safe may have stopped it.
    pub(crate) fn check_enabled(&self) -> Result<(), Refusal> {
        match self.state() {
            State::On | State::Stopped => Ok(()),
            State::Off => Err(Refusal::Off),
            State::Closing => Err(Refusal::Closing),
            State::Gone => Err(Refusal::Gone),
        }
    }

    /// A thread begins to wait for a timer's frame. Returns `false` where another thread waits
    /// already. The thread then looks at the state and at the trigger.
    ///
    /// An in-band call that wants the thread to leave changes those first, and calls
    /// [`Self::has_waiter`] then. All three functions are read-modify-writes of one word, so one of
    /// the two sides comes second and sees what the other did before: the thread leaves, or the
    /// in-band call waits for it.
    pub(crate) fn begin_wait(&self) -> bool {
        self.waiting.swap(1, Ordering::AcqRel) == 0
    }

    pub(crate) fn end_wait(&self) {
        self.waiting.swap(0, Ordering::AcqRel);
    }

    pub(crate) fn has_waiter(&self) -> bool {
        self.waiting.fetch_or(0, Ordering::AcqRel) != 0
    }

    pub(crate) fn stop_frame(&self) -> StopFrame {
        match self.stop.load(Ordering::Relaxed) {
            0 => StopFrame::None,
            1 => StopFrame::Armed,
            _ => StopFrame::Sent,
        }
    }

    /// For the claim's holder.
    pub(crate) fn set_stop_frame(&self, stop: StopFrame) {
        self.stop.store(stop as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn path(&self) -> Path {
        match self.path.load(Ordering::Relaxed) {
            0 => Path::Fifo,
            1 => Path::SlowFifo,
            _ => Path::Dma,
        }
    }

    /// Time of one frame on the wire.
    pub(crate) fn wire(&self) -> Ns {
        Ns(self.wire.load(Ordering::Relaxed))
    }

    /// The longest that a handler that sends a frame spins.
    pub(crate) fn spin(&self) -> Ns {
        Ns(self.spin.load(Ordering::Relaxed))
    }

    /// After this time a frame counts as stuck.
    #[inline]
    pub(crate) fn limit(&self) -> Ns {
        Ns(self.limit.load(Ordering::Relaxed))
    }

    pub(crate) fn mappable(&self) -> u32 {
        self.mappable.load(Ordering::Relaxed)
    }

    pub(crate) fn frame_len(&self) -> u32 {
        self.frame_len.load(Ordering::Relaxed)
    }

    /// Whether a timer starts the frames.
    #[inline]
    pub(crate) fn is_timer_driven(&self) -> bool {
        self.trigger_period.load(Ordering::Acquire) != 0
    }

    /// Ends the misses in a row: a frame has ended in time.
    #[inline]
    pub(crate) fn forget_misses(&self) {
        self.misses_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Starts a new session with the parameters that the controller chose; for the claim's holder,
    /// before On.
    pub(crate) fn begin_session(&self, prepared: &Prepared, plan: &Plan, now: Instant) {
        let path = match prepared.path {
            Path::Fifo => 0,
            Path::SlowFifo => 1,
            Path::Dma => 2,
        };
        self.path.store(path, Ordering::Relaxed);
        self.effective_hz
            .store(prepared.effective_hz, Ordering::Relaxed);
        self.mappable.store(plan.layout.mappable, Ordering::Relaxed);
        self.frame_len
            .store(plan.setup.frame_len, Ordering::Relaxed);
        self.wire.store(prepared.wire.0, Ordering::Relaxed);
        self.spin.store(prepared.spin.0, Ordering::Relaxed);
        self.limit
            .store(time_limit(prepared.wire).0, Ordering::Relaxed);
        self.trigger_period.store(0, Ordering::Relaxed);
        self.forget_misses();
        self.miss_limit.store(0, Ordering::Relaxed);
        self.watchdog_period.store(0, Ordering::Relaxed);
        self.last_call.store(now.0, Ordering::Relaxed);
        self.set_stop_frame(StopFrame::None);
        self.counters.reset();
    }

    /// Arms the fail-safe; for the claim's holder.
    pub(crate) fn arm(&self, args: &abi::Stop, now: Instant) {
        self.set_stop_frame(StopFrame::Armed);
        self.forget_misses();
        self.miss_limit.store(args.miss_limit, Ordering::Relaxed);
        self.watchdog_period
            .store(args.period_ns, Ordering::Relaxed);
        self.last_call.store(now.0, Ordering::Relaxed);
        self.watchdog_seen.store(now.0, Ordering::Relaxed);
        self.watchdog_counted.store(0, Ordering::Relaxed);
    }

    /// What GET_INFO shows.
    pub(crate) fn info(&self) -> abi::Info {
        abi::Info {
            effective_hz: self.effective_hz.load(Ordering::Relaxed),
            path: match self.path() {
                Path::Fifo | Path::SlowFifo => abi::PATH_FIFO,
                Path::Dma => abi::PATH_DMA,
            },
            wire_ns: self.wire().0,
            limit_ns: self.limit().0,
        }
    }
}
