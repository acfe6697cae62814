// SPDX-License-Identifier: MIT OR Apache-2.0

//! One worker of the load: a process that repeats its unit of work until its stdin closes.

use clap::ValueEnum;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{ptr, thread};

/// The work of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Forks.
    Fork,
    /// Copies.
    Copy,
    /// Touches new pages.
    Fault,
    /// Exchanges messages over TCP.
    Tcp,
    /// Exchanges messages over UDP.
    Udp,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Fork, Self::Copy, Self::Fault, Self::Tcp, Self::Udp];

    /// The name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Copy => "copy",
            Self::Fault => "fault",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

const MIB: usize = 1 << 20;
const COPY_AREA: usize = 128 * MIB;
const FAULT_AREA: usize = 4 * MIB;
const PAGE: usize = 4096;
const MESSAGE: usize = 1024;
/// A datagram that is not answered for so long counts as lost.
const UDP_PATIENCE: Duration = Duration::from_millis(100);

static UNITS: AtomicU64 = AtomicU64::new(0);

fn count(units: u64) {
    UNITS.fetch_add(units, Ordering::Relaxed);
}

/// Works until stdin is closed, then writes how many units it did and in how many nanoseconds.
///
/// # Errors
///
/// The first failure of the work, or of the pipes to the parent.
pub fn work(kind: Kind) -> io::Result<()> {
    let (done, outcome) = std::sync::mpsc::channel();
    let told = done.clone();
    // The threads are not joined: they end with the process.
    thread::spawn(move || {
        let result = match kind {
            Kind::Fork => forks(),
            Kind::Copy => copies(),
            Kind::Fault => faults(),
            Kind::Tcp => tcp(),
            Kind::Udp => udp(),
        };
        let _ = told.send(result);
    });
    while UNITS.load(Ordering::Relaxed) == 0 {
        if let Ok(result) = outcome.recv_timeout(Duration::from_millis(1)) {
            return result;
        }
    }
    let (begin, before) = (Instant::now(), UNITS.load(Ordering::Relaxed));
    say("ready")?;
    thread::spawn(move || {
        let closed = io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ());
        let _ = done.send(closed);
    });
    // The first message is the work's failure or the end of stdin.
    outcome.recv().unwrap_or(Ok(()))?;
    let units = UNITS.load(Ordering::Relaxed) - before;
    say(&format!("{units} {}", begin.elapsed().as_nanos()))
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn forks() -> io::Result<()> {
    loop {
        // SAFETY: the child only calls `_exit`, which is async-signal-safe, as fork in a process
        // with threads demands.
        let child = unsafe { libc::fork() };
        match child {
            -1 => return Err(io::Error::last_os_error()),
            // SAFETY: `_exit` ends the child at once and runs no destructor or exit handler of the
            // parent.
            0 => unsafe { libc::_exit(0) },
            _ => {
                // SAFETY: waitpid writes no status, because the pointer is null.
                if unsafe { libc::waitpid(child, ptr::null_mut(), 0) } != child {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        count(1);
    }
}

fn copies() -> io::Result<()> {
    let mut area = vec![0; COPY_AREA];
    let mut zero = File::open("/dev/zero")?;
    loop {
        for part in area.chunks_mut(MIB) {
            zero.read_exact(part)?;
            count(1);
        }
    }
}

fn faults() -> io::Result<()> {
    loop {
        // SAFETY: the address is null, so the kernel chooses a free range, and no existing mapping
        // is replaced.
        let area = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                FAULT_AREA,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        for offset in (0..FAULT_AREA).step_by(PAGE) {
            // SAFETY: `offset` is below `FAULT_AREA`, the mapping's length.
            let page = unsafe { area.cast::<u8>().add(offset) };
            // SAFETY: the byte lies in the mapping above, which is writable, and no reference to it
            // exists.
            unsafe { page.write_volatile(1) };
            count(1);
        }
        // SAFETY: the range is the mapping above, and no reference to it was made.
        unsafe { munmap(area, FAULT_AREA) }?;
    }
}

fn without_loopback(error: io::Error) -> io::Error {
    let hint = "the load uses the loopback device (is it up? `ip link set lo up`)";
    io::Error::new(error.kind(), format!("{hint}: {error}"))
}

fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(without_loopback)?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let (mut peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        let mut message = [0; MESSAGE];
        loop {
            peer.read_exact(&mut message)?;
            peer.write_all(&message)?;
        }
    });
    let mut stream = TcpStream::connect(address).map_err(without_loopback)?;
    stream.set_nodelay(true)?;
    let mut message = [0; MESSAGE];
    loop {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        count(1);
    }
}

fn udp() -> io::Result<()> {
    let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(without_loopback)?;
    let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(without_loopback)?;
    near.connect(far.local_addr()?).map_err(without_loopback)?;
    far.connect(near.local_addr()?).map_err(without_loopback)?;
    near.set_read_timeout(Some(UDP_PATIENCE))?;
    thread::spawn(move || -> io::Result<()> {
        let mut message = [0; MESSAGE];
        loop {
            let len = far.recv(&mut message)?;
            far.send(message.get(..len).unwrap_or(&[]))?;
        }
    });
    let mut message = [0; MESSAGE];
    loop {
        near.send(&message).map_err(without_loopback)?;
        match near.recv(&mut message) {
            Ok(_) => count(1),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(e) => return Err(e),
        }
    }
}
