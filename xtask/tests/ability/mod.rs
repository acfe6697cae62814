// SPDX-License-Identifier: GPL-2.0-only
//! What a machine may lack.

use std::env;

/// Says why this machine is none for a test. `cargo xtask test`, which has set its machine up, takes that for a failure.
pub(crate) fn cannot(why: &str) {
    assert!(env::var_os("OOBKIT_ALL_TESTS").is_none(), "{why}");
    eprintln!("not tested: {why}");
}
