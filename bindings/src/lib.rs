// SPDX-License-Identifier: GPL-2.0-only

//! C declarations of the kernel that is built for, as bindgen reads them from its headers, and the C helpers that stand
//! for its inline functions and macros.
//!
//! Differences between kernel versions end here: `helpers.c` gives one name and one signature to what changed.
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

mod layout {
    use super::*;
    include!(concat!(env!("OOBKIT_BINDINGS"), "/layout.rs"));
}
