// SPDX-License-Identifier: GPL-2.0-only
//! An archive in the "newc" form that the kernel unpacks as its first root file system.
//!
//! ```text
//!   "070701" + 13 fields of 8 hex digits   name NUL   pad to 4   data   pad to 4
//!   ...
//!   the same with the name TRAILER!!!
//! ```
//!
//! The archive is not compressed: the emulator hands it over in memory, and the guest would have to
//! unpack it at emulated speed. Format: Documentation/driver-api/early-userspace/buffer-format.rst
//! of the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

const DIR: u32 = 0o040_000;
const CHAR: u32 = 0o020_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive being written.
pub(crate) struct Archive {
    bytes: Vec<u8>,
    /// Entries so far, which serve as inode numbers.
    count: u32,
    dirs: BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
            dirs: BTreeSet::new(),
        }
    }

    /// Adds a folder and its parents. A folder that exists is not added again.
    pub(crate) fn dir(&mut self, path: &str) -> Result<()> {
        let mut so_far = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            if self.dirs.insert(so_far.clone()) {
                self.entry(&so_far, DIR | 0o755, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file with these access rights.
    pub(crate) fn file(&mut self, path: &str, rights: u32, data: &[u8]) -> Result<()> {
        self.parent(path)?;
        self.entry(path, FILE | (rights & 0o7777), (0, 0), data)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) -> Result<()> {
        self.parent(path)?;
        self.entry(path, LINK | 0o777, (0, 0), to.as_bytes())
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.parent(path)?;
        self.entry(path, CHAR | 0o600, (major, minor), &[])
    }

    /// Adds a file of this machine, or a folder with all its content.
    pub(crate) fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let about = || format!("cannot add {}", from.display());
        let meta = fs::symlink_metadata(from).with_context(about)?;
        if meta.is_dir() {
            self.dir(to)?;
            for entry in fs::read_dir(from).with_context(about)? {
                let entry = entry?;
                let name = entry.file_name();
                self.copy(&entry.path(), &format!("{to}/{}", name.to_string_lossy()))?;
            }
            Ok(())
        } else if meta.is_symlink() {
            let target = fs::read_link(from).with_context(about)?;
            self.link(to, &target.to_string_lossy())
        } else if meta.is_file() {
            let data = fs::read(from).with_context(about)?;
            self.file(to, meta.permissions().mode(), &data)
        } else {
            bail!("{} is neither file, folder nor link", from.display())
        }
    }

    /// The finished archive.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn parent(&mut self, path: &str) -> Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.dir(parent),
            None => Ok(()),
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<()> {
        let name = path.trim_start_matches('/');
        let size = u32::try_from(data.len()).with_context(|| format!("{path} is too large"))?;
        let name_size = u32::try_from(name.len())?.saturating_add(1);
        self.count = self.count.saturating_add(1);
        let (major, minor) = device;
        // ino, mode, uid, gid, nlink, mtime, size, device 2, rdevice 2, name size, check
        let fields = [
            self.count, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_folders_come_before_what_is_in_them() {
        let mut archive = Archive::new();
        archive.file("a/b/c", 0o755, b"12345").unwrap();
        archive.link("a/d", "b/c").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|at| at % 4 == 0));
        let name = |at: usize| text[at + 110..].split('\0').next().unwrap();
        assert_eq!(
            names.iter().map(|at| name(*at)).collect::<Vec<_>>(),
            ["a", "a/b", "a/b/c", "a/d", "TRAILER!!!"]
        );
    }

    #[test]
    fn a_file_carries_its_rights_size_and_data() {
        let mut archive = Archive::new();
        archive.file("x", 0o640, b"hello").unwrap();
        let text = String::from_utf8(archive.finish().unwrap()).unwrap();
        assert_eq!(&text[14..22], "000081a0");
        assert_eq!(&text[54..62], "00000005");
        assert_eq!(&text[112..117], "hello");
    }
}
