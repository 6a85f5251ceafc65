//! The kernel's side: a child in a network namespace of its own has a tun, a tap and two netlink
//! sockets, and does what it is told over a socket.

use memtun_stack::wire::{u16_at, u32_at, Messages};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names the socket to the child.
const VARIABLE: &str = "MEMTUN_HOST_TEST_SOCKET";

/// What the child is told to do.
const SEND: u8 = 1;
const EVENTS: u8 = 2;
const WRITE: u8 = 3;
const IOCTL: u8 = 4;

/// The kernel in a namespace.
pub struct Kernel {
    child: Child,
    stream: UnixStream,
    /// Port of the socket on which requests are sent.
    pub port: u32,
}

impl Kernel {
    /// Starts the child. None, with a line that says why, where there are no namespaces.
    pub fn start() -> Option<Kernel> {
        let name = format!("memtun-host-test-{}-{}", std::process::id(), thread());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let spawned = Command::new("unshare")
            .args(["-Urn", "--"])
            .arg(std::env::current_exe().expect("the test"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                println!("not tested: unshare: {error}");
                let _ = std::fs::remove_file(&path);
                return None;
            }
        };
        listener.set_nonblocking(true).expect("a listener");
        let stream = loop {
            if let Ok((stream, _)) = listener.accept() {
                break Some(stream);
            }
            if child.try_wait().expect("a child").is_some() {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let _ = std::fs::remove_file(&path);
        let Some(mut stream) = stream else {
            println!("not tested: no network namespace here");
            return None;
        };
        stream.set_nonblocking(false).expect("a stream");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a stream");
        let mut port = [0; 4];
        stream.read_exact(&mut port).expect("the port");
        Some(Kernel {
            child,
            stream,
            port: u32::from_ne_bytes(port),
        })
    }

    fn ask(&mut self, what: u8, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut request = vec![what];
        request.extend((bytes.len() as u32).to_ne_bytes());
        request.extend(bytes);
        self.stream.write_all(&request).expect("the child");
        let word = |stream: &mut UnixStream| {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).expect("the child");
            u32::from_ne_bytes(bytes)
        };
        (0..word(&mut self.stream))
            .map(|_| {
                let mut bytes = vec![0; word(&mut self.stream) as usize];
                self.stream.read_exact(&mut bytes).expect("the child");
                bytes
            })
            .collect()
    }

    /// Sends a request, and returns the datagrams of the answer up to the acknowledgement or the
    /// end of the dump.
    pub fn send(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        self.ask(SEND, request)
    }

    /// Returns what listeners were told since the last time.
    pub fn events(&mut self) -> Vec<Vec<u8>> {
        self.ask(EVENTS, &[])
    }

    /// Writes a file.
    pub fn write(&mut self, path: &str, text: &str) {
        self.ask(WRITE, format!("{path}\0{text}").as_bytes());
    }

    /// Makes a request of ioctl(2) on a socket of a family. Returns the errno, 0 for success, and
    /// the argument as it is afterwards.
    pub fn ioctl(&mut self, family: u32, request: u32, argument: &[u8]) -> (i32, Vec<u8>) {
        let mut bytes = family.to_ne_bytes().to_vec();
        bytes.extend(request.to_ne_bytes());
        bytes.extend(argument);
        let mut answer = self.ask(IOCTL, &bytes);
        let argument = answer.pop().expect("an argument");
        let errno = u32_at(&answer[0], 0).expect("an errno");
        (errno as i32, argument)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn thread() -> String {
    let name = std::thread::current();
    name.name().unwrap_or("main").replace("::", "-")
}

/// What the child does. Returns at once in the parent.
pub fn serve() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    let mut stream = UnixStream::connect(path).expect("the parent");
    let _devices = [device("tun0", 1), device("tap0", 2)];
    let requests = netlink(0);
    let listener = netlink(!0 >> 4);
    stream
        .write_all(&port(&requests).to_ne_bytes())
        .expect("the parent");
    let mut head = [0; 5];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32_at(&head, 1).expect("a length") as usize;
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).expect("the parent");
        let answer = match head[0] {
            SEND => exchange(&requests, &bytes),
            EVENTS => std::iter::from_fn(|| receive(&listener, libc::MSG_DONTWAIT)).collect(),
            WRITE => {
                let text = String::from_utf8(bytes).expect("text");
                let (path, text) = text.split_once('\0').expect("a path");
                std::fs::write(path, text).expect("a file that can be written");
                Vec::new()
            }
            _ => ioctl(&bytes),
        };
        let mut reply = (answer.len() as u32).to_ne_bytes().to_vec();
        for datagram in answer {
            reply.extend((datagram.len() as u32).to_ne_bytes());
            reply.extend(datagram);
        }
        stream.write_all(&reply).expect("the parent");
    }
    std::process::exit(0);
}

