// SPDX-License-Identifier: GPL-2.0-only

//! C declarations of the target kernel, as bindgen reads them from its headers, and the C helpers that wrap its inline functions
//! and macros.
//!
//! This crate hides the differences between kernel versions: where a function changed, `helpers.c` keeps one name and one
//! signature. For a process the crate is empty.
#![cfg(target_os = "none")]
#![no_std]
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    unused_imports,
    unreachable_pub,
    dead_code,
    improper_ctypes,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks
)]

include!(concat!(env!("OOBKIT_BINDINGS"), "/bindings.rs"));

#[macro_use]
mod layout {
    use super::*;
    include!(concat!(env!("OOBKIT_BINDINGS"), "/layout.rs"));
}

/// `current`: the calling thread's task.
#[inline(always)]
pub fn get_current() -> *mut task_struct {
    let task;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads where this kernel keeps it for the processor; a thread finds itself there wherever it runs.
    unsafe {
        core::arch::asm!(
            concat!("mov {}, qword ptr ", current!()),
            out(reg) task,
            options(pure, nomem, nostack, preserves_flags),
        );
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the register that holds it as long as the kernel runs.
    unsafe {
        core::arch::asm!(
            "mrs {}, sp_el0",
            out(reg) task,
            options(pure, nomem, nostack, preserves_flags),
        );
    };
    task
}

/// `file->private_data`.
///
/// # Safety
///
/// `file` is an open file.
#[inline(always)]
pub unsafe fn file_private(file: *mut file) -> *mut core::ffi::c_void {
    // SAFETY: the field is there.
    let field = unsafe { file.byte_add(layout::FILE_PRIVATE_DATA) };
    // SAFETY: a pointer, which changes only while the file is opened.
    unsafe { field.cast::<*mut core::ffi::c_void>().read() }
}
