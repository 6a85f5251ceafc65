//! setsockopt(2): a socket cannot be bound to an interface of the net, and must not be bound to the
//! host's interface of the same name.
#![forbid(unsafe_code)]

use crate::interfaces::{by_index, by_name, Whose};
use crate::memory::Memory;
use memtun_abi::request::{Named, SocketOption};
use memtun_abi::{Errno, Name};
use memtun_kernel::missing;
use memtun_kernel::net::{Local, NetDir};

/// Returns what an option that names an interface is refused with; None means that the host has to
/// be asked. `value` is the address of the option's value in the program's memory, and `length` its
/// length in bytes.
///
/// # Errors
///
/// - EFAULT when the value cannot be read.
/// - What locking the net or reading its directory fails with.
#[cold]
pub fn refuse_option(
    net: &NetDir,
    local: &dyn Local,
    memory: &impl Memory,
    option: &SocketOption,
    value: usize,
    length: usize,
) -> Result<Option<Errno>, Errno> {
    let mut bytes = [0u8; 16];
    memory.read(value, &mut bytes[..length.min(15)])?;
    let _lock = net.lock()?;
    let whose = match option.interface {
        Named::Index(_) => {
            let index = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            by_index(net, index, local)?
        }
        _ => by_name(net, &Name::from_ifreq(&bytes), local),
    };
    Ok(match whose {
        Whose::Ours(interface) => Some(missing::option(&interface, option)),
        Whose::Gone => Some(Errno(libc::ENODEV)),
        Whose::Host => None,
    })
}
