//! A socket of the calling process.
#![forbid(unsafe_code)]

use super::call::Native;
use memtun_abi::Errno;
use memtun_sys::{self as sys, inet};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

impl Native for BorrowedFd<'_> {
    fn own_name(&self) -> Result<SocketAddr, Errno> {
        inet::own_name(self.as_raw_fd())
    }
    fn peer_name(&self) -> Result<SocketAddr, Errno> {
        inet::peer_name(self.as_raw_fd())
    }
    fn option(&self, level: i32, option: i32) -> Result<i32, Errno> {
        sys::int_option(self.as_raw_fd(), level, option)
    }
    fn set_option(&self, level: i32, option: i32, value: i32) -> Result<(), Errno> {
        sys::set_int_option(self.as_raw_fd(), level, option, value)
    }
    fn cookie(&self) -> Result<u64, Errno> {
        inet::cookie(self.as_raw_fd())
    }
    fn inode(&self) -> Result<u64, Errno> {
        sys::fstat(self.as_raw_fd()).map(|st| st.st_ino)
    }
    fn segments_received(&self) -> Result<u32, Errno> {
        inet::segments_received(self.as_raw_fd())
    }
    fn bytes_written(&self) -> Result<u64, Errno> {
        inet::bytes_written(self.as_raw_fd())
    }
    fn ip_options(&self, room: &mut [u8; 40]) -> Result<usize, Errno> {
        inet::option_bytes(self.as_raw_fd(), libc::IPPROTO_IP, libc::IP_OPTIONS, room)
    }
    fn is_nonblocking(&self) -> bool {
        let flags = sys::status_flags(self.as_raw_fd());
        flags.is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
    }
    fn bind(&self, name: &SocketAddr) -> Result<(), Errno> {
        inet::bind_name(*self, name)
    }
}
