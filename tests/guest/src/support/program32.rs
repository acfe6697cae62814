// SPDX-License-Identifier: GPL-2.0-only

//! 32-bit programs that a test assembles itself, so that it needs no compiler for them.
//!
//! ```text
//!   BASE  ELF header | program header | code | table of calls | data
//!                                       '-- makes each call of the table and stores its result there
//!   last two calls: write(1, BASE, all of it); exit(0)
//! ```
//!
//! The processor runs the program in 32-bit mode, and the kernel treats it as a 32-bit program.

use super::device::is_evl;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Numbers of system calls, which are the same on x86 and arm (asm/unistd_32.h, asm/unistd.h).
pub(crate) mod nr {
    pub(crate) const EXIT: u32 = 1;
    pub(crate) const READ: u32 = 3;
    pub(crate) const WRITE: u32 = 4;
    pub(crate) const OPEN: u32 = 5;
    pub(crate) const IOCTL: u32 = 54;
    pub(crate) const MLOCKALL: u32 = 152;
    pub(crate) const SCHED_SETSCHEDULER: u32 = 156;
    pub(crate) const POLL: u32 = 168;

    /// The number of an oob call, which on EVL is a system call of its own.
    pub(crate) fn oob_call(inband: u32) -> u32 {
        use oobkit_abi::evl::{OOB_IOCTL, OOB_READ, OOB_WRITE};
        let oob = match inband {
            _ if !super::is_evl() => return inband,
            READ => OOB_READ,
            WRITE => OOB_WRITE,
            _ => OOB_IOCTL,
        };
        oob as u32
    }
}

const BASE: u32 = 0x0040_0000;
const TABLE: u32 = 0x100;
const CALL: u32 = 32;
const CALLS_MAX: u32 = 120;
const DATA: u32 = 0x1000;

/// An argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    /// This value.
    Value(u32),
    /// The result of an earlier call. Only the first argument can be this.
    ResultOf(Call),
    /// The word at this address when the call is made. Only the first argument can be this.
    At(At),
}

/// A call of the program, by its place in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call(u32);

impl Call {
    const fn result(self) -> u32 {
        TABLE + self.0 * CALL + 20
    }
}

/// Data of the program, by its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(pub(crate) u32);

/// A program under construction.
pub(crate) struct Program {
    image: Vec<u8>,
    calls: u32,
}

/// The memory of a program that has ended.
pub(crate) struct Left(Vec<u8>);

/// An entry of the table holds words: the call's number, room for four arguments, the result, and
/// whether the first argument is the address of the true one.
#[cfg(target_arch = "x86_64")]
fn code() -> Vec<u8> {
    let [a, b, c, d] = (BASE + TABLE).to_le_bytes();
    let parts: [&[u8]; 13] = [
        &[0xbf, a, b, c, d],       // mov edi, table
        &[0x8b, 0x07],             // next: mov eax, [edi]
        &[0x8b, 0x5f, 0x04],       // mov ebx, [edi + 4]
        &[0x83, 0x7f, 0x18, 0x00], // cmp dword [edi + 24], 0
        &[0x74, 0x02],             // je direct
        &[0x8b, 0x1b],             // mov ebx, [ebx]
        &[0x8b, 0x4f, 0x08],       // direct: mov ecx, [edi + 8]
        &[0x8b, 0x57, 0x0c],       // mov edx, [edi + 12]
        &[0x8b, 0x77, 0x10],       // mov esi, [edi + 16]
        &[0xcd, 0x80],             // int 0x80
        &[0x89, 0x47, 0x14],       // mov [edi + 20], eax
        &[0x83, 0xc7, CALL as u8], // add edi, 32
        &[0xeb, 0xe0],             // jmp next
    ];
    parts.concat()
}

#[cfg(target_arch = "aarch64")]
fn code() -> Vec<u8> {
    let table = BASE + TABLE;
    let half = |half: u32| (half & 0xf000) << 4 | half & 0xfff;
    let words = [
        0xe300_4000 | half(table & 0xffff), // movw r4, table
        0xe340_4000 | half(table >> 16),    // movt r4, table
        0xe594_7000,                        // next: ldr r7, [r4]
        0xe594_0004,                        // ldr r0, [r4, 4]
        0xe594_3018,                        // ldr r3, [r4, 24]
        0xe353_0000,                        // cmp r3, 0
        0x1590_0000,                        // ldrne r0, [r0]
        0xe594_1008,                        // ldr r1, [r4, 8]
        0xe594_200c,                        // ldr r2, [r4, 12]
        0xe594_3010,                        // ldr r3, [r4, 16]
        0xef00_0000,                        // svc 0
        0xe584_0014,                        // str r0, [r4, 20]
        0xe284_4000 | CALL,                 // add r4, r4, 32
        0xeaff_fff3,                        // b next
    ];
    words.map(u32::to_le_bytes).concat()
}

