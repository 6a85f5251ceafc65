//! The nameservers of libc's resolver, whose sockets no hook sees: one that the net leads to is
//! reached by an address of the machine's loopback, as every other end is.
#![forbid(unsafe_code)]

use super::call::{Inet, Native};
use super::name::{is_any, is_loopback};
use crate::host::Host;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::brief;
use memtun_stack::sockets::question::{SocketAnswer, SocketQuestion};
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::Protocol;
use memtun_sys::quiet::{may, Extra};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a nameserver is that nothing leads to: the machine's kernel lets nobody connect to it who
/// has not asked for broadcasts.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), 53);

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns the native name by which a nameserver is reached, or one by which nobody is where
    /// nothing leads to it; None where the machine's way does. The socket of this call is none.
    pub fn nameserver(&self, name: SocketAddr) -> Option<SocketAddr> {
        if is_any(&name) || !self.table.is_active() {
            return None;
        }
        let question = SocketQuestion::about(Protocol::Udp, name);
        match self.ask(What::Path, &question) {
            Ok(SocketAnswer::Carried(_, to)) => Some(to),
            Err(Errno(libc::ENETUNREACH | libc::EHOSTUNREACH)) => Some(NOWHERE),
            // Nobody can tell.
            Err(_) if !is_loopback(&name) && self.may_be_of_net(&name) => Some(NOWHERE),
            _ => None,
        }
    }

    /// May this be reached by the net only, or can nobody tell?
    fn may_be_of_net(&self, name: &SocketAddr) -> bool {
        let leads = || brief::may_lead(self.net, name.ip().to_canonical());
        self.host.is_isolated() || !may(Extra::Files) || leads().unwrap_or(true)
    }

    /// Returns what a name of a nameserver stands for that this library has put in place of it.
    pub fn nameserver_behind(&self, native: SocketAddr) -> Option<SocketAddr> {
        let flow = self.table.flow(native_v4(native.ip())?)?;
        (flow.local.port() == 0).then_some(flow.remote)
    }
}
