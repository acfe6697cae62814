// SPDX-License-Identifier: GPL-2.0-only

//! Kernel errors: negative errno values, and results with them.

use core::num::NonZeroI32;

/// A negative errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(NonZeroI32);

/// The result of a kernel call.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// The largest errno the kernel uses.
const MAX_ERRNO: i32 = 4095;

impl Error {
    /// The error of a positive errno, such as the constants of crate `bindings`. A number that is
    /// no errno gives `EINVAL`.
    pub const fn from_errno(errno: u32) -> Self {
        #[allow(clippy::cast_possible_wrap)]
        let value = if errno == 0 || errno > MAX_ERRNO as u32 {
            -22
        } else {
            (errno as i32).wrapping_neg()
        };
        match NonZeroI32::new(value) {
            Some(value) => Self(value),
            None => panic!("a non-zero constant"),
        }
    }

    /// The negative errno.
    pub const fn to_errno(self) -> i32 {
        self.0.get()
    }
}

impl From<core::num::TryFromIntError> for Error {
    fn from(_: core::num::TryFromIntError) -> Self {
        code::EINVAL
    }
}

/// The errors that the safe layer itself returns.
pub mod code {
    use super::Error;
    use bindings as b;
    /// Out of memory.
    pub const ENOMEM: Error = Error::from_errno(b::ENOMEM);
    /// Bad pointer.
    pub const EFAULT: Error = Error::from_errno(b::EFAULT);
    /// Bad argument.
    pub const EINVAL: Error = Error::from_errno(b::EINVAL);
    /// No such file, or the file was not opened for this access.
    pub const EBADF: Error = Error::from_errno(b::EBADF);
    /// Not permitted.
    pub const EPERM: Error = Error::from_errno(b::EPERM);
    /// No such device.
    pub const ENODEV: Error = Error::from_errno(b::ENODEV);
    /// No such call.
    pub const ENOTTY: Error = Error::from_errno(b::ENOTTY);
    /// The resource is in use.
    pub const EBUSY: Error = Error::from_errno(b::EBUSY);
    /// No such entry.
    pub const ENOENT: Error = Error::from_errno(b::ENOENT);
    /// No such thread.
    pub const ESRCH: Error = Error::from_errno(b::ESRCH);
    /// The message is too long.
    pub const EMSGSIZE: Error = Error::from_errno(b::EMSGSIZE);
    /// The call would have to wait.
    pub const EAGAIN: Error = Error::from_errno(b::EAGAIN);
    /// A signal came first.
    pub const EINTR: Error = Error::from_errno(b::EINTR);
    /// The deadline passed first.
    pub const ETIMEDOUT: Error = Error::from_errno(b::ETIMEDOUT);
    /// The event's source is gone.
    pub const EIDRM: Error = Error::from_errno(b::EIDRM);
    /// No space left.
    pub const ENOSPC: Error = Error::from_errno(b::ENOSPC);
}

/// The value if it is not negative, else the error of the negative errno.
pub fn to_result(value: i32) -> Result<i32> {
    match NonZeroI32::new(value) {
        Some(negative) if value < 0 => Err(Error(negative)),
        _ => Ok(value),
    }
}

/// The pointer of a C function that encodes errors in its result. A null pointer counts as
/// `ENOMEM`.
pub fn from_err_ptr<T>(pointer: *mut T) -> Result<*mut T> {
    let value = pointer.addr().cast_signed();
    if pointer.is_null() {
        Err(code::ENOMEM)
    } else if ((MAX_ERRNO as isize).wrapping_neg()..0).contains(&value) {
        Err(Error::from_errno(value.unsigned_abs() as u32))
    } else {
        Ok(pointer)
    }
}

/// The return value of a C callback: the value, or the negative errno.
pub fn from_result(result: Result<i32>) -> i32 {
    match result {
        Ok(value) => value,
        Err(error) => error.to_errno(),
    }
}

/// The return value of a C callback that copies bytes: their number, or the negative errno.
pub fn from_count(result: Result<usize>) -> isize {
    match result {
        Ok(count) => isize::try_from(count).unwrap_or(isize::MAX),
        Err(error) => error.to_errno() as isize,
    }
}
