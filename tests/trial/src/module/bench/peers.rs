// SPDX-License-Identifier: GPL-2.0-only

//! Mainline's own ways, in `trial/peers.c`.

use crate::bench as abi;
use crate::bench::Round;
use core::ffi::c_void;
use core::ptr::NonNull;
use kernel::error::{Result, code};
use oob::kernel_core::Monotonic;
use oob::stage::Inband;
use oob::time::{Clock, Ns};

/// The memory of all of them.
///
/// # Invariants
///
/// It came from `oobkit_peers_new` and goes back once, in `drop`.
pub(super) struct Peers(NonNull<c_void>);

// SAFETY: the kernel's own locks, made for many threads; for what a sleep uses, `Bench` lets one
// thread in at a time.
unsafe impl Send for Peers {}
// SAFETY: as above.
unsafe impl Sync for Peers {}

impl Peers {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(_inband: &Inband<'_>) -> Result<Self> {
        NonNull::new(c::oobkit_peers_new())
            .map(Self)
            .ok_or(code::ENOMEM)
    }

    /// What a command took; `None` where it is none of these.
    pub(super) fn round(&self, command: u32, round: &Round) -> Option<u64> {
        let Round {
            times, after_ns, ..
        } = *round;
        let date = Monotonic.now().after(Ns(after_ns.into())).0;
        Some(match command {
            abi::PAIR_NOTHING_C => self.nothing(times),
            abi::PAIR_MUTEX => self.mutex(times),
            abi::PAIR_RWSEM_WRITE => self.rwsem_write(times),
            abi::PAIR_RWSEM_READ => self.rwsem_read(times),
            abi::PAIR_RWSEM_SHARED => self.rwsem_shared(times),
            abi::PAIR_SPINLOCK => self.spinlock(times),
            abi::PAIR_SEMAPHORE_C => self.semaphore(times),
            abi::WAKE_COMPLETION => self.wake_completion(date),
            abi::WAKE_COMPLETION_TIMEOUT => self.wake_completion_timeout(date),
            abi::WAKE_PROCESS => self.wake_process(date),
            abi::WAKE_PROCESS_UNTIL => self.wake_process_until(date),
            abi::WAKE_SEMAPHORE_C => self.wake_semaphore(date),
            abi::EXPIRY_C => self.expiry(date),
            abi::EXPIRY_PERIODIC_C => self.expiry_periodic(date),
            abi::SLEEP_C => self.sleep(date),
            _ => return None,
        })
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // SAFETY: by the invariant; no call is under way.
        unsafe { c::oobkit_peers_free(self.0.as_ptr()) };
    }
}

macro_rules! peers {
    ($(fn $name:ident = $function:ident($($argument:ident: $type:ty)?) $(-> $result:ty)?;)*) => {
        mod c {
            use super::c_void;

            unsafe extern "C" {
                pub(super) safe fn oobkit_peers_new() -> *mut c_void;
                pub(super) fn oobkit_peers_free(peers: *mut c_void);
                $(pub(super) fn $function(peers: *mut c_void $(, $argument: $type)?) $(-> $result)?;)*
            }
        }

        impl Peers {
            $(pub(super) fn $name(&self $(, $argument: $type)?) $(-> $result)? {
                // SAFETY: by the invariant; in-band task context, as all callers are.
                unsafe { c::$function(self.0.as_ptr() $(, $argument)?) }
            })*
        }
    };
}

peers! {
    fn nothing = oobkit_pair_nothing(times: u32) -> u64;
    fn mutex = oobkit_pair_mutex(times: u32) -> u64;
    fn rwsem_write = oobkit_pair_rwsem_write(times: u32) -> u64;
    fn rwsem_read = oobkit_pair_rwsem_read(times: u32) -> u64;
    fn rwsem_shared = oobkit_pair_rwsem_shared(times: u32) -> u64;
    fn spinlock = oobkit_pair_spinlock(times: u32) -> u64;
    fn semaphore = oobkit_pair_semaphore(times: u32) -> u64;
    fn hold_mutex = oobkit_hold_mutex();
    fn pass_mutex = oobkit_pass_mutex();
    fn take_mutex = oobkit_take_mutex() -> u64;
    fn hold_rwsem = oobkit_hold_rwsem();
    fn pass_rwsem = oobkit_pass_rwsem();
    fn take_rwsem = oobkit_take_rwsem() -> u64;
    fn wake_completion = oobkit_wake_completion(date: u64) -> u64;
    fn wake_completion_timeout = oobkit_wake_completion_timeout(date: u64) -> u64;
    fn wake_semaphore = oobkit_wake_semaphore(date: u64) -> u64;
    fn wake_process = oobkit_wake_process(date: u64) -> u64;
    fn wake_process_until = oobkit_wake_process_until(date: u64) -> u64;
    fn expiry = oobkit_expiry(date: u64) -> u64;
    fn expiry_periodic = oobkit_expiry_periodic(date: u64) -> u64;
    fn sleep = oobkit_sleep(date: u64) -> u64;
}
