// SPDX-License-Identifier: GPL-2.0-only

//! The atomics: those of `core`; under the model checker those of loom; in the crate's own tests
//! one that counts.

#[cfg(all(test, not(loom)))]
pub(crate) use counted::{AtomicU32, made_by};

#[cfg(not(any(test, loom)))]
pub(crate) use core::sync::atomic::AtomicU32;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU32;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicUsize, Ordering};

/// Counts the read-modify-writes of the gate, because the lock promises a number of them.
#[cfg(all(test, not(loom)))]
mod counted {
    use super::Ordering;
    use std::cell::Cell;
    use std::thread_local;

    thread_local! {
        static MADE: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU32(core::sync::atomic::AtomicU32);

    impl AtomicU32 {
        pub(crate) const fn new(value: u32) -> Self {
            Self(core::sync::atomic::AtomicU32::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.0.store(value, order);
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            seen: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            MADE.set(MADE.get() + 1);
            self.0.compare_exchange_weak(seen, new, success, failure)
        }

        pub(crate) fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
            MADE.set(MADE.get() + 1);
            self.0.fetch_sub(value, order)
        }
    }

    /// The number of read-modify-writes that `f` makes in this thread.
    pub(crate) fn made_by(f: impl FnOnce()) -> u32 {
        let before = MADE.get();
        f();
        MADE.get() - before
    }
}
