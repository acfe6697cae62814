// SPDX-License-Identifier: GPL-2.0-only

//! One chip select: its state, what was settled on for its frames, its fail-safe and its counters.
//!
//! ```text
//!          ENABLE             fail-safe trips
//!   Off ------------> On ---------------------> Stopped
//!    ^                 |  DISABLE, close           |
//!    +---- Closing <---+---------------------------+        any --- controller unbound ---> Gone
//! ```
//!
//! All fields are atomics, since threads, timers and in-band calls read them at any time; what belongs to the frames is
//! written only by the claim's holder while the state is not On. `On -> Stopped` is a compare-and-swap (anyone may
//! trip), the other moves are in-band calls, which exclude one another.

use crate::controller::{FrameMemory, Path, Prepared};
use crate::errno::Refusal;
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crate::validate::{Plan, time_limit};
use oob::time::{Clock, Instant, Ns};
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

/// Whether there is a stop frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StopFrame {
    None,
    Armed,
    Sent,
}

/// Counters; those with one writer at a time (the holder) are added to without an atomic read-modify-write.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `n`; from any context.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one; for the claim's holder only.
    #[inline]
    pub(crate) fn bump(&self) {
        self.set(self.get().wrapping_add(1));
    }

    /// Keeps the higher; for the claim's holder only.
    #[inline]
    pub(crate) fn raise_to(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) bus_errors: Counter,
    pub(crate) missed: Counter,
    pub(crate) overruns: Counter,
    pub(crate) stops: Counter,
    pub(crate) rejected: Counter,
    /// In ticks.
    pub(crate) worst: Counter,
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

pub(crate) struct ChipSelect {
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
    /// Of the timer that starts frames; 0 where the exchange call does.
    pub(crate) trigger_period: AtomicU64,
    pub(crate) miss_limit: AtomicU32,
    /// Deadlines missed in a row.
    pub(crate) streak: AtomicU32,
    pub(crate) watch_period: AtomicU64,
    /// Entry date of the latest exchange call that had a deadline or was watched.
    pub(crate) last_call: AtomicU64,
    /// The watch-dog's own: the `last_call` it saw, and how many misses it counted since then.
    pub(crate) watch_seen: AtomicU64,
    pub(crate) watch_counted: AtomicU64,
    /// Frames that a timer started and that have ended, times four, plus how the last one ended.
    pub(crate) ended: AtomicU64,
    pub(crate) counters: Counters,
    /// The holder's.
    pub(crate) memory: UnsafeCell<Option<FrameMemory>>,
}

impl ChipSelect {
    pub(crate) fn new() -> Self {
        Self {
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
            streak: AtomicU32::new(0),
            watch_period: AtomicU64::new(0),
            last_call: AtomicU64::new(0),
            watch_seen: AtomicU64::new(0),
            watch_counted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            counters: Counters::default(),
            memory: UnsafeCell::new(None),
        }
    }

    pub(crate) fn state(&self) -> State {
        State::from(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Sets the state; what it was.
    pub(crate) fn replace_state(&self, state: State) -> State {
        State::from(self.state.swap(state as u8, Ordering::AcqRel))
    }

    /// On -> Stopped; whether this call did it.
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

    /// Whether the watch-dog wants to know of calls.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watch_period.load(Ordering::Relaxed) != 0
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.state.load(Ordering::Acquire) == State::On as u8
    }

    /// Whether frames may be asked for.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        match self.state() {
            State::On => Ok(()),
            State::Stopped => Err(Refusal::Stopped),
            _ => self.check_enabled(),
        }
    }

    /// Whether oob mode is on, if stopped.
    pub(crate) fn check_enabled(&self) -> Result<(), Refusal> {
        match self.state() {
            State::On | State::Stopped => Ok(()),
            State::Off => Err(Refusal::Off),
            State::Closing => Err(Refusal::Closing),
            State::Gone => Err(Refusal::Gone),
        }
    }

    /// A thread begins to wait for a timer's frame; `false` where one does already. It then looks at the state and the
    /// trigger.
    ///
    /// Who wants it to leave changes those first and asks [`Self::has_waiter`] then. All are read-modify-writes of one
    /// word, so one comes second and sees what the other did before: the thread leaves, or is waited for.
    pub(crate) fn begin_wait(&self) -> bool {
        self.waiting.swap(1, Ordering::AcqRel) == 0
    }

    pub(crate) fn end_wait(&self) {
        self.waiting.swap(0, Ordering::AcqRel);
    }

    pub(crate) fn has_waiter(&self) -> bool {
        self.waiting.fetch_or(0, Ordering::AcqRel) != 0
    }

    pub(crate) fn stop(&self) -> StopFrame {
        match self.stop.load(Ordering::Relaxed) {
            0 => StopFrame::None,
            1 => StopFrame::Armed,
            _ => StopFrame::Sent,
        }
    }

    /// For the holder.
    pub(crate) fn set_stop(&self, stop: StopFrame) {
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

    pub(crate) fn wire(&self) -> Ns {
        Ns(self.wire.load(Ordering::Relaxed))
    }

    /// The longest that a handler that sends a frame spins.
    pub(crate) fn spin(&self) -> Ns {
        Ns(self.spin.load(Ordering::Relaxed))
    }

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

    #[inline]
    pub(crate) fn is_timer_driven(&self) -> bool {
        self.trigger_period.load(Ordering::Acquire) != 0
    }

    /// Starts anew with what the controller settled on; for the holder, before On.
    pub(crate) fn settle(&self, prepared: &Prepared, plan: &Plan, now: Instant) {
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
        self.streak.store(0, Ordering::Relaxed);
        self.miss_limit.store(0, Ordering::Relaxed);
        self.watch_period.store(0, Ordering::Relaxed);
        self.last_call.store(now.0, Ordering::Relaxed);
        self.set_stop(StopFrame::None);
        let counters = &self.counters;
        for counter in [
            &counters.frames,
            &counters.timeouts,
            &counters.bus_errors,
            &counters.missed,
            &counters.overruns,
            &counters.stops,
            &counters.worst,
        ] {
            counter.set(0);
        }
    }

    /// Starts the fail-safe anew; for the holder.
    pub(crate) fn watch(&self, args: &abi::Stop, now: Instant) {
        self.set_stop(StopFrame::Armed);
        self.streak.store(0, Ordering::Relaxed);
        self.miss_limit.store(args.miss_limit, Ordering::Relaxed);
        self.watch_period.store(args.period_ns, Ordering::Relaxed);
        self.last_call.store(now.0, Ordering::Relaxed);
        self.watch_seen.store(now.0, Ordering::Relaxed);
        self.watch_counted.store(0, Ordering::Relaxed);
    }

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

    pub(crate) fn stats(&self, clock: &impl Clock) -> abi::Stats {
        let counters = &self.counters;
        abi::Stats {
            frames: counters.frames.get(),
            timeouts: counters.timeouts.get(),
            bus_errors: counters.bus_errors.get(),
            missed: counters.missed.get(),
            overruns: counters.overruns.get(),
            stops: counters.stops.get(),
            rejected: counters.rejected.get(),
            worst_ns: clock.span(counters.worst.get()).0,
        }
    }
}
