//! I/O systems: one trait with an in-memory system and the real one, so that code can be written
//! against either, as with Twisted's `_IInputOutputSystem`.

use crate::sys::{self, Fd};
use crate::{Errno, Net, NetDir, Operation, Permission, Sending, Timeout, UdpReceiver};
use memtun_abi::error::Result as DriverResult;
use memtun_abi::request::{self, Answer, On};
use memtun_abi::uapi::IfReq;
use memtun_kernel::net::Local;
use memtun_kernel::policy::Policy;
use memtun_kernel::tun::{AttachOptions, Ioctl, Read, Tunnel};
use memtun_kernel::Argument;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

type Result<T> = std::result::Result<T, Errno>;

/// The calls of Python's `os` module that a program with a tunnel makes, and a peer for its
/// datagrams.
pub trait IoSystem {
    /// Opens a path as open(2). Returns a descriptor, which the caller closes with
    /// [`IoSystem::close`].
    fn open(&self, path: &str, flags: i32, mode: u32) -> Result<i32>;
    /// Reads at most `limit` bytes as read(2).
    fn read(&self, fd: i32, limit: usize) -> Result<Vec<u8>>;
    /// Writes `data` as write(2). Returns the number of bytes written.
    fn write(&self, fd: i32, data: &[u8]) -> Result<usize>;
    /// Makes the request as ioctl(2). `args` is the struct that the argument points to, or the
    /// argument itself as a native-endian int where the request takes one. Returns the struct as it
    /// is afterwards.
    fn ioctl(&self, fd: i32, request: u32, args: &[u8]) -> Result<Vec<u8>>;
    /// Closes a descriptor as close(2).
    fn close(&self, fd: i32) -> Result<()>;
    /// Sends a datagram from the network toward the tunnel. Returns the address that it was sent
    /// from.
    fn send_udp(&self, datagram: &[u8], address: SocketAddr) -> DriverResult<SocketAddr>;
    /// A receiver of the datagrams that the program writes to the tunnel `fd` for this address.
    fn receive_udp(
        &self,
        fd: i32,
        host: IpAddr,
        port: u16,
    ) -> DriverResult<Box<dyn DatagramReceiver>>;
}

/// A receiver of datagrams that is used like a socket.
pub trait DatagramReceiver {
    /// The payload of the next datagram; waits up to five seconds for it.
    ///
    /// # Errors
    /// - EAGAIN: no datagram came in time.
    fn recv(&mut self) -> DriverResult<Vec<u8>> {
        self.recv_within(Timeout::DEFAULT)
    }

    /// The same as [`DatagramReceiver::recv`] with a timeout of the caller's.
    ///
    /// # Errors
    /// The same as [`DatagramReceiver::recv`].
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

/// An ifreq with a name and flags, as TUNSETIFF takes it: 16 bytes of name and 2 bytes of flags.
pub fn ifreq(name: &str, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 18];
    let n = name.len().min(16);
    bytes[..n].copy_from_slice(&name.as_bytes()[..n]);
    bytes[16..].copy_from_slice(&(flags as u16).to_ne_bytes());
    bytes
}

/// Makes the device that an open of a registered path gives. It stands for the classes that
/// Twisted's `MemoryIOSystem.registerSpecialDevice` takes.
pub trait DeviceClass: Send + Sync {
    /// Opens the device: a new open file description.
    fn open(
        &self,
        system: &MemoryIoSystem,
        flags: i32,
        mode: u32,
    ) -> Result<Arc<dyn SpecialDevice>>;
}

/// An open special device.
pub trait SpecialDevice: Send + Sync {
    /// The kernel's descriptor behind the device, which poll(2) understands. A device with `None`
    /// is given a number that has no readiness.
    fn descriptor(&self) -> Option<i32>;
    /// Reads at most `limit` bytes as read(2).
    fn read(&self, limit: usize) -> Result<Vec<u8>>;
    /// Writes `data` as write(2). Returns the number of bytes written.
    fn write(&self, data: &[u8]) -> Result<usize>;
    /// Makes a request as ioctl(2) and returns its struct.
    ///
    /// # Errors
    /// - EINVAL: the device does not know the request.
    fn ioctl(&self, request: u32, args: &[u8]) -> Result<Vec<u8>>;
    /// Called when the last descriptor of the device is closed.
    fn close(&self) {}
}

/// An in-memory system: it has paths that are registered as special devices, and nothing else. It
/// stands for Twisted's `MemoryIOSystem`.
pub struct MemoryIoSystem {
    net: Net,
    devices: Mutex<HashMap<String, Arc<dyn DeviceClass>>>,
    open: Mutex<HashMap<i32, OpenDevice>>,
}

