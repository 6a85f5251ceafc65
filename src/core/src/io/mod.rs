//! I/O systems: one trait, the in-memory one and the real one, so that code can be written against
//! either, as Twisted's `_IInputOutputSystem`.

use crate::sys::{self, Fd};
use crate::{Errno, Net, NetDir, Operation, Permission, UdpReceiver};
use crate::{Sending, Timeout};
use memtun_abi::error::Result as DriverResult;
use memtun_abi::request::{self, Answer, On};
use memtun_abi::uapi::IfReq;
use memtun_kernel::net::Local;
use memtun_kernel::policy::Policy;
use memtun_kernel::tun::{Argument, AttachOptions, Ioctl, Read, Tunnel};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

type Result<T> = std::result::Result<T, Errno>;

/// Calls of the os module that a tun program makes, and a peer for its datagrams.
pub trait IoSystem {
    /// open(2): a descriptor.
    fn open(&self, path: &str, flags: i32, mode: u32) -> Result<i32>;
    /// read(2) of at most `limit` bytes.
    fn read(&self, fd: i32, limit: usize) -> Result<Vec<u8>>;
    /// write(2): bytes written.
    fn write(&self, fd: i32, data: &[u8]) -> Result<usize>;
    /// ioctl(2): `args` is the struct behind the argument (or the argument itself as a
    /// native-endian int where the request takes one); the struct as it is afterwards.
    fn ioctl(&self, fd: i32, request: u32, args: &[u8]) -> Result<Vec<u8>>;
    /// close(2).
    fn close(&self, fd: i32) -> Result<()>;
    /// Sends a datagram from the network toward the tunnel; where it was sent from.
    fn send_udp(&self, datagram: &[u8], address: SocketAddr) -> DriverResult<SocketAddr>;
    /// Something that receives the datagrams that are written to the tunnel `fd` for this address.
    fn receive_udp(
        &self,
        fd: i32,
        host: IpAddr,
        port: u16,
    ) -> DriverResult<Box<dyn DatagramReceiver>>;
}

/// A socket-like receiver.
pub trait DatagramReceiver {
    /// The next datagram's payload, five seconds waited for. EAGAIN when the time is over.
    fn recv(&mut self) -> DriverResult<Vec<u8>> {
        self.recv_within(Timeout::DEFAULT)
    }

    /// [`DatagramReceiver::recv`] with another patience.
    fn recv_within(&mut self, timeout: Timeout) -> DriverResult<Vec<u8>>;
}

impl DatagramReceiver for UdpReceiver {
    fn recv_within(&mut self, timeout: Timeout) -> DriverResult<Vec<u8>> {
        UdpReceiver::recv_within(self, timeout)
    }
}

impl DatagramReceiver for UdpSocket {
    fn recv_within(&mut self, timeout: Timeout) -> DriverResult<Vec<u8>> {
        let fail = |e: std::io::Error| {
            crate::Error::new(e.raw_os_error().unwrap_or(libc::EIO), e.to_string())
        };
        self.set_nonblocking(timeout == Timeout::NOW)
            .map_err(fail)?;
        self.set_read_timeout(timeout.duration().filter(|t| !t.is_zero()))
            .map_err(fail)?;
        let mut buf = vec![0; 65536];
        let n = UdpSocket::recv(self, &mut buf).map_err(fail)?;
        buf.truncate(n);
        Ok(buf)
    }
}

/// An ifreq with a name and flags, as TUNSETIFF wants it: 16 bytes of name, 2 of flags.
pub fn ifreq(name: &str, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 18];
    let n = name.len().min(16);
    bytes[..n].copy_from_slice(&name.as_bytes()[..n]);
    bytes[16..].copy_from_slice(&(flags as u16).to_ne_bytes());
    bytes
}

/// What an open of a registered path gives: the seed's classes for `registerSpecialDevice`.
pub trait DeviceClass: Send + Sync {
    /// A new open file description.
    fn open(
        &self,
        system: &MemoryIoSystem,
        flags: i32,
        mode: u32,
    ) -> Result<Arc<dyn SpecialDevice>>;
}

/// An open special device.
pub trait SpecialDevice: Send + Sync {
    /// The kernel's descriptor behind it, which poll(2) understands; None to be given a number
    /// without readiness.
    fn descriptor(&self) -> Option<i32>;
    /// read(2).
    fn read(&self, limit: usize) -> Result<Vec<u8>>;
    /// write(2).
    fn write(&self, data: &[u8]) -> Result<usize>;
    /// ioctl(2). EINVAL for requests that it does not know.
    fn ioctl(&self, request: u32, args: &[u8]) -> Result<Vec<u8>>;
    /// close(2) of the last descriptor.
    fn close(&self) {}
}

