// SPDX-License-Identifier: GPL-2.0-only

// A backend over threads, mutexes and condition variables, for the tests with real threads. The
// examples in the crate's documentation include this file, so it has no inner documentation.

use oob::stage::{Inband, Oob};
use oob::time::{Clock, Instant};
use stax::queue::Queue;
use stax::{Atomic, Backend, End, Side, Sleep};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Both stages sleep.
#[derive(Default)]
pub(crate) struct Host {
    queue: Mutex<Queue>,
    sleeping: Mutex<()>,
    wake: Condvar,
    /// While it is set, every sleep is interrupted.
    pub(crate) interrupt: AtomicU32,
}

/// The oob stage sleeps, the in-band stage spins.
#[derive(Default)]
pub(crate) struct HostSpin(pub(crate) Host);

/// The process's monotonic clock.
pub(crate) struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Instant {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let since = START.get_or_init(std::time::Instant::now).elapsed();
        Instant(since.as_nanos() as u64)
    }

    fn relax(&self) {
        std::thread::yield_now();
    }
}

/// A token for a thread that plays an oob thread.
pub(crate) fn oob() -> Oob<'static> {
    // SAFETY: a thread of the process may wait anywhere.
    unsafe { Oob::assume() }
}

/// A token for a thread that plays an in-band thread.
pub(crate) fn inband() -> Inband<'static> {
    // SAFETY: a thread of the process may sleep anywhere.
    unsafe { Inband::assume() }
}

/// A token for a thread that plays an in-band thread that cannot sleep.
pub(crate) fn atomic() -> Atomic<'static> {
    // SAFETY: a spinning thread of the process does not keep other threads from running.
    unsafe { Atomic::assume() }
}

impl Host {
    /// With `true`, present and later sleeps end with [`End::Interrupted`], until a call with
    /// `false`.
    pub(crate) fn set_interrupted(&self, interrupted: bool) {
        let _sleeping = self.sleeping.lock().unwrap();
        self.interrupt.store(interrupted.into(), Ordering::Relaxed);
        self.wake.notify_all();
    }

    /// The number of waiting threads of `side`.
    pub(crate) fn waiting(&self, side: Side) -> u32 {
        self.with_queue(|queue| queue.waiting(side))
    }

    fn sleep(&self, deadline: Instant, ready: impl Fn() -> bool) -> End {
        let mut sleeping = self.sleeping.lock().unwrap();
        while !ready() {
            if self.interrupt.load(Ordering::Relaxed) != 0 {
                return End::Interrupted;
            }
            let left = deadline.since(Monotonic.now());
            if left.0 == 0 {
                return End::TimedOut;
            }
            let left = Duration::from_nanos(left.0).min(Duration::from_secs(3600));
            sleeping = self.wake.wait_timeout(sleeping, left).unwrap().0;
        }
        End::Woken
    }
}

impl Backend for Host {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.queue.lock().unwrap())
    }

    fn wake_all(&self, _: Side) {
        let _sleeping = self.sleeping.lock().unwrap();
        self.wake.notify_all();
    }
}

impl Sleep<Oob<'_>> for Host {
    fn sleep(&self, _: &Oob<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        self.sleep(deadline, ready)
    }
}

impl Sleep<Inband<'_>> for Host {
    fn sleep(&self, _: &Inband<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        self.sleep(deadline, ready)
    }
}

impl Backend for HostSpin {
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.0.with_queue(f)
    }

    fn wake_all(&self, side: Side) {
        if side == Side::Oob {
            self.0.wake_all(side);
        }
    }
}

impl Sleep<Oob<'_>> for HostSpin {
    fn sleep(&self, _: &Oob<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        self.0.sleep(deadline, ready)
    }
}

impl Sleep<Atomic<'_>> for HostSpin {
    fn sleep(&self, _: &Atomic<'_>, deadline: Instant, ready: impl Fn() -> bool) -> End {
        stax::spin(&Monotonic, deadline, ready)
    }
}
