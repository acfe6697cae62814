// SPDX-License-Identifier: GPL-2.0-only

//! Every way an operation can fail, and the one errno that user space sees for it.
//!
//! Within one operation no two causes share an errno. [`oobkit_abi::spi`] has the same table for
//! users. Where EVL has an errno for a case, the kit uses it (`ENXIO` off, `EBUSY` on already,
//! `EIO` no DMA, `ENOTTY` unknown). A *rejection* refuses a call for its arguments or for the state
//! of the bus: nothing has changed, and the call is counted. Any other error happened to a frame
//! that was tried.

use crate::controller::PrepareError;

/// An error with an errno.
pub trait Errno: Copy {
    /// The errno, positive.
    fn errno(self) -> i32;

    /// Whether the call was refused and changed nothing.
    fn is_rejection(self) -> bool {
        true
    }
}

macro_rules! errors {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $errno:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = concat!("`", stringify!($errno), "`:")] $(#[$case_doc])* $case,)* }

        impl $name {
            const fn number(self) -> i32 {
                match self { $(Self::$case => number::$errno,)* }
            }

            #[cfg(all(test, not(loom)))]
            const ALL: &'static [Self] = &[$(Self::$case,)*];
        }
    };
}

/// The numbers. They are equal on every architecture that the kit supports (asm-generic/errno.h,
/// errno-base.h).
mod number {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EINTR: i32 = 4;
    pub(super) const EIO: i32 = 5;
    pub(super) const ENXIO: i32 = 6;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EFAULT: i32 = 14;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const ENODEV: i32 = 19;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOTTY: i32 = 25;
    pub(super) const EFBIG: i32 = 27;
    pub(super) const ESPIPE: i32 = 29;
    pub(super) const EDOM: i32 = 33;
    pub(super) const ERANGE: i32 = 34;
    pub(super) const ECHRNG: i32 = 44;
    pub(super) const ENODATA: i32 = 61;
    pub(super) const ETIME: i32 = 62;
    pub(super) const EBADMSG: i32 = 74;
    pub(super) const EOVERFLOW: i32 = 75;
    pub(super) const EUSERS: i32 = 87;
    pub(super) const EMSGSIZE: i32 = 90;
    pub(super) const EPROTOTYPE: i32 = 91;
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const ESHUTDOWN: i32 = 108;
    pub(super) const ETIMEDOUT: i32 = 110;
    pub(super) const EALREADY: i32 = 114;
    pub(super) const ESTALE: i32 = 116;
    pub(super) const EREMOTEIO: i32 = 121;
    pub(super) const EOWNERDEAD: i32 = 130;
}

/// `ECANCELED`: the status of the list entries that follow one that failed.
pub const ECANCELED: i32 = 125;

errors! {
    /// Why the kernel edge refused a call before it reached the core.
    CallError {
        /// no such call.
        Unknown = ENOTTY,
        /// the argument cannot be read or written.
        Fault = EFAULT,
        /// an exchange call from a thread that is not attached.
        NotAttached = EPERM,
    }
}

errors! {
    /// Why a device setting was refused.
    ConfigError {
        /// oob mode is on.
        On = EBUSY,
        /// a reserved field is not zero.
        Reserved = EINVAL,
        /// the controller has no such mode.
        Mode = EPROTOTYPE,
        /// the controller has no such word.
        BitsPerWord = EPROTONOSUPPORT,
        /// below the controller's lowest clock.
        Speed = ERANGE,
        /// a delay above [`crate::validate::MAX_DELAY`].
        Delay = EDOM,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
    }
}

