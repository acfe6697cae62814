// SPDX-License-Identifier: GPL-2.0-only
//! Runs a command in an emulated machine.
//!
//! ```text
//!   build      modules, programs -> initramfs -> emulator
//!   watch      data line -> the command's output, status, /out
//!              console   -> console.log -> reports, panic
//!   verdict    the command's status, unless the guest itself was not well
//! ```
//!
//! A run has a folder of its own while it lasts, so that two runs at a time do not interfere. At
//! its end, its `console.log` and `out/` replace those of the machine's last run.

mod cpio;
mod initramfs;
mod log;
mod qemu;
mod stream;
mod watch;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::kernels::{self, Kernel};
use crate::kit::list::{Kind, list};
use crate::kit::{modules, programs};
use crate::machines::{Machine, Name, Serial};
use crate::setup::{self, Need};
use crate::{paths, run};
use qemu::Qemu;
pub(crate) use watch::Outcome;
use watch::Verdict;

/// Boot arguments of the kernels that are measured. Without them each system call costs hundreds of
/// instructions more on both sides of a comparison: for the stack's random offset, and for a
/// page-table switch that only processors from before 2019 need (the emulated arm64 processors need
/// none and ignore the argument).
const CALM: [&str; 2] = ["randomize_kstack_offset=off", "pti=off"];

/// The pipe to the emulator's monitor.
const MONITOR: &str = "monitor";
const FLASH_IMAGE: &str = "flash.img";

/// How the emulator runs the guest's processors, and how guest time passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clock {
    /// The processors take turns. Each instruction takes a nanosecond of guest time, and an idle
    /// guest jumps to its next timer. Guest time does not depend on the host, and a run repeats.
    Turns,
    /// The same with one processor, whose instructions a benchmark counts.
    Counted,
    /// The processors run side by side, in the host's time. This finds races that turns hide.
    SideBySide,
}

/// What to boot, and what to run in it.
pub(crate) struct Job {
    pub(crate) machine: &'static Machine,
    pub(crate) kernel: &'static Kernel,
    pub(crate) clock: Clock,
    /// Whether to take modules and programs as they were last built.
    pub(crate) as_built: bool,
    pub(crate) cpus: Option<u32>,
    pub(crate) add: Vec<PathBuf>,
    pub(crate) qemu: Vec<String>,
    pub(crate) append: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) command: Vec<String>,
    /// The folder for `console.log` and `out/`.
    pub(crate) results: PathBuf,
}

impl Job {
    /// A job with the machine's defaults.
    pub(crate) fn new(
        machine: &'static Machine,
        kernel: Option<&str>,
        command: Vec<String>,
    ) -> Result<Self> {
        let folder = match kernel {
            Some(kernel) if kernel != machine.default_kernel => {
                format!("{}-{kernel}", machine.name)
            }
            _ => machine.name.to_owned(),
        };
        let kernel = kernels::named(kernel.unwrap_or(machine.default_kernel))?;
        if kernel.arch != machine.arch {
            bail!("kernel {} does not run on {}", kernel.name, machine.name);
        }
        Ok(Self {
            machine,
            kernel,
            clock: Clock::Turns,
            as_built: false,
            cpus: None,
            add: Vec::new(),
            qemu: Vec::new(),
            append: Vec::new(),
            timeout: Duration::from_secs(120),
            command,
            results: paths::target().join("vm").join(folder),
        })
    }

    /// A guest whose instructions are counted. Its files go to the folder `results` of `target/vm`.
    pub(crate) fn counted(
        machine: Name,
        kernel: Option<&str>,
        command: Vec<String>,
        results: &str,
    ) -> Result<Self> {
        let mut job = Self::new(machine.machine(), kernel, command)?;
        job.clock = Clock::Counted;
        job.append = CALM.map(str::to_owned).to_vec();
        job.results = paths::target().join("vm").join(results);
        Ok(job)
    }

