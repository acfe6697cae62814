// SPDX-License-Identifier: GPL-2.0-only

//! Defects on request, each of a kind that the debug kernel checks for. A test plants them to see
//! that the checks work.
//!
//! ```text
//!   echo sleep  >/dev/oob/trial   a mutex is taken under a raw spinlock     lockdep, DEBUG_ATOMIC_SLEEP
//!   echo leak   >/dev/oob/trial   boxes without any pointer to them            kmemleak
//!   echo beyond >/dev/oob/trial   a byte behind a box is read                  KASAN
//! ```
//!
//! Rule: no defect harms a kernel that does not check for it.

use core::hint::black_box;
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, Mutex, RawSpinLock};
use kernel::uaccess::UserSlice;
use oob::stage::Inband;

static SPIN: LockClass = LockClass::new();
static MUTEX: LockClass = LockClass::new();

/// The content of a leaked box, which a report shows.
const LEAKED: [u8; 16] = *b"planted by trial";
/// The number of leaks. The last address may still lie on a stack, where kmemleak takes it for a
/// pointer in use.
const LEAKS: u32 = 16;

/// Plants the defect with the written name.
pub(super) fn write(inband: &Inband<'_>, mut buffer: UserSlice) -> Result<usize> {
    let len = buffer.len();
    let mut name = [0; 16];
    let name = name.get_mut(..len).ok_or(code::EINVAL)?;
    buffer.read_oob(name)?;
    match name.trim_ascii() {
        b"sleep" => sleep(inband)?,
        b"leak" => leak(inband)?,
        b"beyond" => beyond(inband)?,
        _ => return Err(code::EINVAL),
    }
    Ok(len)
}

/// Takes a free mutex under a spinlock: the caller does not sleep, but might.
fn sleep(inband: &Inband<'_>) -> Result {
    let spin = RawSpinLock::new(inband, (), c"trial spin", &SPIN)?;
    let mutex = Mutex::new(inband, (), c"trial inner mutex", &MUTEX)?;
    let held = spin.lock();
    drop(mutex.lock(inband));
    drop(held);
    Ok(())
}

fn leak(inband: &Inband<'_>) -> Result {
    for _ in 0..LEAKS {
        black_box(KBox::into_raw(KBox::new(inband, LEAKED)?));
    }
    Ok(())
}

fn beyond(inband: &Inband<'_>) -> Result {
    let bytes = KBox::new(inband, [0_u8; 13])?;
    let behind = (&raw const *bytes).cast::<u8>().wrapping_add(bytes.len());
    // SAFETY: the read is out of bounds on purpose. The byte is mapped: the allocator rounds the 13
    // bytes up to 16.
    black_box(unsafe { black_box(behind).read_volatile() });
    Ok(())
}