errors! {
    /// Why oob mode was not entered.
    EnableError {
        /// frames of no bytes.
        FrameEmpty = ENODATA,
        /// frames longer than the controller or a buffer can have.
        FrameTooLong = EMSGSIZE,
        /// frames that are not whole words. It does not occur where the controller's words are
        /// single bytes, as BCM2835's are.
        FrameNotWords = EBADMSG,
        /// the controller has no such word.
        BitsPerWord = EPROTONOSUPPORT,
        /// the controller has no such mode.
        Mode = EPROTOTYPE,
        /// below the controller's lowest clock, or a clock that cannot be derived.
        Speed = ERANGE,
        /// a frame takes more than [`crate::validate::MAX_WIRE`] on the wire.
        TooSlow = EOVERFLOW,
        /// on already.
        On = EBUSY,
        /// another owner has the bus in oob mode.
        OtherOwner = EACCES,
        /// an in-band message held the bus for too long.
        BusHeld = ETIME,
        /// no memory for the frames.
        NoMemory = ENOMEM,
        /// the buffers of [`oobkit_abi::spi::BUFFERS_MAX`] earlier sessions are still mapped.
        AllMapped = EUSERS,
        /// no DMA channel or descriptors.
        NoDma = EIO,
        /// the controller cannot combine an active-high chip select with frames by DMA, of the same
        /// or another chip select.
        ActiveHigh = EOPNOTSUPP,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
    }
}

errors! {
    /// Why DISABLE or GET_INFO was refused.
    StateError {
        /// oob mode is off.
        Off = ENXIO,
        /// oob mode belongs to another owner.
        OtherOwner = EACCES,
        /// oob mode is ending.
        Closing = ESHUTDOWN,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
    }
}

errors! {
    /// Why a mapping was refused.
    MapError {
        /// oob mode is off.
        Off = ENXIO,
        /// oob mode belongs to another owner.
        OtherOwner = EACCES,
        /// oob mode is ending.
        Closing = ESHUTDOWN,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
        /// longer than the buffer.
        TooLong = EFBIG,
        /// does not start at the begin of the buffer.
        Offset = ESPIPE,
        /// a private mapping, which the device would not see.
        Private = EINVAL,
        /// the buffer is mapped through another node of the same device; the kernel edge finds
        /// this.
        OtherNode = EBUSY,
    }
}

errors! {
    /// Why a trigger was refused.
    TriggerError {
        /// oob mode is off.
        Off = ENXIO,
        /// oob mode belongs to another owner.
        OtherOwner = EACCES,
        /// oob mode is ending.
        Closing = ESHUTDOWN,
        /// stopped by the fail-safe.
        Stopped = EOWNERDEAD,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
        /// a field that is reserved, or unused for this kind, is not zero.
        Reserved = EINVAL,
        /// no such kind.
        Kind = EOPNOTSUPP,
        /// the period is too short or too long.
        Period = ERANGE,
        /// the first date is beyond the clock.
        First = EOVERFLOW,
        /// a timer's handler would spin for more than [`crate::validate::MAX_SPIN`].
        Spins = E2BIG,
    }
}

errors! {
    /// Why a stop frame was refused.
    StopError {
        /// oob mode is off.
        Off = ENXIO,
        /// oob mode belongs to another owner.
        OtherOwner = EACCES,
        /// oob mode is ending.
        Closing = ESHUTDOWN,
        /// stopped by the fail-safe.
        Stopped = EOWNERDEAD,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
        /// a reserved field is not zero.
        Reserved = EINVAL,
        /// the period is too short or too long.
        Period = ERANGE,
        /// a period without a miss limit.
        NoLimit = EDOM,
        /// the handler that sends the stop frame would spin for more than
        /// [`crate::validate::MAX_SPIN`].
        Spins = E2BIG,
    }
}

errors! {
    /// Why a frame was not exchanged, or not in time.
    RunError {
        /// oob mode is off.
        Off = ENXIO,
        /// oob mode belongs to another owner.
        OtherOwner = EACCES,
        /// oob mode is ending.
        Closing = ESHUTDOWN,
        /// stopped by the fail-safe, until DISABLE and ENABLE.
        Stopped = EOWNERDEAD,
        /// no such chip select.
        NoSuch = ECHRNG,
        /// the controller has been unbound.
        Gone = ENODEV,
        /// another thread's or a timer's frame is under way.
        Busy = EALREADY,
        /// an in-band call is setting the bus up.
        SettingUp = EAGAIN,
        /// a signal came while the thread waited for a timer's frame.
        Interrupted = EINTR,
        /// a reserved field is not zero.
        Reserved = EINVAL,
        /// the deadline had passed before the frame: nothing was sent. Counted as missed.
        TooLate = ESTALE,
        /// the deadline passed during the frame: exchanged, but late. Counted as missed.
        Late = ETIME,
        /// the hardware did not finish. Counted as a timeout.
        Stuck = ETIMEDOUT,
        /// the DMA controller saw an error on the bus.
        Bus = EREMOTEIO,
    }
}

