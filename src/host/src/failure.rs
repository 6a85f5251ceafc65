//! Why a change is refused: an errno, and what an extended acknowledgement says of it (`struct
//! netlink_ext_ack`).
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use std::borrow::Cow;

/// Why a change is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The error number.
    pub errno: Errno,
    /// The kernel's sentence (NLMSGERR_ATTR_MSG), without a NUL.
    pub text: Option<Cow<'static, str>>,
    /// Where in the request the attribute at fault begins, in bytes (NLMSGERR_ATTR_OFFS).
    pub offset: Option<u32>,
    /// What the attribute at fault may be: the attributes of NLMSGERR_ATTR_POLICY.
    pub policy: Option<Vec<u8>>,
    /// Number of an attribute that is missing (NLMSGERR_ATTR_MISS_TYPE), and where the attribute
    /// begins that should hold it (NLMSGERR_ATTR_MISS_NEST), None for the message itself.
    pub missing: Option<(u32, Option<u32>)>,
}

impl Failure {
    /// Makes a failure without a sentence.
    pub fn new(errno: i32) -> Failure {
        Failure {
            errno: Errno(errno),
            text: None,
            offset: None,
            policy: None,
            missing: None,
        }
    }

    /// Makes a failure with the kernel's sentence.
    pub fn said(errno: i32, text: impl Into<Cow<'static, str>>) -> Failure {
        Failure {
            text: Some(text.into()),
            ..Failure::new(errno)
        }
    }

    /// Names the attribute at fault by its place in the request.
    pub fn at(self, offset: usize) -> Failure {
        Failure {
            offset: Some(offset as u32),
            ..self
        }
    }

    /// Names what the attribute at fault may be.
    pub fn with_policy(self, policy: Option<Vec<u8>>) -> Failure {
        Failure { policy, ..self }
    }

    /// Names an attribute of the message that is missing.
    pub fn misses(self, kind: u16) -> Failure {
        Failure {
            missing: Some((kind.into(), None)),
            ..self
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::new(errno.0)
    }
}

/// Refuses a request with the kernel's sentence.
pub(crate) fn refuse<T>(errno: i32, text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(errno, text))
}
