//! What a program sends on a netlink socket (`netlink_sendmsg`).
#![forbid(unsafe_code)]

use super::answer::{answer, Request};
use super::{generic, mark, Netlink, Outcome};
use crate::host::{asked, Host};
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::tun::Source;
use memtun_stack::wire::Messages;
use memtun_sys::{self as sys, NetlinkName, Room, NETLINK_NAME};

/// Length in bytes of requests that need no mapping. The kernel makes no buffer smaller than that
/// (SOCK_MIN_SNDBUF).
const SMALL: usize = 4096;
/// Length in bytes of the longest request that a host process is asked.
const LONGEST: usize = memtun_stack::ask::LONGEST;

const EINVAL: Errno = Errno(libc::EINVAL);

impl<H: Host, M: Memory> Netlink<'_, H, M> {
    /// Answers a request. `name` is the address of the address that the program sends to and
    /// `length` its length in bytes, both 0 for none. Returns how many bytes the program has sent.
    ///
    /// # Errors
    ///
    /// - EOPNOTSUPP, ENODATA, EINVAL, EPERM, EMSGSIZE and EFAULT as the kernel's.
    /// - What getting the answer fails with.
    pub fn send(
        &self,
        source: Result<impl Source, Errno>,
        (name, length): (usize, usize),
        flags: i32,
    ) -> Result<Outcome, Errno> {
        let source = source?;
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if source.len() == 0 {
            return Err(Errno(libc::ENODATA));
        }
        let elsewhere = match name != 0 && length != 0 {
            true => self.leads_elsewhere(name, length)?,
            false => self.state & mark::CONNECTED != 0,
        };
        if elsewhere {
            return Ok(Outcome::Kernel);
        }
        let port = self.port()?;
        if self.state & mark::UNBOUND != 0 {
            mark::change(self.fd, 0, mark::UNBOUND);
        }
        if source.len() > SMALL {
            let most = sys::int_option(self.fd, libc::SOL_SOCKET, libc::SO_SNDBUF)?;
            if source.len() as i64 > i64::from(most) - 32 || source.len() > LONGEST {
                return Err(Errno(libc::EMSGSIZE));
            }
        }
        let mut small = [0; SMALL];
        let mut large;
        let room: &mut [u8] = match source.len() {
            ..=SMALL => &mut small,
            length => {
                large = Room::new(length)?;
                large.bytes()
            }
        };
        let bytes = &mut room[..source.len()];
        source.copy(0, bytes)?;
        if self.is_generic() && asked(self.host)?.is_none() && !generic::may_wait(bytes) {
            return Ok(Outcome::Machine);
        }
        let request = |bytes| Request {
            bytes,
            port,
            id: sys::random(),
            had: 0,
            protocol: self.protocol(),
        };
        if self.protocol() != libc::NETLINK_ROUTE {
            // Each of them may be somebody else's.
            for message in Messages(bytes) {
                answer(self.host, self.fd, &request(message.bytes))?;
            }
        } else {
            answer(self.host, self.fd, &request(bytes))?;
        }
        Ok(Outcome::Done(source.len()))
    }

    /// Is this the address of another one than the kernel?
    fn leads_elsewhere(&self, name: usize, length: usize) -> Result<bool, Errno> {
        let mut bytes = [0; NETLINK_NAME];
        if length > size_of::<libc::sockaddr_storage>() {
            return Err(EINVAL);
        }
        self.memory
            .read(name, &mut bytes[..length.min(NETLINK_NAME)])?;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if length < NETLINK_NAME || family != libc::AF_NETLINK {
            return Err(EINVAL);
        }
        let to = NetlinkName::of_bytes(&bytes);
        if to == NetlinkName::default() {
            return Ok(false);
        }
        if !self.is_administrator() {
            return Err(Errno(libc::EPERM));
        }
        // What goes to groups goes to the kernel as well, which is the one who answers.
        Ok(to.port != 0)
    }
}
