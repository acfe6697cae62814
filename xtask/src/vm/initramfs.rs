// SPDX-License-Identifier: GPL-2.0-only
//! The guest's root file system.
//!
//! ```text
//!   /init /bin/busybox          guest/init, the shell and its tools
//!   /etc/oobkit /etc/command    what to load, what to run
//!   /modules/*.ko               the kit
//!   /lib/modules/<release>/     a few stock modules, unpacked, with what they depend on
//!   /bin/closed-loop ...        user programs
//!   /<name>                     what was added on the command line
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Archive;
use crate::kernels::Kernel;

/// The parts of a guest.
pub(crate) struct Contents<'a> {
    pub(crate) init: &'a Path,
    pub(crate) busybox: &'a Path,
    pub(crate) kernel: &'a Kernel,
    pub(crate) stock: &'a [&'a str],
    /// The kit's modules, in load order.
    pub(crate) kit: &'a [PathBuf],
    pub(crate) programs: &'a [PathBuf],
    pub(crate) added: &'a [PathBuf],
    pub(crate) data: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) term: &'a str,
    pub(crate) command: &'a [String],
}

/// Writes the root file system as an archive.
pub(crate) fn build(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.device("dev/console", 5, 1)?;
    archive.dir("root")?;
    archive.copy(contents.busybox, "bin/busybox")?;
    archive.copy(contents.init, "init")?;
    let stock = add_stock(&mut archive, contents.kernel, contents.stock)?;
    let mut kit = Vec::new();
    for module in contents.kit {
        let stem = module
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        archive.copy(module, &format!("modules/{stem}.ko"))?;
        kit.push(stem);
    }
    for program in contents.programs {
        archive.copy(program, &format!("bin/{}", name(program)?))?;
    }
    for path in contents.added {
        archive.copy(path, &name(path)?)?;
    }
    let Contents {
        data, nonce, term, ..
    } = contents;
    let settings = format!(
        "DATA={data}\nNONCE={nonce}\nTERM={term}\nSTOCK='{}'\nKIT='{}'\n",
        stock.join(" "),
        kit.join(" "),
    );
    archive.file("etc/oobkit", 0o644, settings.as_bytes())?;
    let words: Vec<String> = contents.command.iter().map(|word| quoted(word)).collect();
    archive.file(
        "etc/command",
        0o644,
        format!("exec {}\n", words.join(" ")).as_bytes(),
    )?;
    archive.finish()
}

fn name(path: &Path) -> Result<String> {
    // The path `..` has no file name.
    let real = path
        .canonicalize()
        .with_context(|| format!("cannot add {}", path.display()))?;
    let name = path.file_name().or(real.file_name());
    let name = name.with_context(|| format!("{} has no name", path.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Adds stock modules and the modules they depend on. Returns the names of the modules to load.
fn add_stock(archive: &mut Archive, kernel: &Kernel, wanted: &[&str]) -> Result<Vec<String>> {
    let modules = kernel.dir()?.join("modules");
    let read = |name: &str| fs::read_to_string(modules.join(name)).unwrap_or_default();
    let builtin = read("modules.builtin");
    let index = Index::new(&read("modules.dep"));
    let release = kernel.release()?;
    let mut closure = BTreeMap::new();
    let mut load = Vec::new();
    for module in wanted {
        if builtin.lines().any(|path| plain(path) == plain(module)) {
            continue;
        }
        let (path, needs) = index
            .find(module)
            .with_context(|| format!("kernel {} has no module {module}", kernel.name))?;
        for need in needs {
            closure.insert(need.as_str(), index.needs(need));
        }
        closure.insert(path, needs.clone());
        load.push((*module).to_owned());
    }
    let mut lines = String::new();
    for (path, needs) in &closure {
        let unpacked = |path: &str| path.trim_end_matches(".xz").to_owned();
        let data = read_module(&modules.join(path))?;
        archive.file(
            &format!("lib/modules/{release}/{}", unpacked(path)),
            0o644,
            &data,
        )?;
        let needs: Vec<String> = needs.iter().map(|need| unpacked(need)).collect();
        lines.push_str(&format!("{}: {}\n", unpacked(path), needs.join(" ")));
    }
    archive.file(
        &format!("lib/modules/{release}/modules.dep"),
        0o644,
        lines.as_bytes(),
    )?;
    Ok(load)
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        let out = Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(path)
            .output()?;
        if !out.status.success() {
            bail!("{} cannot be unpacked", path.display());
        }
        return Ok(out.stdout);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A module's name as the kernel compares it: without folder and suffix, with `_` for `-`.
fn plain(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// modules.dep: for each module's file, the files of all modules that it depends on, nearest first.
struct Index(BTreeMap<String, (String, Vec<String>)>);

impl Index {
    fn new(text: &str) -> Self {
        let entry = |line: &str| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            Some((plain(path), (path.to_owned(), needs)))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    fn find(&self, module: &str) -> Option<(&str, &Vec<String>)> {
        self.0
            .get(&plain(module))
            .map(|(path, needs)| (path.as_str(), needs))
    }

    fn needs(&self, path: &str) -> Vec<String> {
        self.find(path)
            .map(|(_, needs)| needs.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn words_survive_the_shell() {
        let words = ["it's", "a b", "$HOME", "", "\"x\"\\"];
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let script = format!("printf '%s|' {}", line.join(" "));
        let out = run::output(Command::new("sh").arg("-c").arg(script)).unwrap();
        assert_eq!(out, words.map(|word| format!("{word}|")).concat());
    }

    #[test]
    fn dependencies_are_found_whatever_the_spelling() {
        let index = Index::new("kernel/a/spi-nor.ko.xz: kernel/b/mtd.ko.xz\nkernel/b/mtd.ko.xz:\n");
        let (path, needs) = index.find("spi_nor").unwrap();
        assert_eq!(path, "kernel/a/spi-nor.ko.xz");
        assert_eq!(needs, &["kernel/b/mtd.ko.xz"]);
        assert!(index.needs("kernel/b/mtd.ko.xz").is_empty());
    }
}
