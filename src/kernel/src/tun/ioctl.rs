//! The requests that a tun descriptor answers (`__tun_chr_ioctl`).
#![forbid(unsafe_code)]

use super::attach::AttachOptions;
use super::{filter, Tunnel};
use crate::link::ioctl::{get_hardware_address, set_hardware_address};
use crate::link::{ethtool, Link};
use crate::net::{Local, NetDir};
use crate::policy::Policy;
use crate::request::{self, Answer, Need, On, Request};
use crate::shm::layout::Attachment;
use crate::sys::{self, Fd};
use crate::uapi::*;
use crate::{missing, Argument, Errno, Operation, Permission};
use std::ffi::CStr;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;

const INVALID: Errno = Errno(libc::EINVAL);

/// What an ioctl on a tunnel means for the descriptor behind it.
#[derive(Debug, PartialEq, Eq)]
pub enum Ioctl {
    /// The request was carried out and has this return value.
    Done(i32),
    /// Any descriptor knows this request: the caller makes it on the bell.
    Generic,
}

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// Carries out one ioctl. `fd` is the descriptor that the program used. Only the low 32 bits of
    /// a request count, as in the kernel.
    ///
    /// # Errors
    ///
    /// - EPERM when the net does not permit it.
    /// - The errno of a fault.
    /// - EBADFD when the request needs an interface and the tunnel has none.
    /// - EINVAL for an unknown request.
    /// - What the request itself fails with.
    pub fn ioctl(
        &self,
        fd: i32,
        request: u32,
        arg: &mut impl Argument,
        options: AttachOptions,
        local: &dyn Local,
    ) -> Result<Ioctl, Errno> {
        // These checks come first, as those of a security module of the kernel would, because a
        // fault may be set on any request.
        self.net.permit_check(Permission::Ioctl)?;
        self.net.fault_check(Operation::Ioctl, request)?;
        let row = request::on_tunnel(request);
        match row {
            Some(
                row @ Request {
                    on: On::Any,
                    answer: Answer::Refused(errno, _),
                    ..
                },
            ) => {
                if let request::Argument::In(what) = row.argument {
                    arg.fetch(&mut [0; request::LARGEST][..what.size])?;
                }
                Err(Errno(*errno))
            }
            Some(Request { on: On::Any, .. }) => return Ok(Ioctl::Generic),
            Some(row @ Request { on: On::Tunnel, .. }) => {
                self.may(row)?;
                self.tunnel_ioctl(fd, request, arg, options, local)
            }
            _ => self.device_ioctl(row, request, arg),
        }
        .map(Ioctl::Done)
    }

    /// Checks the permission that a request needs: EPERM says that the net does not give it.
    fn may(&self, row: &Request) -> Result<(), Errno> {
        match row.need {
            Need::NetAdmin => self.net.permit_check(Permission::NetAdmin),
            Need::Ioctl | Need::Nothing => Ok(()),
        }
    }

    /// Carries out the requests that need no interface.
    fn tunnel_ioctl(
        &self,
        fd: i32,
        request: u32,
        arg: &mut impl Argument,
        options: AttachOptions,
        local: &dyn Local,
    ) -> Result<i32, Errno> {
        match request {
            TUNSETIFF => self.set_iff(fd, arg, options, local)?,
            TUNGETFEATURES => arg.store(&FEATURES.to_ne_bytes())?,
            TUNSETQUEUE => {
                let mut ifreq = IfReq::default();
                arg.fetch(&mut ifreq.0)?;
                self.set_queue(fd, ifreq.flags() as u32, arg)?;
            }
            TUNSETIFINDEX => self.set_ifindex(arg)?,
            SIOCGSKNS => return namespace(),
            _ => return Err(INVALID),
        }
        Ok(0)
    }

    fn set_ifindex(&self, arg: &mut impl Argument) -> Result<(), Errno> {
        if self.attachment() != Attachment::None {
            return Err(Errno(libc::EPERM));
        }
        let index = fetch_int(arg)?;
        if index < 0 {
            return Err(INVALID);
        }
        self.state.wanted_ifindex.store(index as u32, Relaxed);
        Ok(())
    }

    /// Carries out the requests that need an interface.
    fn device_ioctl(
        &self,
        row: Option<&Request>,
        request: u32,
        arg: &mut impl Argument,
    ) -> Result<i32, Errno> {
        let mut ifreq = IfReq::default();
        if request::kind(request) == request::SOCK_IOC_TYPE {
            arg.fetch(&mut ifreq.0)?;
        }
        let interface = self.interface()?;
        let row = row.filter(|row| row.on != On::Tap || interface.is_tap());
        let row = row.ok_or(INVALID)?;
        self.may(row)?;
        match row.answer {
            Answer::Refused(errno, _) => return Err(Errno(errno)),
            Answer::Absent(..) => return Err(missing::request(&interface, row, request)),
            _ => {}
        }
        let flags = interface.tun_flags.load(Relaxed);
        match request {
            TUNGETIFF => {
                let mut answer = IfReq::default();
                answer.set_name(&self.name().unwrap_or_default());
                let detached = if self.attachment() == Attachment::Detached {
                    IFF_DETACH_QUEUE
                } else {
                    0
                };
                answer.set_flags((flags | self.no_filter() | detached) as u16);
                arg.store(&answer.0)?;
            }
            TUNGETDEVNETNS => return namespace(),
            TUNSETNOCSUM | TUNSETDEBUG => {}
            TUNSETPERSIST => {
                let _lock = self.net.lock()?;
                let persist = if arg.value() as u32 != 0 {
                    IFF_PERSIST
                } else {
                    0
                };
                interface.tun_flags.store(
                    interface.tun_flags.load(Relaxed) & !IFF_PERSIST | persist,
                    Relaxed,
                );
                self.net.announce();
            }
            TUNSETOWNER | TUNSETGROUP => {
                let id = arg.value() as u32 as i32;
                if id == -1 {
                    return Err(INVALID);
                }
                if request == TUNSETOWNER {
                    &interface.owner
                } else {
                    &interface.group
                }
                .store(id, Relaxed);
                self.net.announce();
            }
            TUNSETLINK => {
                if interface.is_up() {
                    return Err(Errno(libc::EBUSY));
                }
                interface
                    .link_type
                    .store(arg.value() as u16 as u32, Relaxed);
                self.net.announce();
            }
            // Nothing is offloaded; what the program can take is told by ethtool(8).
            TUNSETOFFLOAD => {
                check_offload(arg.value())?;
                ethtool::set_offload(&interface, arg.value() as u32);
                self.net.announce();
            }
            TUNGETSNDBUF => arg.store(&interface.sndbuf.load(Relaxed).to_ne_bytes())?,
            TUNSETSNDBUF => match fetch_int(arg)? {
                ..=0 => return Err(INVALID),
                bytes => interface.sndbuf.store(bytes, Relaxed),
            },
            TUNGETVNETHDRSZ => arg.store(&interface.vnet_hdr_size.load(Relaxed).to_ne_bytes())?,
            TUNSETVNETHDRSZ => match fetch_int(arg)? {
                ..VNET_HDR_SIZE => return Err(INVALID),
                bytes => interface.vnet_hdr_size.store(bytes, Relaxed),
            },
            TUNGETVNETLE => arg.store(&interface.vnet_le.load(Relaxed).to_ne_bytes())?,
            TUNSETVNETLE => interface
                .vnet_le
                .store((fetch_int(arg)? != 0) as u32, Relaxed),
            TUNSETCARRIER => {
                interface.change_carrier(fetch_int(arg)? != 0)?;
                self.net.announce();
            }
            TUNSETTXFILTER => {
                let _lock = self.net.lock()?;
                return filter::set_addresses(&interface, arg);
            }
            TUNATTACHFILTER => {
                let _lock = self.net.lock()?;
                self.attach_program(&interface, arg)?;
            }
            TUNDETACHFILTER => {
                let _lock = self.net.lock()?;
                self.detach_program(&interface);
            }
            TUNGETFILTER => self.get_program(&interface, arg)?,
            TUNSETSTEERINGEBPF | TUNSETFILTEREBPF => match fetch_int(arg)? {
                // There is no program, which is taken away.
                -1 => {}
                program => {
                    let errno = not_a_program(program);
                    if is_ebpf(program) {
                        missing::refused(&interface, row, request, errno);
                    }
                    return Err(errno);
                }
            },
            SIOCGIFHWADDR => {
                get_hardware_address(&interface, &mut ifreq);
                arg.store(&ifreq.0)?;
            }
            SIOCSIFHWADDR => self
                .net
                .announced(set_hardware_address(&interface, &ifreq))?,
            _ => return Err(INVALID),
        }
        Ok(0)
    }
}