    /// Builds, boots and runs. The command's output goes to `output` as it comes.
    pub(crate) fn run(&self, output: &mut dyn Write) -> Result<Outcome> {
        let arch = self.machine.arch;
        setup::ensure(&[
            Need::Qemu,
            Need::Build,
            Need::Kernel(self.kernel),
            Need::Busybox(arch),
        ])?;
        let wanted = list()
            .filter(|module| self.machine.needs_board || module.kind != Kind::Board)
            .map(|module| module.name);
        let (built, programs) = match self.as_built {
            true => (modules::as_built(self.kernel)?, programs::as_built(arch)),
            false => (
                modules::modules(self.kernel)?.modules,
                programs::programs(arch)?,
            ),
        };
        let kit = picked(&built, wanted)?;
        let folder = Folder::new(&self.results)?;
        let mut added = self.add.clone();
        if self.machine.flash.is_some() {
            let image = folder.path.join(FLASH_IMAGE);
            fs::write(&image, flash_content())?;
            added.push(image);
        }
        let nonce = self.nonce();
        let initramfs = initramfs::build(&initramfs::Contents {
            init: &paths::repo().join("xtask/guest/init"),
            busybox: &setup::busybox(arch)?,
            kernel: self.kernel,
            stock: self.machine.stock_modules,
            kit: &kit,
            programs: &programs,
            added: &added,
            data: self.machine.data,
            nonce: &nonce,
            term: if stdout().is_terminal() {
                "vt100"
            } else {
                "dumb"
            },
            command: &self.command,
        })?;
        fs::write(folder.path.join("initramfs"), initramfs)?;
        let console = folder.path.join("console.log");
        File::create(&console)?;
        let monitor = folder.path.join(MONITOR);
        // A killed run may have left this file, and its number may come again.
        let _ = fs::remove_file(&monitor);
        run::output(Command::new("mkfifo").arg(&monitor))?;
        // Opened for reading and writing, so that opening does not wait for a peer.
        let mut monitor = File::options().read(true).write(true).open(monitor)?;
        let errors = folder.path.join("qemu.log");
        let cmd = self.emulator(&folder.path)?;
        let guest = Qemu::start(cmd, Stdio::from(File::create(&errors)?))?;
        let mut outcome =
            watch::watch(guest, &console, &mut monitor, &nonce, self.timeout, output)?;
        if matches!(outcome.verdict, Verdict::Gone) {
            outcome.log = format!("{}{}", outcome.log, fs::read_to_string(&errors)?);
        }
        if let Some(archive) = &outcome.archive {
            unpack(archive, &folder.path.join("out"))?;
        }
        folder.keep(&self.results)?;
        Ok(outcome)
    }

    /// The mark at the end of the command's output. A command does not print it by chance, and a
    /// repeated run has the same mark.
    fn nonce(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (self.machine.name, self.kernel.name, &self.command).hash(&mut hasher);
        format!("oobkit-{:016x}", hasher.finish())
    }

