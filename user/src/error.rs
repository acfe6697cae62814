// SPDX-License-Identifier: MIT OR Apache-2.0

//! Error types from tables: one enum for each operation, with a text for each errno.

/// Defines an error enum from rows `Variant = ERRNO: "what is wrong and what to do"`.
///
/// An errno without a row becomes `Other`, so no errno is lost.
macro_rules! operation_error {
    ($(#[$doc:meta])* $name:ident, $operation:literal, {
        $($variant:ident = $errno:ident: $help:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", stringify!($errno), "`: ", $help, ".")] $variant,)*
            /// Any other errno from the kernel.
            Other(i32),
        }

        impl $name {
            /// The errno behind this error.
            pub const fn errno(self) -> i32 {
                match self {
                    $(Self::$variant => libc::$errno,)*
                    Self::Other(errno) => errno,
                }
            }

            #[allow(dead_code)] // Unused by operations that only fail before they reach the kernel.
            #[deny(unreachable_patterns)] // Two rows with the same errno fail the build.
            pub(crate) fn from_errno(errno: rustix::io::Errno) -> Self {
                match errno.raw_os_error() {
                    $(libc::$errno => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let help = match self {
                    $(Self::$variant => concat!(": ", $help),)*
                    Self::Other(_) => "",
                };
                let system = std::io::Error::from_raw_os_error(self.errno());
                write!(f, concat!("cannot ", $operation, "{}: {}"), help, system)
            }
        }

        impl std::error::Error for $name {}

        impl From<$name> for std::io::Error {
            fn from(error: $name) -> Self {
                Self::from_raw_os_error(error.errno())
            }
        }
    };
}

pub(crate) use operation_error;

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    operation_error! {
        /// The error of an invented operation.
        PourError, "pour the tea", {
            Empty = ENODATA: "the pot is empty; fill it",
        }
    }

    #[test]
    fn the_text_names_operation_cause_and_remedy() {
        let text = PourError::from_errno(Errno::NODATA).to_string();
        assert!(
            text.starts_with("cannot pour the tea: the pot is empty; fill it: "),
            "{text}"
        );
        assert!(text.contains("os error 61"), "{text}");
    }

    #[test]
    fn an_unknown_errno_is_kept() {
        let error = PourError::from_errno(Errno::XDEV);
        assert_eq!(error, PourError::Other(18));
        assert_eq!(error.errno(), 18);
        assert_eq!(std::io::Error::from(error).raw_os_error(), Some(18));
    }

    #[test]
    fn a_row_and_its_errno_convert_both_ways() {
        let row = PourError::Empty;
        assert_eq!(
            PourError::from_errno(Errno::from_raw_os_error(row.errno())),
            row
        );
    }
}
