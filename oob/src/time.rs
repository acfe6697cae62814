// SPDX-License-Identifier: GPL-2.0-only

//! Monotonic time in nanoseconds, 64 bits wide on every target.

use crate::stage::Inband;

/// A date on the core's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Instant(pub u64);

/// A span of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Ns(pub u64);

impl Instant {
    /// A date that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The date `span` later; [`Self::NEVER`] if that does not fit.
    pub const fn after(self, span: Ns) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to this date; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Ns {
        Ns(self.0.saturating_sub(earlier.0))
    }
}

/// A monotonic clock on which a caller can also spin.
pub trait Clock {
    /// The date now.
    fn now(&self) -> Instant;

    /// A counter that is cheaper to read than the clock, if there is one. For spans that are only
    /// displayed.
    #[inline(always)]
    fn ticks(&self) -> u64 {
        self.now().0
    }

    /// The span of so many ticks.
    fn span(&self, ticks: u64) -> Ns {
        Ns(ticks)
    }

    /// Lets a little time pass. Every polling loop calls it.
    ///
    /// In a kernel it is the processor's spin hint. On the host core it moves the virtual clock, so
    /// a loop that polls without calling it never ends there.
    fn relax(&self);

    /// Spins until `date`.
    fn spin_until(&self, date: Instant) {
        while self.now() < date {
            self.relax();
        }
    }
}

impl<T: Clock + ?Sized> Clock for &T {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn ticks(&self) -> u64 {
        (**self).ticks()
    }

    fn span(&self, ticks: u64) -> Ns {
        (**self).span(ticks)
    }

    fn relax(&self) {
        (**self).relax();
    }
}

/// A one-shot or periodic timer. Its handler is set when it is created.
///
/// The handler runs in hard interrupt context (on EVL, in the out-of-band tick), so it never
/// sleeps.
pub trait Timer {
    /// Arms the timer: first at `first`, then every `period`. A late call does not shift the later
    /// dates. With a `period` of zero it expires once. The handler gets the number of dates that
    /// have passed without a call since its last call.
    fn start(&self, first: Instant, period: Ns);

    /// Disarms the timer and waits until its handler has returned. The caller must not hold a lock
    /// that the handler takes.
    fn stop(&self, inband: &Inband<'_>);
}

impl<T: Timer + ?Sized> Timer for &T {
    fn start(&self, first: Instant, period: Ns) {
        (**self).start(first, period);
    }

    fn stop(&self, inband: &Inband<'_>) {
        (**self).stop(inband);
    }
}
