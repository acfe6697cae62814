// SPDX-License-Identifier: GPL-2.0-only
//! Reads `modules.list`.

use std::fs;

use anyhow::{Context, Result};

use crate::paths;

/// The kit's modules, in load order.
const TEXT: &str = include_str!("../../../modules.list");

/// The kind of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Driver,
    /// The shim, which is not built for a kernel with EVL.
    Shim,
    /// Simulated hardware, for machines without the devices.
    Board,
}

/// A module of the kit.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: &'static str,
    /// The folder in the repository, which is a Cargo package.
    folder: &'static str,
    pub(crate) kind: Kind,
}

/// The kit's modules, in load order.
pub(crate) fn list() -> impl Iterator<Item = Module> {
    TEXT.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, folder) = (words.next()?, words.next()?);
        let kind = match words.next() {
            Some("shim") => Kind::Shim,
            Some("board") => Kind::Board,
            _ => Kind::Driver,
        };
        Some(Module { name, folder, kind })
    })
}

impl Module {
    /// The name of its Cargo package.
    pub(super) fn package(&self) -> Result<String> {
        let manifest = paths::repo().join(self.folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let name = text.lines().find_map(|line| line.strip_prefix("name = "));
        let name = name.with_context(|| format!("no name in {}", manifest.display()))?;
        Ok(name.trim_matches('"').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_package_with_an_entry_in_c() {
        assert!(list().count() >= 5);
        for module in list() {
            assert!(!module.package().unwrap().is_empty(), "{module:?}");
            let entry = paths::repo().join(module.folder).join("module.c");
            assert!(entry.exists(), "no {}", entry.display());
        }
        assert!(list().any(|module| module.kind == Kind::Shim));
    }
}