fn check(result: libc::c_int) -> libc::c_int {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    result
}

fn socket(family: i32, kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: socket(2) takes numbers, and the descriptor that it returns is nobody else's.
    unsafe {
        OwnedFd::from_raw_fd(check(libc::socket(
            family,
            kind | libc::SOCK_CLOEXEC,
            protocol,
        )))
    }
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: i32) {
    // SAFETY: setsockopt(2) reads the four bytes of `value`.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            4,
        )
    });
}

fn netlink(groups: u32) -> OwnedFd {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
    // struct sockaddr_nl: family, padding, port, groups.
    let mut address = [0_u32; 3];
    address[0] = libc::AF_NETLINK as u32;
    address[2] = groups & 0xfff;
    // SAFETY: bind(2) reads the address, whose length is told.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), 12) });
    set(&socket, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
    if groups != 0 {
        set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 200 << 10);
    }
    socket
}

fn port(socket: &OwnedFd) -> u32 {
    let mut bytes = [0_u8; 12];
    let mut length = 12;
    // SAFETY: getsockname(2) writes at most `length` bytes of `bytes`.
    check(unsafe {
        libc::getsockname(
            socket.as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    });
    u32_at(&bytes, 4).expect("a port")
}

fn device(name: &str, flags: u16) -> OwnedFd {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let file = OwnedFd::from(file.expect("/dev/net/tun"));
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(flags | libc::IFF_NO_PI as u16).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes the 40 bytes of the ifreq.
    check(unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, request.as_mut_ptr()) });
    if flags == 2 {
        let mut request = [0_u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16] = 1;
        request[18..24].copy_from_slice(&super::devices::MAC);
        let inet = socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        // SAFETY: SIOCSIFHWADDR reads the 40 bytes of the ifreq.
        check(unsafe { libc::ioctl(inet.as_raw_fd(), libc::SIOCSIFHWADDR, request.as_mut_ptr()) });
    }
    file
}

fn receive(socket: &OwnedFd, flags: i32) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; 64 << 10];
    // SAFETY: recv(2) writes at most the length of `bytes`.
    let length = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    bytes.truncate(usize::try_from(length).ok()?);
    Some(bytes)
}

fn exchange(socket: &OwnedFd, request: &[u8]) -> Vec<Vec<u8>> {
    // The first byte says whether the request is checked strictly.
    set(
        socket,
        libc::SOL_NETLINK,
        libc::NETLINK_GET_STRICT_CHK,
        request[0].into(),
    );
    let request = &request[1..];
    // SAFETY: send(2) reads the bytes of `request`.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            request.as_ptr().cast(),
            request.len(),
            0,
        )
    };
    check(sent as libc::c_int);
    let mut answer = Vec::new();
    loop {
        let datagram = receive(socket, 0).expect("an answer");
        let last = Messages(&datagram).last();
        let ended = last.is_none_or(|m| {
            let kind = i32::from(m.kind);
            kind == libc::NLMSG_ERROR || kind == libc::NLMSG_DONE
        });
        answer.push(datagram);
        if ended {
            return answer;
        }
    }
}

fn ioctl(bytes: &[u8]) -> Vec<Vec<u8>> {
    let family = u32_at(bytes, 0).expect("a family") as i32;
    let request = u32_at(bytes, 4).expect("a request");
    let mut argument = bytes[8..].to_vec();
    // The pointer to a name of a struct rtentry leads behind it.
    let at = if argument.len() == 136 { 120 } else { 0 };
    if at != 0 && u16_at(&argument, 88) != Some(0) {
        let name = argument.as_ptr() as u64 + 120;
        argument[88..96].copy_from_slice(&name.to_ne_bytes());
    }
    let socket = socket(family, libc::SOCK_DGRAM, 0);
    // SAFETY: the argument is at least as long as the struct of the request.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::Ioctl::from(request),
            argument.as_mut_ptr(),
        )
    };
    let errno = match result {
        0.. => 0,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
    };
    // The pointer is as it was given.
    if at != 0 && u16_at(&argument, 88) != Some(0) {
        argument[88..96].copy_from_slice(&1_u64.to_ne_bytes());
    }
    vec![(errno as u32).to_ne_bytes().to_vec(), argument]
}

/// Asks until an answer pleases, for a bounded time. Returns the last answer.
pub fn until<T>(mut ask: impl FnMut() -> T, pleases: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        let answer = ask();
        if pleases(&answer) || Instant::now() > end {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
