// SPDX-License-Identifier: GPL-2.0-only

//! The hard lock: what each core implements for the services that share a value with interrupt
//! handlers.

/// A lock that any context may take, hard interrupts included.
///
/// Holders keep it only for a short, bounded time and must not sleep. Nothing checks that: a
/// closure under the lock can capture a token that would let it sleep.
///
/// # Safety
///
/// Every call of [`Self::with`] gives access to one value. It is the same value for as long as the
/// lock lives, even if the lock is moved. The access is exclusive: no other call, no other lock and
/// no other code reaches the value meanwhile. Once the lock has been handed to a service that
/// builds on it, no other code reaches the value between two calls, either.
pub unsafe trait HardLock<T> {
    /// Calls `f` with the lock held.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}