errors! {
    /// Why a list was refused as a whole.
    ListRefused {
        /// no entries.
        Empty = ENODATA,
        /// more than [`oobkit_abi::spi::LIST_MAX`] entries.
        TooMany = E2BIG,
        /// a timer starts the frames of an entry.
        TimerDriven = EOPNOTSUPP,
    }
}

/// Why a list of frames was refused or ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// The list itself is wrong; nothing was sent and no status was set.
    Refused(ListRefused),
    /// An entry cannot be sent now; nothing was sent and no status was set.
    Entry(RunError),
    /// An entry failed; the statuses say which.
    Failed(RunError),
}

/// Why a chip select refuses a caller at this moment. Every operation's error includes these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Off,
    OtherOwner,
    Closing,
    Stopped,
    NoSuch,
    Gone,
}

impl From<PrepareError> for EnableError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Speed => Self::Speed,
            PrepareError::NoDma => Self::NoDma,
            PrepareError::ActiveHigh => Self::ActiveHigh,
        }
    }
}

macro_rules! from_refusal {
    ($($name:ident: $stopped:ident;)*) => { $(impl From<Refusal> for $name {
        fn from(refusal: Refusal) -> Self {
            match refusal {
                Refusal::Off => Self::Off,
                Refusal::OtherOwner => Self::OtherOwner,
                Refusal::Closing => Self::Closing,
                Refusal::Stopped => Self::$stopped,
                Refusal::NoSuch => Self::NoSuch,
                Refusal::Gone => Self::Gone,
            }
        }
    })* };
}

// A stopped chip select still serves DISABLE, GET_INFO and mmap, so these never meet `Stopped`.
from_refusal! {
    StateError: Off;
    MapError: Off;
    TriggerError: Stopped;
    StopError: Stopped;
    RunError: Stopped;
}

macro_rules! all_rejections {
    ($($name:ident)*) => { $(impl Errno for $name {
        fn errno(self) -> i32 {
            self.number()
        }
    })* };
}

all_rejections!(CallError ConfigError EnableError StateError MapError TriggerError StopError ListRefused);

impl Errno for RunError {
    fn errno(self) -> i32 {
        self.number()
    }

    fn is_rejection(self) -> bool {
        !matches!(
            self,
            Self::Interrupted | Self::TooLate | Self::Late | Self::Stuck | Self::Bus
        )
    }
}

impl Errno for ListError {
    fn errno(self) -> i32 {
        match self {
            Self::Refused(error) => error.errno(),
            Self::Entry(error) | Self::Failed(error) => error.errno(),
        }
    }

    fn is_rejection(self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Entry(error) => error.is_rejection(),
            Self::Failed(_) => false,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn distinct(numbers: impl IntoIterator<Item = i32>) {
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }

    fn numbers<T: Errno>(all: &[T]) -> Vec<i32> {
        all.iter().map(|error| error.errno()).collect()
    }

    #[test]
    fn no_two_causes_share_an_errno_within_one_operation() {
        let call = numbers(CallError::ALL);
        let with_call = |own: Vec<i32>| distinct(call.iter().copied().chain(own));
        with_call(numbers(ConfigError::ALL));
        with_call(numbers(EnableError::ALL));
        with_call(numbers(StateError::ALL));
        with_call(numbers(TriggerError::ALL));
        with_call(numbers(StopError::ALL));
        with_call(numbers(RunError::ALL));
        with_call([numbers(RunError::ALL), numbers(ListRefused::ALL)].concat());
        distinct(numbers(MapError::ALL));
    }
}
