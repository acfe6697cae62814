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
    /// A date that is never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// The date `span` later; [`Self::NEVER`] where that does not fit.
    pub const fn after(self, span: Ns) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to here; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Ns {
        Ns(self.0.saturating_sub(earlier.0))
    }
}

/// A source of monotonic time that can also be waited on by spinning.
pub trait Clock {
    /// The date now.
    fn now(&self) -> Instant;

    /// A counter that costs less to read than the clock where there is one: for spans that are only
    /// shown.
    #[inline(always)]
    fn ticks(&self) -> u64 {
        self.now().0
    }

    /// How long so many ticks take.
    fn span(&self, ticks: u64) -> Ns {
        Ns(ticks)
    }

    /// Lets a little time go by; called in every polling loop.
    ///
    /// On a kernel this is the processor's spin hint. On the host it moves the virtual clock, so a
    /// loop that polls without calling this never ends there.
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

/// A one-shot or periodic timer whose handler was bound when it was made.
///
/// The handler runs in hard interrupt context (on EVL: in the out-of-band tick), so it never
/// sleeps.
pub trait Timer {
    /// Arms the timer: first at `first`, then every `period`, on these dates however late a call
    /// is; once only where `period` is zero. The handler is told how many dates have passed without
    /// a call since the one before.
    fn start(&self, first: Instant, period: Ns);

    /// Disarms the timer; on return no handler runs. With nothing held that the handler takes.
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
