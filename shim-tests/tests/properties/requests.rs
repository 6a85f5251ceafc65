//! Makes any request with any argument, on tunnels in any state.

use super::holds;
use memtun::{uapi, Errno, Net};
use memtun_kernel::net::NoTunnels;
use memtun_kernel::tun::{AttachOptions, Ioctl, Tunnel};
use memtun_kernel::{Argument, NetDir};
use memtun_sys::Fd;
use proptest::collection::vec;
use proptest::prelude::*;

/// An argument in memory of which a part can be read and written.
#[derive(Clone, Debug)]
struct Memory {
    value: usize,
    bytes: Vec<u8>,
}

impl Argument for Memory {
    fn value(&self) -> usize {
        self.value
    }
    fn fetch_part(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Errno> {
        self.fetch_at(offset, into)
    }
    /// Addresses are offsets in the bytes.
    fn fetch_at(&self, address: usize, into: &mut [u8]) -> Result<(), Errno> {
        let from = self.bytes.get(address..);
        let from = from.and_then(|from| from.get(..into.len()));
        into.copy_from_slice(from.ok_or(Errno(libc::EFAULT))?);
        Ok(())
    }
    fn store(&mut self, from: &[u8]) -> Result<(), Errno> {
        let to = self.bytes.get_mut(..from.len());
        to.ok_or(Errno(libc::EFAULT))?.copy_from_slice(from);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open(i32),
    Close(usize),
    Request(usize, u32, Memory),
    Write(usize, Vec<u8>),
    Read(usize, usize),
}

fn request() -> impl Strategy<Value = u32> {
    let known: Vec<u32> = memtun_abi::request::REQUESTS
        .iter()
        .map(|row| row.number)
        .collect();
    let known = proptest::sample::select(known);
    prop_oneof![
        6 => known.clone(),
        2 => Just(uapi::TUNSETIFF),
        1 => (known, 0..32u32).prop_map(|(request, bit)| request ^ 1 << bit),
        1 => any::<u32>(),
    ]
}

fn ifreq() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["", "tun%d", "[a-c]{1,2}", "[ -~]{0,15}"];
    let flags = prop_oneof![
        Just(uapi::IFF_TUN),
        Just(uapi::IFF_TAP | uapi::IFF_NO_PI),
        Just(uapi::IFF_TUN | uapi::IFF_MULTI_QUEUE),
        any::<u16>().prop_map(u32::from),
    ];
    (name, flags).prop_map(|(name, flags)| {
        let mut bytes = vec![0; 40];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[16..18].copy_from_slice(&(flags as u16).to_ne_bytes());
        bytes
    })
}

fn memory() -> impl Strategy<Value = Memory> {
    let bytes = prop_oneof![ifreq(), vec(any::<u8>(), 0..48), vec(0..2u8, 4)];
    let value = prop_oneof![0..3usize, any::<usize>()];
    (value, bytes).prop_map(|(value, bytes)| Memory { value, bytes })
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4usize;
    prop_oneof![
        1 => prop_oneof![Just(libc::O_RDWR | libc::O_NONBLOCK), any::<i32>()].prop_map(Step::Open),
        1 => which.clone().prop_map(Step::Close),
        10 => (which.clone(), request(), memory()).prop_map(|(n, r, m)| Step::Request(n, r, m)),
        2 => (which.clone(), vec(any::<u8>(), 0..100)).prop_map(|(n, b)| Step::Write(n, b)),
        1 => (which, 0..100usize).prop_map(|(n, len)| Step::Read(n, len)),
    ]
}

fn is_errno(errno: &Errno) -> bool {
    (1..=133).contains(&errno.0)
}

#[test]
fn every_request_has_an_answer_of_the_kernels() {
    holds(vec(step(), 1..30), |steps| {
        let net = Net::temporary().expect("a net");
        let dir = net.dir();
        let open = |flags| Tunnel::<&NetDir>::open(dir, flags);
        let mut tunnels = vec![open(libc::O_RDWR | libc::O_NONBLOCK).expect("a tunnel")];
        for step in steps {
            let count = tunnels.len();
            let answer = match step {
                Step::Open(flags) if count < 4 => {
                    // Opens that make other kinds of descriptors are not asked of a device.
                    open(flags & !libc::O_PATH).map(|opened| tunnels.push(opened))
                }
                Step::Open(_) => Ok(()),
                Step::Close(n) if count > 1 => {
                    let (fd, tunnel) = tunnels.remove(n % count);
                    drop(fd);
                    tunnel.closed(&NoTunnels);
                    Ok(())
                }
                Step::Close(_) => Ok(()),
                Step::Request(n, request, mut memory) => {
                    let (fd, tunnel) = &tunnels[n % count];
                    let options = AttachOptions { link_up: true };
                    let answer = tunnel.ioctl(fd.raw(), request, &mut memory, options, &NoTunnels);
                    if let (Ok(Ioctl::Done(made)), uapi::SIOCGSKNS | uapi::TUNGETDEVNETNS) =
                        (&answer, request)
                    {
                        // SAFETY: these two requests make a new descriptor, which belongs to the
                        // caller.
                        drop(unsafe { Fd::from_raw(*made) });
                    }
                    answer.map(drop)
                }
                Step::Write(n, bytes) => {
                    let written = tunnels[n % count].1.write(&bytes.as_slice());
                    prop_assert!(written.is_err() || written == Ok(bytes.len()));
                    written.map(drop)
                }
                Step::Read(n, len) => {
                    let (fd, tunnel) = &tunnels[n % count];
                    tunnel
                        .read(fd.raw(), &mut vec![0; len].as_mut_slice())
                        .map(drop)
                }
            };
            prop_assert!(answer.as_ref().err().is_none_or(is_errno), "{answer:?}");
        }
        net.interfaces().expect("the interfaces");
        Ok(())
    });
}