fn fetch_int(arg: &mut impl Argument) -> Result<i32, Errno> {
    let mut bytes = [0u8; 4];
    arg.fetch(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// Returns why a descriptor cannot be used as an eBPF program.
fn not_a_program(fd: i32) -> Errno {
    match sys::status_flags(fd) {
        Ok(flags) if flags & libc::O_PATH == 0 => INVALID,
        _ => Errno(libc::EBADF),
    }
}

/// Is it the descriptor of an eBPF program?
fn is_ebpf(fd: i32) -> bool {
    sys::path_of_fd(fd, &mut [0; 32]).is_ok_and(|path| path == b"anon_inode:bpf-prog")
}

/// Opens a descriptor of the network namespace that the program is in. It is a real one, for
/// setns(2) and for comparisons.
fn namespace() -> Result<i32, Errno> {
    const PLACES: [&CStr; 2] = [c"/proc/thread-self/ns/net", c"/proc/self/ns/net"];
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let open = |path: &CStr| sys::open(path, flags, 0).map(Fd::into_raw);
    open(PLACES[0]).or_else(|e| match e {
        Errno(libc::ENOENT) => open(PLACES[1]),
        e => Err(e),
    })
}

/// Checks whether `set_offload` accepts this combination of TUN_F_* flags.
fn check_offload(wanted: usize) -> Result<(), Errno> {
    const CSUM: usize = 0x01;
    const TSO: usize = 0x02 | 0x04;
    const TSO_ECN: usize = 0x08;
    const UFO: usize = 0x10;
    const USO: usize = 0x20 | 0x40;
    const UDP_TUNNEL_GSO: usize = 0x80;
    const UDP_TUNNEL_GSO_CSUM: usize = 0x100;
    let mut left = wanted;
    if left & CSUM != 0 {
        left &= !CSUM;
        if left & (TSO | TSO_ECN) != 0 {
            if left & TSO_ECN != 0 && left & TSO == 0 {
                return Err(INVALID);
            }
            left &= !(TSO | TSO_ECN);
        }
        left &= !UFO;
        if left & USO == USO {
            left &= !USO;
        }
        // The inner packets of a UDP tunnel are segmented only where plain ones are, too.
        if left & UDP_TUNNEL_GSO != 0 && (wanted & TSO != 0 || wanted & USO == USO) {
            left &= !UDP_TUNNEL_GSO;
            left &= !UDP_TUNNEL_GSO_CSUM;
        }
    }
    if left != 0 {
        return Err(INVALID);
    }
    Ok(())
}
