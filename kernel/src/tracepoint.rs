// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the kernel's tracepoints.

use crate::error::{Result, code, to_result};
use crate::inband::Inband;
use bindings as b;
use core::ffi::{CStr, c_void};
use core::ptr;

/// A probe on a tracepoint. Tracepoints are found by name, because the kernel exports few of them.
///
/// # Invariants
///
/// The probe is registered until `drop`.
#[derive(Debug)]
pub struct Probe {
    tracepoint: *mut b::tracepoint,
    function: *mut c_void,
}

// SAFETY: the probe's only use is to unregister it, which any in-band thread may do.
unsafe impl Send for Probe {}
// SAFETY: a shared probe has no methods.
unsafe impl Sync for Probe {}

impl Probe {
    /// Registers `function` as a probe of the tracepoint `name`. Sleeps.
    ///
    /// # Safety
    ///
    /// `function` is an `extern "C"` function of this module that takes a `*mut c_void` and then
    /// the parameters of the tracepoint's prototype. It runs in the tracepoint's context.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the kernel has no such tracepoint. Otherwise the errors of
    /// `tracepoint_probe_register`.
    pub unsafe fn new(
        _inband: &Inband<'_>,
        name: &'static CStr,
        function: *mut c_void,
    ) -> Result<Self> {
        let mut search = Search {
            name,
            found: ptr::null_mut(),
        };
        // SAFETY: `visit` takes a pointer to a `Search`, which lives through the call, and is not
        // called after it returns.
        unsafe { b::for_each_kernel_tracepoint(Some(visit), (&raw mut search).cast()) };
        if search.found.is_null() {
            return Err(code::ENOENT);
        }
        // SAFETY: the tracepoint belongs to the kernel itself, so it lives for ever; the function
        // has its prototype by contract.
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
    // SAFETY: `Probe::new` passes a pointer to its `Search`, which no other code uses meanwhile.
    let search = unsafe { &mut *argument.cast::<Search>() };
    // SAFETY: the kernel calls this with its own tracepoints, which live for ever.
    let name = unsafe { (*tracepoint).name };
    // SAFETY: a tracepoint's name is a static C string.
    if unsafe { CStr::from_ptr(name) } == search.name {
        search.found = tracepoint;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: `new` registered this probe with these arguments.
        unsafe { b::tracepoint_probe_unregister(self.tracepoint, self.function, ptr::null_mut()) };
        // SAFETY: probes are dropped in-band, the kit's rule for values whose drop sleeps. After
        // the call no probe function runs.
        unsafe { b::tracepoint_synchronize_unregister() };
    }
}