/// The machine and the flags in the ELF header (elf(5)).
const MACHINE: (u16, u32) = match cfg!(target_arch = "x86_64") {
    true => (3, 0),
    false => (40, 0x0500_0000),
};

fn header(size: u32) -> Vec<u8> {
    const EHDR: u16 = 52;
    const PHDR: u16 = 32;
    let (machine, flags) = MACHINE;
    let mut out = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut halves = |halves: &[u16]| out.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    let words = |word: u32| [word as u16, (word >> 16) as u16];
    // File type, machine; version, entry, program headers, section headers, flags; sizes and
    // counts.
    halves(&[2, machine]);
    for word in [1, BASE + u32::from(EHDR + PHDR), EHDR.into(), 0, flags] {
        halves(&words(word));
    }
    halves(&[EHDR, PHDR, 1, 0, 0, 0]);
    // One segment to load: offset, addresses, sizes; readable, writable, executable; alignment.
    for word in [1, 0, BASE, BASE, size, size, 7, 0x1000] {
        halves(&words(word));
    }
    out
}

impl Program {
    pub(crate) fn new() -> Self {
        Self {
            image: vec![0; DATA as usize],
            calls: 0,
        }
    }

    /// Adds data.
    pub(crate) fn put<T: IntoBytes + Immutable + ?Sized>(&mut self, data: &T) -> At {
        self.image.resize(self.image.len().next_multiple_of(8), 0);
        let at = At(BASE + self.image.len() as u32);
        self.image.extend(data.as_bytes());
        at
    }

    /// Adds a text and a terminating zero.
    pub(crate) fn put_text(&mut self, text: &str) -> At {
        self.put(format!("{text}\0").as_bytes())
    }

    /// Adds a call.
    pub(crate) fn call(&mut self, nr: u32, first: Arg, rest: [u32; 2]) -> Call {
        assert!(self.calls < CALLS_MAX, "too many calls");
        let (first, is_indirect) = match first {
            Arg::Value(value) => (value, 0),
            Arg::ResultOf(call) => (BASE + call.result(), 1),
            Arg::At(at) => (at.0, 1),
        };
        let [second, third] = rest;
        let at = (TABLE + self.calls * CALL) as usize;
        let words = [nr, first, second, third, 0, 0, is_indirect];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.image[at..at + bytes.len()].copy_from_slice(&bytes);
        self.calls += 1;
        Call(self.calls - 1)
    }

    /// Opens `path` to read and write.
    pub(crate) fn open(&mut self, path: &str) -> Arg {
        let path = self.put_text(path);
        Arg::ResultOf(self.call(nr::OPEN, Arg::Value(path.0), [2, 0]))
    }

    /// Writes the program to a file and runs it to its end.
    pub(crate) fn run(mut self) -> Result<Left> {
        let size = self.image.len() as u32;
        self.call(nr::WRITE, Arg::Value(1), [BASE, size]);
        self.call(nr::EXIT, Arg::Value(0), [0, 0]);
        let mut start = header(size);
        start.extend(code());
        ensure!(start.len() <= TABLE as usize, "the code is too long");
        self.image[..start.len()].copy_from_slice(&start);
        let path = format!("/tmp/program32-{}", std::process::id());
        fs::write(&path, &self.image).context("cannot write the program")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        let out = Command::new(&path).output();
        fs::remove_file(&path)?;
        let out = out.context("the kernel does not run a 32-bit program")?;
        if !out.status.success() || out.stdout.len() != size as usize {
            bail!("the 32-bit program ended with {}", out.status);
        }
        Ok(Left(out.stdout))
    }
}

impl Left {
    /// The result of a call. An errno is negative.
    pub(crate) fn result(&self, call: Call) -> Result<i32> {
        self.data(At(BASE + call.result()))
    }

    /// The value at this address of the program's memory.
    pub(crate) fn data<T: FromBytes>(&self, at: At) -> Result<T> {
        let bytes = self.0.get((at.0 - BASE) as usize..).context("no data")?;
        let (value, _) = T::read_from_prefix(bytes).ok().context("no data")?;
        Ok(value)
    }
}

/// Whether this kernel runs 32-bit programs.
///
/// All kernels that xtask sets up do, except arm64's debug kernel. So this looks at the name only,
/// and the tests fail on a kernel that should run them and does not. A kernel with EVL comes from
/// elsewhere, so this looks for a file that only a kernel with 32-bit programs has: the switch of
/// the 32-bit entry on x86_64 (arch/x86/entry/vdso/vdso32-setup.c), or of an emulated instruction
/// on arm64 (arch/arm64/kernel/armv8_deprecated.c).
pub(crate) fn can_run() -> bool {
    let is_x86 = cfg!(target_arch = "x86_64");
    if is_evl() {
        return Path::new(match is_x86 {
            true => "/proc/sys/abi/vsyscall32",
            false => "/proc/sys/abi/cp15_barrier",
        })
        .exists();
    }
    is_x86
        || !rustix::system::uname()
            .release()
            .to_bytes()
            .ends_with(b"-debug")
}
