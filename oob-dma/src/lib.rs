// SPDX-License-Identifier: GPL-2.0-only
//! Being written.
#![cfg_attr(not(test), no_std)]
