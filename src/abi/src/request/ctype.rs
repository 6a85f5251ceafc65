//! C types to which the arguments of requests point, with their sizes on 64-bit machines.
#![forbid(unsafe_code)]

use crate::Label;

/// A type of C to which an argument points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CType {
    /// The type as C writes it.
    pub c: Label<24>,
    /// `sizeof` the type, in bytes.
    pub size: usize,
}

macro_rules! types {
    ($($name:ident = $c:literal, $size:literal;)*) => {
        $(pub(super) const $name: CType = CType { c: Label::new($c), size: $size };)*
        /// Every type that is declared here.
        #[cfg(test)]
        const TYPES: &[CType] = &[$($name),*];
    };
}

types! {
    INT = "int", 4;
    UINT = "unsigned int", 4;
    LOFF = "loff_t", 8;
    NAME = "char[16]", 16;
    BRIDGE = "unsigned long[3]", 24;
    IFREQ = "struct ifreq", 40;
    IFCONF = "struct ifconf", 16;
    IN6_IFREQ = "struct in6_ifreq", 24;
    RTENTRY = "struct rtentry", 120;
    IN6_RTMSG = "struct in6_rtmsg", 80;
    ARPREQ = "struct arpreq", 68;
    IWREQ = "struct iwreq", 32;
    VLAN = "struct vlan_ioctl_args", 56;
    TIMEVAL = "struct timeval", 16;
    TIMESPEC = "struct timespec", 16;
    TUN_FILTER = "struct tun_filter", 4;
    FPROG = "struct sock_fprog", 16;
    CLONE_RANGE = "struct file_clone_range", 32;
    DEDUPE_RANGE = "struct file_dedupe_range", 24;
    FIEMAP = "struct fiemap", 32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_fits_into_a_number() {
        assert!(TYPES.iter().all(|t| t.size < 1 << 14));
        assert_eq!(IFREQ.size, crate::uapi::IfReq::SIZE);
    }
}
