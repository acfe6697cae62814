// SPDX-License-Identifier: GPL-2.0-only

//! The letter box, see [`crate::files`], and the relay that each open file may have, see [`crate::relay`].

use super::support::with_oob;
#[cfg(not(oob_core_evl))]
use crate::files::ECHO_NOW;
use crate::files::{
    ARM, Arm, ECHO, Echo, FLAG, FROM_TIMER, INBAND, LETTER, MONITOR, OOB, PAUSE, Pause, SEMAPHORE,
};
use crate::module::relay::Slot;
use crate::relay;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::{KArc, KBox};
use kernel::error::{Error, Result, code};
use kernel::miscdevice::{File, Registration};
use kernel::poll::{self, PollHead, PollTable};
use kernel::time::{HardTimer, TimerHandler};
use kernel::uaccess::{UserPtr, UserSlice};
use oob::kernel_core::{Monitor, Semaphore, TaskFlag, Tasks, monitor_lock};
use oob::stage::{Inband, Oob};
use oob::time::Instant;
use oob::wait::{Flag, WaitError};

static DEVICE: AtomicPtr<Registration<Files>> = AtomicPtr::new(core::ptr::null_mut());

#[derive(Clone, Copy)]
struct Letter {
    text: [u8; LETTER],
    len: usize,
}

impl Letter {
    fn of(text: &[u8]) -> Result<Self> {
        let mut letter = Self {
            text: [0; LETTER],
            len: text.len(),
        };
        let room = letter.text.get_mut(..text.len()).ok_or(code::EMSGSIZE)?;
        room.copy_from_slice(text);
        Ok(letter)
    }

    /// Writes as much as there is room for.
    fn deliver(&self, mut buffer: UserSlice) -> Result<usize> {
        let len = self.len.min(buffer.len());
        let text = self.text.get(..len).unwrap_or_default();
        buffer.write_oob(text).map(|()| len)
    }
}

/// What an open file and its timer share.
struct LetterBox {
    letter: Monitor<Option<Letter>>,
    head: PollHead,
}

impl LetterBox {
    fn put(&self, letter: Letter) -> Result {
        self.letter.update_and_wake_all(&Tasks, |place| {
            if place.is_some() {
                return Err(code::EAGAIN);
            }
            *place = Some(letter);
            Ok(())
        })?;
        self.head.signal(poll::IN);
        Ok(())
    }

    /// What everybody does who has taken one.
    fn deliver(&self, letter: &Letter, buffer: UserSlice) -> Result<usize> {
        self.head.signal(poll::OUT);
        letter.deliver(buffer)
    }
}

struct Postman(KArc<LetterBox>);

impl TimerHandler for Postman {
    fn expired(&self, _missed: u64) {
        // Where the box is full, there is something to be seen already.
        let _ = Letter::of(FROM_TIMER).and_then(|letter| self.0.put(letter));
    }
}

/// An open file.
struct Files {
    letter_box: KArc<LetterBox>,
    timer: HardTimer<Postman>,
    flag: TaskFlag,
    monitor: Monitor<()>,
    semaphore: Semaphore,
    relay: Slot,
}

fn errno(error: WaitError) -> Error {
    match error {
        WaitError::TimedOut => code::ETIMEDOUT,
        WaitError::Interrupted => code::EINTR,
        WaitError::Closed => code::EIDRM,
    }
}

impl File for Files {
    type Device = ();

    fn open(inband: &Inband<'_>, _device: &()) -> Result<Self> {
        let letter_box = LetterBox {
            letter: Monitor::new(monitor_lock(inband, None)?),
            head: PollHead::new(inband)?,
        };
        let letter_box = KArc::new(inband, letter_box)?;
        Ok(Self {
            timer: HardTimer::new(inband, Postman(letter_box.clone()))?,
            letter_box,
            flag: TaskFlag::new(inband)?,
            monitor: Monitor::new(monitor_lock(inband, ())?),
            semaphore: Semaphore::new(monitor_lock(inband, 0)?),
            relay: Slot::new(),
        })
    }

    fn oob_ioctl(&self, command: u32, argument: UserPtr) -> Option<Result<i32>> {
        match command {
            ECHO => with_oob(|_| echo(argument, OOB)),
            #[cfg(not(oob_core_evl))]
            ECHO_NOW => with_oob(|_| self.monitor.update(|()| echo_now(argument))),
            PAUSE => {
                let args = argument.read_oob();
                let paused = with_oob(|oob| self.pause(oob, &args?));
                Some(paused.unwrap_or(Err(code::EPERM)))
            }
            relay::WRITE => Some(self.relay_write(argument)),
            _ => None,
        }
    }

