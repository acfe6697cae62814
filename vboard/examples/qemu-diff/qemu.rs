// SPDX-License-Identifier: GPL-2.0-only

//! A QEMU without a guest, driven by its qtest protocol. Dropping it sends SIGKILL, because a QEMU
//! that hangs in DMA ignores all other signals.

use crate::machine::{FLASH_LEN, MEMORY_BUS, MEMORY_LEN, Machine, flash_byte};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use vboard::bcm2835::board::Block;

/// SPI0, the DMA controller and memory, as the processor sees them.
const SPI0: u32 = 0x3f20_4000;
const DMA: u32 = 0x3f00_7000;
const MEMORY: u32 = MEMORY_BUS - 0xc000_0000;
/// A QEMU that does not answer for so long is considered hung.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Qemu {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    flash: PathBuf,
}

impl Qemu {
    pub(crate) fn start() -> io::Result<Self> {
        let flash = std::env::temp_dir().join(format!("qemu-diff-{}.img", std::process::id()));
        let image: Vec<u8> = (0..FLASH_LEN).map(flash_byte).collect();
        std::fs::write(&flash, image)?;
        let drive = format!("file={},if=none,id=flash,format=raw", flash.display());
        // setpriv makes the kernel kill QEMU if this process dies, and then becomes QEMU.
        let spawned = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-aarch64"])
            .args([
                "-M",
                "raspi3b",
                "-S",
                "-display",
                "none",
                "-nodefaults",
                "-qtest",
                "stdio",
            ])
            .args(["-drive", &drive, "-device", "w25q32,bus=spi,drive=flash"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(problem) => {
                let _ = std::fs::remove_file(&flash);
                return Err(problem);
            }
        };
        let (Some(requests), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let mut qemu = Self {
            child,
            requests,
            answers: listen(output),
            flash,
        };
        // A read command from address 0. Since no chip select ends it, the flash streams without
        // end.
        qemu.send_spi(&[0x03, 0, 0, 0])?;
        Ok(qemu)
    }

    fn send_spi(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ask(&format!("writel {SPI0:#x} 0xb0"))?;
        for byte in bytes {
            self.ask(&format!("writel {:#x} {byte:#x}", SPI0 + 4))?;
        }
        self.ask(&format!("writel {SPI0:#x} 0x30"))?;
        self.ask(&format!("writel {SPI0:#x} 0x1000"))?;
        Ok(())
    }

    /// Sends one request, and returns the rest of the answer after `OK`.
    fn ask(&mut self, request: &str) -> io::Result<String> {
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let answer = self
            .answers
            .recv_timeout(PATIENCE)
            .map_err(|_| io::Error::other(format!("QEMU does not answer to: {request}")))?;
        match answer.strip_prefix("OK") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(io::Error::other(format!(
                "QEMU answers {answer} to: {request}"
            ))),
        }
    }

    fn must(&mut self, request: &str) -> String {
        match self.ask(request) {
            Ok(answer) => answer,
            Err(problem) => {
                // The panic ends the run. QEMU is killed first, because a panic that aborts drops
                // nothing.
                let _ = self.child.kill();
                panic!("{problem}");
            }
        }
    }
}

/// Reads QEMU's lines in a thread, so that the caller can wait for a line with a timeout.
fn listen(output: ChildStdout) -> Receiver<String> {
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // All lines but answers (interrupts, the greeting) are dropped.
            let answer =
                line.starts_with("OK") || line.starts_with("FAIL") || line.starts_with("ERR");
            if answer && sender.send(line).is_err() {
                return;
            }
        }
    });
    answers
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // This sends SIGKILL.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.flash);
    }
}

fn address(block: Block, offset: u32) -> u32 {
    offset
        + match block {
            Block::Spi0 => SPI0,
            Block::Dma => DMA,
        }
}

impl Machine for Qemu {
    fn read(&mut self, block: Block, offset: u32) -> u32 {
        let answer = self.must(&format!("readl {:#x}", address(block, offset)));
        let value = u64::from_str_radix(answer.trim_start_matches("0x"), 16);
        value.unwrap_or_else(|_| panic!("not a number: {answer}")) as u32
    }

    fn write(&mut self, block: Block, offset: u32, value: u32) {
        self.must(&format!("writel {:#x} {value:#x}", address(block, offset)));
    }

    fn load(&mut self, offset: u32, data: &[u8]) {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        self.must(&format!(
            "write {:#x} {:#x} 0x{hex}",
            MEMORY + offset,
            data.len()
        ));
    }

    fn memory(&mut self) -> Vec<u8> {
        let answer = self.must(&format!("read {MEMORY:#x} {MEMORY_LEN:#x}"));
        let hex = answer.trim_start_matches("0x").as_bytes();
        hex.chunks(2)
            .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).unwrap_or(0))
            .collect()
    }
}
