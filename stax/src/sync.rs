// SPDX-License-Identifier: GPL-2.0-only

//! Atomics: `core`'s, loom's under its model checker, or in the crate's own tests one that counts.

#[cfg(all(test, not(loom)))]
pub(crate) use counted::AtomicU32;

#[cfg(not(any(test, loom)))]
pub(crate) use core::sync::atomic::AtomicU32;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU32;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicUsize, Ordering};

/// How often the gate's word is read, modified and written in one is promised; so that is counted.
#[cfg(all(test, not(loom)))]
mod counted {
    use super::Ordering;
    use crate::{Backend, End, Side, Sleep, Stage, Stax};
    use oob::stage::{Inband, Oob};
    use oob::time::Instant;
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

    /// Where nobody is in the way, nothing of it is needed.
    struct Unneeded;

    impl Backend for Unneeded {
        fn with_queue<R>(&self, _: impl FnOnce(&mut crate::queue::Queue) -> R) -> R {
            panic!("the queue is looked at");
        }

        fn wake_all(&self, _: Side) {
            panic!("somebody is woken");
        }
    }

    impl<S: Stage> Sleep<S> for Unneeded {
        fn sleep(&self, _: &S, _: Instant, _: impl Fn() -> bool) -> End {
            panic!("somebody sleeps");
        }
    }

    fn made(f: impl FnOnce()) -> u32 {
        let before = MADE.get();
        f();
        MADE.get() - before
    }

    #[test]
    fn an_uncontended_pair_makes_two_read_modify_writes() {
        // SAFETY: a thread of the test's own, which waits for nobody.
        let oob = unsafe { Oob::assume() };
        // SAFETY: as above.
        let inband = unsafe { Inband::assume() };
        let stax = Stax::new((), Unneeded);
        for _ in 0..3 {
            // Each finds the gate as the other stage left it, and then as its own did.
            for _ in 0..2 {
                assert_eq!(made(|| drop(stax.lock(&oob).unwrap())), 2);
            }
            for _ in 0..2 {
                assert_eq!(made(|| drop(stax.lock(&inband).unwrap())), 2);
            }
            assert_eq!(made(|| drop(stax.try_lock(&oob).unwrap())), 2);
            // As does an entry beside others of the same stage, nested or not.
            let inside = stax.lock(&inband).unwrap();
            assert_eq!(made(|| drop(stax.lock(&inband).unwrap())), 2);
            assert_eq!(made(|| drop(inside.nest().unwrap())), 2);
        }
    }
}
