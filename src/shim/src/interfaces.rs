//! The net's interfaces for <net/if.h> and <ifaddrs.h>, and lists of the host's without those whose names are the net's.

use crate::errno::fence;
use crate::net;
use crate::sockios::{by_index, by_name, without_alias, Whose};
use crate::table::OwnTunnels;
use crate::uaccess;
use memtun_abi::uapi::{IfReq, SIOCGIFCONF};
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use memtun_shm::load_name;
use memtun_sys as sys;
use std::sync::atomic::Ordering::Relaxed;

/// What the net says of a name or an index.
pub enum Answer<T> {
    /// It is this.
    Is(T),
    /// There was one; the host's is another.
    Gone,
    /// The host knows.
    Ask,
}

fn ask<T>(run: impl FnOnce(&NetDir) -> Result<Answer<T>, Errno>) -> Answer<T> {
    let answer = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(Answer::Ask);
        };
        let _lock = net.lock()?;
        run(net)
    });
    answer.unwrap_or(Answer::Ask)
}

/// if_nametoindex(3)
pub fn index_of(name: &[u8]) -> Answer<u32> {
    // Longer ones libc refuses itself.
    let Some(name) = Name::new(name) else {
        return Answer::Ask;
    };
    ask(|net| {
        Ok(match by_name(net, &without_alias(&name)) {
            Whose::Ours(interface) => Answer::Is(interface.ifindex.load(Relaxed)),
            Whose::Gone => Answer::Gone,
            Whose::Host => Answer::Ask,
        })
    })
}

/// if_indextoname(3)
pub fn name_of(index: u32) -> Answer<Name> {
    ask(|net| {
        Ok(match by_index(net, index)? {
            Whose::Ours(interface) => Answer::Is(load_name(&interface.name)),
            Whose::Gone => Answer::Gone,
            Whose::Host => Answer::Ask,
        })
    })
}

/// The interfaces of the net, by index.
pub fn all() -> Vec<(u32, Name)> {
    let mut found = Vec::new();
    let _ = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(());
        };
        let _lock = net.lock()?;
        let mut names = Vec::new();
        net.each_name(|name| {
            names.push(name);
            true
        })?;
        for name in names {
            if let Ok(Some(interface)) = net.find_interface(&name, &OwnTunnels) {
                found.push((interface.ifindex.load(Relaxed), name));
            }
        }
        Ok(())
    });
    found.sort_unstable_by_key(|(index, _)| *index);
    found
}

/// Is a name that the host has the net's? The label of an alias counts as its interface.
pub fn is_known(name: &[u8]) -> bool {
    let name = Name::new(name).map(|name| without_alias(&name));
    name.is_some_and(|name| net::existing().is_some_and(|net| net.knows(&name)))
}

/// struct ifconf
#[repr(C)]
#[derive(Clone, Copy)]
struct IfConf {
    len: i32,
    requests: usize,
}

/// SIOCGIFCONF has filled the program's list: takes the host's interfaces out of it whose names are the net's. Interfaces of
/// the net have no addresses, so none is in the list.
pub fn drop_known_addresses(socket: i32, arg: usize) {
    // SAFETY: plain numbers.
    let Ok(mut conf) = (unsafe { uaccess::read(arg as *const IfConf) }) else {
        return;
    };
    if conf.requests == 0 {
        // Asked for the length only: so much less.
        let mut room = [[0u8; IfReq::SIZE]; 64];
        let mut own = IfConf {
            len: size_of_val(&room) as i32,
            requests: room.as_mut_ptr() as usize,
        };
        // SAFETY: an ifconf and a list of our own.
        let answer = unsafe {
            sys::syscall(
                libc::SYS_ioctl,
                [
                    socket as usize,
                    SIOCGIFCONF as usize,
                    &raw mut own as usize,
                    0,
                    0,
                    0,
                ],
            )
        };
        if answer == 0 {
            let count = own.len.max(0) as usize / IfReq::SIZE;
            let known = room.iter().take(count).filter(|r| is_known(name_in(r)));
            conf.len -= (known.count() * IfReq::SIZE) as i32;
            let _ = uaccess::write(arg as *mut IfConf, &conf);
        }
        return;
    }
    let count = conf.len.max(0) as usize / IfReq::SIZE;
    let mut kept = 0;
    for i in 0..count {
        let mut request = [0u8; IfReq::SIZE];
        if uaccess::copy_in(conf.requests + i * IfReq::SIZE, &mut request).is_err() {
            return;
        }
        if is_known(name_in(&request)) {
            continue;
        }
        if kept < i && uaccess::copy_out(conf.requests + kept * IfReq::SIZE, &request).is_err() {
            return;
        }
        kept += 1;
    }
    if kept < count {
        conf.len = (kept * IfReq::SIZE) as i32;
        let _ = uaccess::write(arg as *mut IfConf, &conf);
    }
}

fn name_in(request: &[u8; IfReq::SIZE]) -> &[u8] {
    let end = request[..16].iter().position(|b| *b == 0);
    &request[..end.unwrap_or(16)]
}