/// A device, and the descriptor that only reserves a number for a device that has no descriptor of
/// its own.
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

    /// The net in which the tunnels of this system live.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Lets `class` handle opens of `path` from now on.
    pub fn register_special_device(&self, path: &str, class: impl DeviceClass + 'static) {
        locked(&self.devices).insert(path.to_owned(), Arc::new(class));
    }

    /// The device behind a descriptor (`getTunnel` of Twisted's `MemoryIOSystem`).
    pub fn device(&self, fd: i32) -> Result<Arc<dyn SpecialDevice>> {
        locked(&self.open)
            .get(&fd)
            .map(|(device, _)| device.clone())
            .ok_or(Errno(libc::EBADF))
    }

    /// A snapshot of the tunnel behind a descriptor, for which Twisted's `MemoryIOSystem` has
    /// `getTunnel`.
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
    /// Fails with EPERM without the permission "open", and with ENOSYS for a path that is not
    /// registered.
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

    /// Sends to the tunnel that was opened first, as Twisted's `MemoryIOSystem` does;
    /// [`crate::Interface::send_udp`] reaches any tunnel.
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

/// The device class of [`Tunnel`], for `/dev/net/tun`.
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
            // SAFETY: only read, write and ioctl are called on this tunnel, and each of them is
            // counted, so `counts_one_call` tells truly whether a call is the only one.
            tunnel: unsafe { tunnel.alone_when(Tunnel::counts_one_call) },
        }))
    }
}

/// The directory of a net, which stays valid because the net is held with it.
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

/// Answers for this system's own tunnel while it makes an ioctl; everything else is asked of the
/// kernel.
struct OnlyThis(u64, i32);

impl Local for OnlyThis {
    fn descriptor(&self, inode: u64) -> Option<i32> {
        (inode == self.0).then_some(self.1)
    }
    fn is_declared(&self, net: &NetDir, name: &memtun_abi::Name) -> bool {
        memtun_stack::brief::is_declared(net, name)
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

/// An ioctl argument in memory of this process. It may be shorter than the kernel's struct: the
/// rest then reads as zeros.
struct Bytes(Vec<u8>);

impl Argument for Bytes {
    fn value(&self) -> usize {
        let mut word = [0u8; 4];
        let n = self.0.len().min(4);
        word[..n].copy_from_slice(&self.0[..n]);
        i32::from_ne_bytes(word) as isize as usize
    }
    fn fetch_part(&mut self, offset: usize, into: &mut [u8]) -> Result<()> {
        let given = self.0.get(offset..).unwrap_or_default();
        let n = into.len().min(given.len());
        into[..n].copy_from_slice(&given[..n]);
        into[n..].fill(0);
        Ok(())
    }
    /// A pointer within the bytes leads nowhere that could be read safely.
    fn fetch_at(&self, _address: usize, _into: &mut [u8]) -> Result<()> {
        Err(Errno(libc::EFAULT))
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

/// Makes an ioctl for which [`is_known`] is true.
fn known_ioctl(fd: &Fd, request: u32, args: &[u8]) -> Result<Vec<u8>> {
    let mut memory = [0u8; 1024];
    let n = args.len().min(memory.len());
    memory[..n].copy_from_slice(&args[..n]);
    let arg = if request::is_by_value(request) {
        Bytes(args.to_vec()).value()
    } else {
        memory.as_mut_ptr() as usize
    };
    // SAFETY: the argument is a number where the request takes one, and else points to 1024 bytes
    // of our own, which is more than any struct of a known request; none of these structs holds an
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

/// The kernel's own files and devices. It knows the descriptors of the paths that were opened here,
/// by the kernel's numbers, and the requests of the tun driver. Any other descriptor fails with
/// EBADF, and any other request with EINVAL.
pub struct RealSystem;

/// The descriptors that the process has opened by [`RealSystem`]. A descriptor stays open while a
/// call with it is under way.
static OPENED: Mutex<BTreeMap<i32, Arc<Fd>>> = Mutex::new(BTreeMap::new());

fn opened(fd: i32) -> Result<Arc<Fd>> {
    locked(&OPENED).get(&fd).cloned().ok_or(Errno(libc::EBADF))
}

/// Is this a request whose argument is a number, or memory of a known size that holds no address
/// for the kernel to write to?
fn is_known(request: u32) -> bool {
    // Of the requests that every descriptor knows, only those that take a number or an int are
    // made.
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
    /// Sends from a socket of the host, whose routes decide which tunnel the datagram reaches.
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
