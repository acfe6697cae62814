// SPDX-License-Identifier: GPL-2.0-only
//! Tests that this machine cannot run.

use std::env;

/// Prints why this machine cannot run a test. `cargo xtask test` has set its machine up and treats
/// this as a failure.
pub(crate) fn cannot(why: &str) {
    assert!(env::var_os("OOBKIT_ALL_TESTS").is_none(), "{why}");
    eprintln!("not tested: {why}");
}