    fn oob_ioctl_inband(
        &self,
        _inband: &Inband<'_>,
        command: u32,
        argument: UserPtr,
    ) -> Option<Result<i32>> {
        match command {
            ECHO => Some(echo(argument, INBAND)),
            PAUSE | crate::relay::WRITE => Some(Err(code::EPERM)),
            _ => None,
        }
    }

    fn oob_read(&self, buffer: UserSlice) -> Option<Result<usize>> {
        with_oob(|oob| {
            let place = &self.letter_box.letter;
            let letter = place
                .wait_until(oob, &Tasks, Instant::NEVER, Option::take)
                .map_err(errno)?;
            self.letter_box.deliver(&letter, buffer)
        })
    }

    fn inband_read(&self, _inband: &Inband<'_>, buffer: UserSlice) -> Result<usize> {
        let letter = self.letter_box.letter.update(Option::take);
        let letter = letter.ok_or(code::EAGAIN)?;
        self.letter_box.deliver(&letter, buffer)
    }

    fn oob_write(&self, mut buffer: UserSlice) -> Option<Result<usize>> {
        with_oob(|_| {
            let mut text = [0; LETTER];
            let len = buffer.len();
            let text = text.get_mut(..len).ok_or(code::EMSGSIZE)?;
            buffer.read_oob(text)?;
            self.letter_box.put(Letter::of(text)?).map(|()| len)
        })
    }

    fn poll<'a>(&'a self, table: &PollTable<'a>) -> u32 {
        self.letter_box.head.watch(table);
        match self.letter_box.letter.update(|letter| letter.is_some()) {
            true => poll::IN,
            false => poll::OUT,
        }
    }

    fn ioctl(&self, inband: &Inband<'_>, command: u32, argument: UserPtr) -> Result<i32> {
        match command {
            ARM => {
                let args: Arm = argument.read(inband)?;
                self.timer.start(args.at_ns, 0);
                Ok(0)
            }
            relay::OPEN => self.relay.open(inband, &argument.read(inband)?),
            relay::FLUSH => self.relay.flush(inband),
            relay::LOST => argument.write(inband, &self.relay.lost()?).map(|()| 0),
            _ => Err(code::ENOTTY),
        }
    }
}

fn echo(argument: UserPtr, stage: u32) -> Result<i32> {
    let args = argument.read_oob()?;
    argument.write_oob(&echoed(args, stage)).map(|()| 0)
}

#[cfg(not(oob_core_evl))]
fn echo_now(argument: UserPtr) -> Result<i32> {
    let args = argument.read_now()?;
    argument.write_now(&echoed(args, OOB)).map(|()| 0)
}

const fn echoed(args: Echo, stage: u32) -> Echo {
    Echo {
        value: args.value.wrapping_add(1),
        stage,
        ..args
    }
}

impl Files {
    fn relay_write(&self, argument: UserPtr) -> Result<i32> {
        let mut args = argument.read_oob()?;
        let written = with_oob(|oob| self.relay.write(oob, &mut args));
        written.unwrap_or(Err(code::EPERM))?;
        argument.write_oob(&args).map(|()| 0)
    }

    fn pause(&self, oob: &Oob<'_>, args: &Pause) -> Result<i32> {
        let until = Instant(args.until_ns);
        let ended = match args.what {
            FLAG => self.flag.wait_until(oob, until),
            MONITOR => self.monitor.wait_until(oob, &Tasks, until, |()| None),
            SEMAPHORE => self.semaphore.down_until(oob, &Tasks, until),
            _ => return Err(code::EINVAL),
        };
        ended.map(|()| 0).map_err(errno)
    }
}

/// Makes the device.
pub(super) fn init(inband: &Inband<'_>) -> Result {
    let device = Registration::new(inband, b"oob-trial-files", b"oob/trial-files", ())?;
    DEVICE.store(
        KBox::into_raw(KBox::new(inband, device)?),
        Ordering::Relaxed,
    );
    Ok(())
}

/// Takes it away, where it was made.
pub(super) fn exit() {
    let device = DEVICE.swap(core::ptr::null_mut(), Ordering::Relaxed);
    if !device.is_null() {
        // SAFETY: `init` put a box's pointer there, and nobody else has it now.
        drop(unsafe { KBox::from_raw(device) });
    }
}
