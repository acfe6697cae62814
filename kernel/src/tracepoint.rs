// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the kernel's tracepoints.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use bindings as b;
use core::ffi::{CStr, c_void};
use core::ptr;

/// A probe on a tracepoint, found by name because few of them are exported.
///
/// # Invariants
///
/// The probe is registered until `drop`.
#[derive(Debug)]
pub struct Probe {
    tracepoint: *mut b::tracepoint,
    function: *mut c_void,
}

// SAFETY: the tracepoint core synchronises itself.
unsafe impl Send for Probe {}
// SAFETY: as above.
unsafe impl Sync for Probe {}

impl Probe {
    /// Hooks `function` to the tracepoint `name`; sleeps.
    ///
    /// # Safety
    ///
    /// `function` is an `extern "C"` function of this module with a leading `*mut c_void` and then the parameters of
    /// that tracepoint's prototype. It runs in whatever context the tracepoint does.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has no such tracepoint; those of `tracepoint_probe_register`.
    pub unsafe fn new(
        _inband: &Inband<'_>,
        name: &'static CStr,
        function: *mut c_void,
    ) -> Result<Self> {
        let mut search = Search {
            name,
            found: ptr::null_mut(),
        };
        // SAFETY: `visit` and its argument belong together; the call is synchronous.
        unsafe { b::for_each_kernel_tracepoint(Some(visit), (&raw mut search).cast()) };
        if search.found.is_null() {
            return Err(code::ENOENT);
        }
        // SAFETY: a live tracepoint of the kernel proper; the function fits it by contract.
        to_result(unsafe {
            b::tracepoint_probe_register(search.found, function, ptr::null_mut())
        })?;
        Ok(Self {
            tracepoint: search.found,
            function,
        })
    }
}

struct Search {
    name: &'static CStr,
    found: *mut b::tracepoint,
}

unsafe extern "C" fn visit(tracepoint: *mut b::tracepoint, argument: *mut c_void) {
    // SAFETY: `Probe::new` passes its `Search`.
    let search = unsafe { &mut *argument.cast::<Search>() };
    // SAFETY: the kernel hands out live tracepoints.
    let name = unsafe { (*tracepoint).name };
    // SAFETY: a C string.
    if unsafe { CStr::from_ptr(name) } == search.name {
        search.found = tracepoint;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: registered since `new`.
        unsafe { b::tracepoint_probe_unregister(self.tracepoint, self.function, ptr::null_mut()) };
        // SAFETY: task context; afterwards no probe runs any more.
        unsafe { b::tracepoint_synchronize_unregister() };
    }
}
