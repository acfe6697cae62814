// SPDX-License-Identifier: GPL-2.0-only

//! Defects on request, each of a kind that the debug kernel checks for: a test plants them to see
//! that its checks see.
//!
//! ```text
//!   echo sleep  >/dev/oob/trial   a mutex is taken inside of a raw spinlock    lockdep, DEBUG_ATOMIC_SLEEP
//!   echo leak   >/dev/oob/trial   boxes that nobody knows of any more          kmemleak
//!   echo beyond >/dev/oob/trial   a byte behind a box is read                  KASAN
//! ```
//!
//! Rule: none of them harms a kernel that does not look.

use core::hint::black_box;
use kernel::alloc::KBox;
use kernel::error::{Result, code};
use kernel::sync::{LockClass, Mutex, RawSpinLock};
use kernel::uaccess::UserSlice;
use oob::stage::Inband;

static SPIN: LockClass = LockClass::new();
static MUTEX: LockClass = LockClass::new();

/// What is leaked: a leak's report shows it.
const LEAKED: [u8; 16] = *b"planted by trial";
/// How often: the last address may still lie on a stack, where kmemleak takes it for one in use.
const LEAKS: u32 = 16;

/// Plants the defect whose name was written.
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

/// Nobody else has the mutex: it is only that the caller might sleep.
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
    // SAFETY: none, which is the point. It is mapped: the allocator gives 16 bytes where 13 are
    // asked for.
    black_box(unsafe { black_box(behind).read_volatile() });
    Ok(())
}
