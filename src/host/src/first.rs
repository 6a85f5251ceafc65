//! What the first host process of a net begins with: how the machine is seen, and the links that
//! are declared.
#![forbid(unsafe_code)]

use memtun_abi::{Errno, Name};
use memtun_stack::state::{State, View};
use memtun_stack::Extra;
use memtun_sys as sys;

/// What the first host process of a net begins with.
#[derive(Clone, Default, Debug)]
pub struct First {
    /// What is seen of the machine.
    pub view: View,
    /// Names of the uplinks that are declared. Their addresses and routes are set as a program
    /// would set them.
    pub uplinks: Vec<Name>,
}

impl First {
    /// Returns the state of a net that has none yet. Where the machine is not seen there is a
    /// loopback, as in a new network namespace; the links are down.
    ///
    /// # Errors
    ///
    /// - EINVAL for the name of an uplink that no interface can have.
    /// - EEXIST for one that is there twice, or is the loopback's.
    pub fn state(&self) -> Result<State, Errno> {
        let mut links = Vec::new();
        if self.view == View::Isolated {
            links.push(loopback());
        }
        for name in &self.uplinks {
            if !name.is_valid() || name.pattern() != Ok(None) {
                return Err(Errno(libc::EINVAL));
            }
            if name.as_bytes() == b"lo" || links.iter().any(|link| link.name == *name) {
                return Err(Errno(libc::EEXIST));
            }
            links.push(uplink(*name, links.len() as u32 + 1));
        }
        Ok(State {
            view: self.view,
            links,
            ..State::default()
        })
    }
}

fn loopback() -> Extra {
    Extra {
        index: 1,
        name: Name::new(b"lo").unwrap_or_default(),
        flags: libc::IFF_LOOPBACK as u32,
        mtu: 65536,
        txqueuelen: 1000,
        link_type: libc::ARPHRD_LOOPBACK,
        address: vec![0; 6],
        broadcast: vec![0; 6],
        declared: true,
        ..Extra::default()
    }
}

fn uplink(name: Name, index: u32) -> Extra {
    // As in eth_hw_addr_random the address is locally administered and unicast.
    let mut address = sys::random().to_ne_bytes()[..6].to_vec();
    address[0] = address[0] & 0xfe | 2;
    Extra {
        index,
        name,
        flags: (libc::IFF_BROADCAST | libc::IFF_MULTICAST) as u32,
        mtu: 1500,
        txqueuelen: 1000,
        link_type: libc::ARPHRD_ETHER,
        address,
        broadcast: vec![0xff; 6],
        declared: true,
        ..Extra::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Name> {
        let names = names.iter();
        names
            .map(|n| Name::new(n.as_bytes()).expect("name"))
            .collect()
    }

    #[test]
    fn declared_links_have_the_first_indices_and_stay_in_the_file() {
        let first = First {
            view: View::Isolated,
            uplinks: names(&["eth0", "eth1"]),
        };
        let state = first.state().expect("state");
        let indices: Vec<_> = state.links.iter().map(|link| link.index).collect();
        assert_eq!(indices, [1, 2, 3]);
        assert_eq!(State::from_bytes(&state.to_bytes()), Ok(state));
        for bad in [["eth0", "eth0"], ["eth0", "lo"], ["eth0", "eth%d"]] {
            let first = First {
                view: View::Isolated,
                uplinks: names(&bad),
            };
            assert!(first.state().is_err(), "{bad:?}");
        }
    }
}