    fn emulator(&self, dir: &Path) -> Result<Command> {
        let machine = self.machine;
        let counted = self.clock == Clock::Counted;
        let cpus = match self.cpus {
            Some(cpus) if machine.fixed_cpus && cpus != machine.cpus => {
                bail!("{} always has {} processors", machine.name, machine.cpus)
            }
            Some(cpus) if counted && cpus != 1 && !machine.fixed_cpus => {
                bail!("--icount counts one processor's instructions")
            }
            Some(cpus) => cpus,
            None if counted && !machine.fixed_cpus => 1,
            None => machine.cpus,
        };
        let mut cmd = Command::new(machine.qemu);
        cmd.args(machine.args);
        cmd.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ]);
        cmd.args(["-smp", &cpus.to_string()]);
        cmd.arg("-chardev").arg(format!(
            "file,id=console,path={}",
            dir.join("console.log").display()
        ));
        cmd.args(["-chardev", "stdio,id=data,signal=off"]);
        cmd.arg("-chardev").arg(format!(
            "file,id=monitor,path=/dev/null,input-path={}",
            dir.join(MONITOR).display()
        ));
        cmd.args(["-mon", "chardev=monitor"]);
        for serial in machine.serials {
            cmd.arg("-serial").arg(match serial {
                Serial::Console => "chardev:console",
                Serial::Data => "chardev:data",
                Serial::Unused => "null",
            });
        }
        if let Some(flash) = machine.flash {
            let image = dir.join(FLASH_IMAGE);
            cmd.arg("-drive");
            cmd.arg(format!(
                "file={},if=none,id=flash,format=raw",
                image.display()
            ));
            cmd.arg("-device")
                .arg(format!("{flash},bus=spi,drive=flash"));
        }
        cmd.arg("-kernel").arg(self.kernel.dir()?.join("vmlinuz"));
        cmd.arg("-initrd").arg(dir.join("initramfs"));
        if let Some(dtb) = machine.dtb {
            cmd.arg("-dtb").arg(self.board_description(dtb, dir)?);
        }
        let mut append = format!(
            "console={} rdinit=/init loglevel=7 panic=-1 oops=panic random.trust_bootloader=on maxcpus={cpus} {}",
            machine.console, machine.append
        );
        for word in &self.append {
            append.push(' ');
            append.push_str(word);
        }
        cmd.arg("-append").arg(append.trim_end());
        if self.clock != Clock::SideBySide {
            cmd.args(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]);
            cmd.args(["-seed", "1"]);
        }
        cmd.args(&self.qemu);
        Ok(cmd)
    }

    /// The kernel's device tree of the board, with the kit's overlays.
    fn board_description(&self, dtb: &str, dir: &Path) -> Result<PathBuf> {
        let board = dir.join("board.dtb");
        fs::copy(self.kernel.dir()?.join("dtb").join(dtb), &board)
            .with_context(|| format!("kernel {} has no {dtb}", self.kernel.name))?;
        // A seed, which the emulator replaces by a random one, as firmware does. A kernel without
        // randomness makes some in each system call (for the stack's offset), at 10,000
        // instructions.
        let mut seed = Command::new("fdtput");
        seed.args(["-t", "x"]).arg(&board);
        seed.args(["/chosen", "rng-seed"]).args(["1"; 8]);
        run::output(&mut seed)?;
        for node in self.machine.dtb_without {
            run::output(Command::new("fdtput").arg("-r").arg(&board).arg(node))?;
        }
        for source in self.machine.overlays {
            let source = paths::repo().join(source);
            let overlay = dir.join("overlay.dtbo");
            let mut dtc = Command::new("dtc");
            dtc.args(["-q", "-@", "-I", "dts", "-O", "dtb", "-o"])
                .arg(&overlay)
                .arg(&source);
            run::output(&mut dtc)?;
            let joined = dir.join("joined.dtb");
            let mut apply = Command::new("fdtoverlay");
            apply
                .arg("-i")
                .arg(&board)
                .arg("-o")
                .arg(&joined)
                .arg(&overlay);
            run::output(&mut apply).with_context(|| format!("overlay {}", source.display()))?;
            fs::rename(&joined, &board)?;
        }
        Ok(board)
    }
}

/// The modules of a machine, in load order. A missing module is an error, because the guest would
/// test less than it claims.
fn picked(
    built: &[PathBuf],
    wanted: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<PathBuf>> {
    let find = |name: &str| {
        let of_that_name = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == name);
        let found = built.iter().find(of_that_name).cloned();
        found.with_context(|| format!("no module {name} was built"))
    };
    wanted.into_iter().map(find).collect()
}

/// A run's own folder. Dropping it removes the folder.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(results: &Path) -> Result<Self> {
        let name = results.file_name().unwrap_or_default().to_string_lossy();
        let path = results.with_file_name(format!(".{name}-{}", process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    fn keep(&self, results: &Path) -> Result<()> {
        fs::create_dir_all(results)?;
        let old = results.join("out");
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        for name in ["console.log", "qemu.log", "out"] {
            let from = self.path.join(name);
            if from.exists() {
                fs::rename(from, results.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // `clean` removes what this cannot remove.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Unpacks the files that the guest left in /out.
fn unpack(archive: &[u8], to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--no-same-owner", "--directory"])
        .arg(to);
    let mut child = tar
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(archive)?;
    }
    if !child.wait()?.success() {
        bail!("cannot unpack the guest's /out");
    }
    Ok(())
}

/// A megabyte of pseudo-random words (32-bit xorshift), the same in every run.
fn flash_content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    });
    words.take(1 << 18).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_without_one_of_its_modules_is_not_booted() {
        let built = ["o/vboard.ko", "o/oob_spi.ko"].map(PathBuf::from);
        let both = picked(&built, ["oob_spi", "vboard"]).unwrap();
        assert_eq!(both, [&built[1], &built[0]].map(PathBuf::from));
        let text = picked(&built, ["oob_spi", "oob_shim"]).unwrap_err();
        assert_eq!(text.to_string(), "no module oob_shim was built");
    }
}
