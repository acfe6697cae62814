// SPDX-License-Identifier: GPL-2.0-only

//! How driver code that runs in any context passes a wait that is too long to spin.
//!
//! The same routine of a driver is called by a thread, which can sleep, and by a hard interrupt
//! handler, which cannot. The caller says which by the [`LongWait`] that it passes. It has a C
//! layout, because a vtable between modules passes it on.

use crate::time::Ns;
use core::ffi::c_void;
use core::marker::PhantomData;

/// Sleeps through long waits, or leaves it to the callee to spin.
#[derive(Debug)]
#[repr(C)]
pub struct LongWait<'a> {
    sleep: Option<unsafe extern "C" fn(*const c_void, u64) -> bool>,
    sleeper: *const c_void,
    lives: PhantomData<&'a ()>,
}

impl<'a> LongWait<'a> {
    /// A handler's: [`Self::pass`] returns at once, and the callee spins.
    pub const SPIN: LongWait<'static> = LongWait {
        sleep: None,
        sleeper: core::ptr::null(),
        lives: PhantomData,
    };

    /// A thread's: `sleep` sleeps for a span, possibly less, and returns whether the work should go
    /// on.
    pub const fn new<F: Fn(Ns) -> bool>(sleep: &'a F) -> Self {
        unsafe extern "C" fn call<F: Fn(Ns) -> bool>(sleeper: *const c_void, span: u64) -> bool {
            // SAFETY: `sleeper` is the `F` that `new` was given, which is borrowed for as long as
            // the `LongWait` lives.
            (unsafe { &*sleeper.cast::<F>() })(Ns(span))
        }
        Self {
            sleep: Some(call::<F>),
            sleeper: core::ptr::from_ref(sleep).cast(),
            lives: PhantomData,
        }
    }

    /// Whether this sleeps.
    pub const fn sleeps(&self) -> bool {
        self.sleep.is_some()
    }

    /// Sleeps for `span`, possibly less; a handler's returns at once. Returns `false` once nobody
    /// waits for the work any more: the callee then gives it up.
    pub fn pass(&self, span: Ns) -> bool {
        self.sleep.is_none_or(|sleep| {
            // SAFETY: `new` stored `sleep` together with the `sleeper` that it takes.
            unsafe { sleep(self.sleeper, span.0) }
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn a_thread_sleeps_and_a_handler_does_not() {
        assert!(!LongWait::SPIN.sleeps());
        assert!(LongWait::SPIN.pass(Ns(5)));
        let slept = Cell::new(Ns(0));
        let sleep = |span| {
            slept.set(span);
            span < Ns(10)
        };
        let wait = LongWait::new(&sleep);
        assert!(wait.sleeps() && wait.pass(Ns(9)));
        assert_eq!(slept.get(), Ns(9));
        assert!(!wait.pass(Ns(10)));
    }
}