/// An in-memory system: paths registered as special devices, nothing else. `MemoryIOSystem` of the
/// seed.
pub struct MemoryIoSystem {
    net: Net,
    devices: Mutex<HashMap<String, Arc<dyn DeviceClass>>>,
    open: Mutex<HashMap<i32, OpenDevice>>,
}

/// A device, and the descriptor that only reserves its number where it has none of its own.
type OpenDevice = (Arc<dyn SpecialDevice>, Option<Fd>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl MemoryIoSystem {
    /// A system whose tunnels live in `net`.
    pub fn new(net: &Net) -> MemoryIoSystem {
        MemoryIoSystem {
            net: net.clone(),
            devices: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// The net.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// From now on `class` handles opens of `path`.
    pub fn register_special_device(&self, path: &str, class: impl DeviceClass + 'static) {
        locked(&self.devices).insert(path.to_owned(), Arc::new(class));
    }

    /// The device behind a descriptor (the seed's `getTunnel`).
    pub fn device(&self, fd: i32) -> Result<Arc<dyn SpecialDevice>> {
        locked(&self.open)
            .get(&fd)
            .map(|(device, _)| device.clone())
            .ok_or(Errno(libc::EBADF))
    }

    /// What is known of the tunnel behind a descriptor: the seed's `getTunnel`.
    pub fn tunnel(&self, fd: i32) -> Result<crate::TunnelInfo> {
        let inode = sys::fstat(fd)?.st_ino;
        self.device(fd)?;
        let state = self
            .net
            .dir()
            .tunnel(inode)
            .map_err(|_| Errno(libc::EBADF))?;
        Ok(crate::TunnelInfo::new(inode, &state))
    }
}

impl IoSystem for MemoryIoSystem {
    /// EPERM without the permission "open", ENOSYS for a path that is not registered.
    fn open(&self, path: &str, flags: i32, mode: u32) -> Result<i32> {
        self.net.dir().permit_check(Permission::Open)?;
        let class = locked(&self.devices)
            .get(path)
            .cloned()
            .ok_or(Errno(libc::ENOSYS))?;
        let device = class.open(self, flags, mode)?;
        let (fd, placeholder) = match device.descriptor() {
            Some(fd) => (fd, None),
            None => {
                let number = sys::open(c"/dev/null", libc::O_PATH | libc::O_CLOEXEC, 0)?;
                (number.raw(), Some(number))
            }
        };
        locked(&self.open).insert(fd, (device, placeholder));
        Ok(fd)
    }

    fn read(&self, fd: i32, limit: usize) -> Result<Vec<u8>> {
        self.device(fd)?.read(limit)
    }

    fn write(&self, fd: i32, data: &[u8]) -> Result<usize> {
        self.device(fd)?.write(data)
    }

    fn close(&self, fd: i32) -> Result<()> {
        let (device, _placeholder) = locked(&self.open).remove(&fd).ok_or(Errno(libc::EBADF))?;
        device.close();
        self.net.dir().call_fault(Operation::Close)
    }

    fn ioctl(&self, fd: i32, request: u32, args: &[u8]) -> Result<Vec<u8>> {
        self.net.dir().permit_check(Permission::Ioctl)?;
        self.device(fd)?.ioctl(request, args)
    }

    /// To the tunnel that was opened first, as in the seed; [`crate::Interface::send_udp`] reaches
    /// any.
    fn send_udp(&self, datagram: &[u8], address: SocketAddr) -> DriverResult<SocketAddr> {
        let attached = self
            .net
            .interfaces()?
            .into_iter()
            .find(|i| !i.tunnels.is_empty());
        let name = attached.map(|i| i.name.to_string()).ok_or_else(|| {
            crate::Error::new(
                libc::ENODEV,
                "no tunnel is attached to an interface; open the device and make a TUNSETIFF first",
            )
        })?;
        self.net
            .wait_interface_within(&name, Timeout::NOW)?
            .send_udp_with(datagram, address, Sending::new().within(Timeout::NOW))
    }

    fn receive_udp(
        &self,
        fd: i32,
        host: IpAddr,
        port: u16,
    ) -> DriverResult<Box<dyn DatagramReceiver>> {
        let gone =
            |e: Errno| crate::Error::new(e.0, format!("descriptor {fd} is no attached tunnel"));
        let name = self
            .tunnel(fd)
            .map_err(gone)?
            .name
            .ok_or(Errno(libc::EBADFD))
            .map_err(gone)?;
        let interface = self
            .net
            .wait_interface_within(&name.to_string(), Timeout::NOW)?;
        Ok(Box::new(interface.receive_udp(SocketAddr::new(host, port))))
    }
}

/// The class of [`Tunnel`]: `/dev/net/tun`.
pub struct TunnelClass;

impl DeviceClass for TunnelClass {
    fn open(
        &self,
        system: &MemoryIoSystem,
        flags: i32,
        _mode: u32,
    ) -> Result<Arc<dyn SpecialDevice>> {
        let net = SharedDir(system.net.clone());
        let (fd, tunnel) = Tunnel::open(net, flags)?;
        Ok(Arc::new(OpenTunnel {
            fd: Mutex::new(Some(fd)),
            // SAFETY: all that is done on it here is counted: read, write and ioctl.
            tunnel: unsafe { tunnel.alone_when(Tunnel::counts_one_call) },
        }))
    }
}

/// A net's directory, held by its net.
struct SharedDir(Net);

impl Deref for SharedDir {
    type Target = NetDir;
    fn deref(&self) -> &NetDir {
        self.0.dir()
    }
}

struct OpenTunnel {
    fd: Mutex<Option<Fd>>,
    tunnel: Tunnel<SharedDir>,
}

impl OpenTunnel {
    fn raw(&self) -> Result<i32> {
        locked(&self.fd)
            .as_ref()
            .map(Fd::raw)
            .ok_or(Errno(libc::EBADF))
    }
}

/// This system's own tunnel while it makes an ioctl: the rest is asked of the kernel.
struct OnlyThis(u64, i32);

impl Local for OnlyThis {
    fn descriptor(&self, inode: u64) -> Option<i32> {
        (inode == self.0).then_some(self.1)
    }
}

impl SpecialDevice for OpenTunnel {
    fn descriptor(&self) -> Option<i32> {
        self.raw().ok()
    }

    fn read(&self, limit: usize) -> Result<Vec<u8>> {
        let fd = self.raw()?;
        if self.tunnel.open_flags() & libc::O_ACCMODE == libc::O_WRONLY {
            return Err(Errno(libc::EBADF));
        }
        let mut buf = vec![0u8; limit];
        loop {
            let call = self.tunnel.call();
            let read = self.tunnel.read(fd, &mut buf.as_mut_slice())?;
            drop(call);
            match read {
                Read::Done(n) => {
                    buf.truncate(n);
                    return Ok(buf);
                }
                Read::Empty(deletions) => {
                    sys::wait_readable(fd)?;
                    if self.tunnel.deleted_since(deletions) {
                        return Err(Errno(libc::EFAULT));
                    }
                }
            }
        }
    }

    fn write(&self, data: &[u8]) -> Result<usize> {
        self.raw()?;
        if self.tunnel.open_flags() & libc::O_ACCMODE == libc::O_RDONLY {
            return Err(Errno(libc::EBADF));
        }
        let _call = self.tunnel.call();
        self.tunnel.write(&data)
    }

    fn ioctl(&self, request: u32, args: &[u8]) -> Result<Vec<u8>> {
        let fd = self.raw()?;
        let mut arg = Bytes(args.to_vec());
        let me = OnlyThis(self.tunnel.inode(), fd);
        let _call = self.tunnel.call();
        match self
            .tunnel
            .ioctl(fd, request, &mut arg, AttachOptions { link_up: true }, &me)?
        {
            Ioctl::Done(_) => Ok(arg.0),
            Ioctl::Generic => match &*locked(&self.fd) {
                Some(fd) => known_ioctl(fd, request, &arg.0),
                None => Err(Errno(libc::EBADF)),
            },
        }
    }

    fn close(&self) {
        drop(locked(&self.fd).take());
        self.tunnel.closed(&memtun_kernel::net::NoTunnels);
    }
}

/// An ioctl argument in memory of our own; shorter than the kernel's struct is fine, the rest is
/// zero.
struct Bytes(Vec<u8>);

impl Argument for Bytes {
    fn value(&self) -> usize {
        let mut word = [0u8; 4];
        let n = self.0.len().min(4);
        word[..n].copy_from_slice(&self.0[..n]);
        i32::from_ne_bytes(word) as isize as usize
    }
    fn fetch(&mut self, into: &mut [u8]) -> Result<()> {
        let n = into.len().min(self.0.len());
        into[..n].copy_from_slice(&self.0[..n]);
        into[n..].fill(0);
        Ok(())
    }
    fn store(&mut self, from: &[u8]) -> Result<()> {
        let n = if self.0.is_empty() {
            from.len()
        } else {
            from.len().min(self.0.len())
        };
        self.0.resize(n.max(self.0.len()), 0);
        self.0[..n].copy_from_slice(&from[..n]);
        Ok(())
    }
}

/// An ioctl of [`is_known`]'s.
fn known_ioctl(fd: &Fd, request: u32, args: &[u8]) -> Result<Vec<u8>> {
    let mut memory = [0u8; 1024];
    let n = args.len().min(memory.len());
    memory[..n].copy_from_slice(&args[..n]);
    let arg = if request::is_by_value(request) {
        Bytes(args.to_vec()).value()
    } else {
        memory.as_mut_ptr() as usize
    };
    // SAFETY: the argument is a number where the request takes one, and else 1024 bytes of our own,
    // more than any struct of a request that is known; and none of these structs holds an
    // address that the kernel writes to.
    let answer = unsafe {
        sys::syscall(
            libc::SYS_ioctl,
            [fd.raw() as usize, request as usize, arg, 0, 0, 0],
        )
    };
    if answer < 0 {
        return Err(Errno(-answer as i32));
    }
    Ok(memory[..if n == 0 { IfReq::SIZE } else { n }].to_vec())
}

/// The kernel's own files and devices: paths that were opened here, by the numbers that the kernel
/// gave them, and the requests of the tun driver. EBADF for any other number, EINVAL for any other
/// request.
pub struct RealSystem;

/// What the process has opened by [`RealSystem`]. Kept open while a call is under way.
static OPENED: Mutex<BTreeMap<i32, Arc<Fd>>> = Mutex::new(BTreeMap::new());

fn opened(fd: i32) -> Result<Arc<Fd>> {
    locked(&OPENED).get(&fd).cloned().ok_or(Errno(libc::EBADF))
}

/// A request whose argument is a number, or memory of a size that is known and that holds no
/// address to be written to.
fn is_known(request: u32) -> bool {
    // Of those that every descriptor knows, only what takes a number or an int is answered as for
    // any other file.
    request::on_tunnel(request)
        .is_some_and(|row| row.on != On::Any || !matches!(row.answer, Answer::Refused(..)))
}

impl IoSystem for RealSystem {
    fn open(&self, path: &str, flags: i32, mode: u32) -> Result<i32> {
        let path = std::ffi::CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
        let opened = sys::open(&path, flags, mode)?;
        let fd = opened.raw();
        locked(&OPENED).insert(fd, Arc::new(opened));
        Ok(fd)
    }
    fn read(&self, fd: i32, limit: usize) -> Result<Vec<u8>> {
        let mut buf = vec![0u8; limit];
        let n = sys::read(opened(fd)?.raw(), &mut buf)?;
        buf.truncate(n);
        Ok(buf)
    }
    fn write(&self, fd: i32, data: &[u8]) -> Result<usize> {
        sys::write(opened(fd)?.raw(), data)
    }
    fn ioctl(&self, fd: i32, request: u32, args: &[u8]) -> Result<Vec<u8>> {
        let file = opened(fd)?;
        if !is_known(request) {
            return Err(Errno(libc::EINVAL));
        }
        known_ioctl(&file, request, args)
    }
    fn close(&self, fd: i32) -> Result<()> {
        let closed = locked(&OPENED).remove(&fd);
        closed.map(drop).ok_or(Errno(libc::EBADF))
    }
    /// From a socket of the host; its routes decide which tunnel it reaches.
    fn send_udp(&self, datagram: &[u8], address: SocketAddr) -> DriverResult<SocketAddr> {
        let fail = |e: std::io::Error| {
            crate::Error::new(
                e.raw_os_error().unwrap_or(libc::EIO),
                format!("{address}: {e}"),
            )
        };
        let any: SocketAddr = if address.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any).map_err(fail)?;
        socket.connect(address).map_err(fail)?;
        socket.send(datagram).map_err(fail)?;
        socket.local_addr().map_err(fail)
    }
    fn receive_udp(
        &self,
        _fd: i32,
        host: IpAddr,
        port: u16,
    ) -> DriverResult<Box<dyn DatagramReceiver>> {
        let fail = |e: std::io::Error| {
            crate::Error::new(
                e.raw_os_error().unwrap_or(libc::EIO),
                format!("{host} port {port}: {e}"),
            )
        };
        Ok(Box::new(UdpSocket::bind((host, port)).map_err(fail)?))
    }
}
