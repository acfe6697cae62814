// SPDX-License-Identifier: GPL-2.0-only
//! An emulator process that cannot outlive this program.
//!
//! A hung emulator may ignore SIGTERM, so it only gets SIGKILL: from the guard when it is dropped,
//! and from the kernel when this program dies.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context, Result};

use crate::run;

/// A running emulator, whose stdout is the guest's data line.
pub(crate) struct Qemu {
    child: Child,
    /// The output of the data line. Disconnected when the line is closed.
    pub(crate) data: Receiver<Vec<u8>>,
}

impl Qemu {
    /// Starts the emulator.
    pub(crate) fn start(mut cmd: Command, errors: Stdio) -> Result<Self> {
        // SAFETY: getpid has no arguments and cannot fail.
        let parent = unsafe { libc::getpid() };
        let set_up = move || die_with(parent);
        cmd.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        // SAFETY: `set_up` makes only async-signal-safe calls and allocates nothing.
        unsafe { cmd.pre_exec(set_up) };
        let mut child = cmd
            .spawn()
            .with_context(|| format!("cannot run {}", run::shown(&cmd)))?;
        let (send, data) = channel();
        if let Some(mut out) = child.stdout.take() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                // Ends when the emulator ends, or when the receiver is dropped.
                while let Ok(count @ 1..) = out.read(&mut buffer) {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    if send.send(bytes).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, data })
    }

    /// The emulator's exit status, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails only if the emulator has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the kernel to kill this process when the thread that forked it ends.
fn die_with(parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: getppid has no arguments and cannot fail.
    if unsafe { libc::getppid() } != parent {
        // The parent died before the call above.
        return Err(io::Error::from(io::ErrorKind::Interrupted));
    }
    Ok(())
}
