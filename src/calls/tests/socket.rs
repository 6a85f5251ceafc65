//! What a request on a socket means, for a back end that has neither a process nor a host: its
//! memory is a vector, and its host a list of names.

use memtun::{ifreq, IoSystem, MemoryIoSystem, Net, TunnelClass};
use memtun_abi::request::option_of;
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_calls::host::Host;
use memtun_calls::interfaces::{self, Answer};
use memtun_calls::socket::{After, OptionCall, Socket, SocketCall, Verdict};
use memtun_calls::Memory;
use memtun_kernel::net::{Create, Join, NetDir, NoTunnels};
use memtun_stack::ask::Start;
use std::sync::Mutex;

const EFAULT: Errno = Errno(libc::EFAULT);
/// Address at which the argument lies.
const ARG: usize = 64;

struct Bytes(Mutex<Vec<u8>>);

impl Bytes {
    fn with(argument: &[u8]) -> Bytes {
        Bytes(Mutex::new([&[0; ARG], argument].concat()))
    }
    fn argument(&self) -> Vec<u8> {
        self.0.lock().expect("the memory")[ARG..].to_vec()
    }
}

impl Memory for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        let bytes = self.0.lock().expect("the memory");
        let end = at.checked_add(into.len()).ok_or(EFAULT)?;
        into.copy_from_slice(bytes.get(at..end).ok_or(EFAULT)?);
        Ok(())
    }
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.0.lock().expect("the memory");
        let end = at.checked_add(from.len()).ok_or(EFAULT)?;
        bytes.get_mut(at..end).ok_or(EFAULT)?.copy_from_slice(from);
        Ok(())
    }
    fn string<'r>(&self, _: usize, _: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        Err(EFAULT)
    }
}

/// A socket of this family, or a file for None. The host has the interfaces eth0 and tun0, each
/// with an address.
struct Fake(Option<i32>);

impl Socket for Fake {
    fn family(&self) -> Result<Option<i32>, Errno> {
        Ok(self.0)
    }
    fn host_has(&self, name: &Name) -> bool {
        [b"eth0", b"tun0"].contains(&name.as_bytes().try_into().unwrap_or(b"    "))
    }
    fn host_is_wireless(&self, request: u32) -> bool {
        request == SIOCIWFIRST
    }
    fn host_addresses(&self, list: &mut [IfReq]) -> Result<usize, Errno> {
        list[0] = named("eth0");
        list[1] = named("tun0");
        Ok(2)
    }
}

/// The host of a net that cannot be started.
struct NoHost;

impl Host for NoHost {
    fn existing(&self) -> Option<&NetDir> {
        None
    }
    fn make(&self) -> Result<&NetDir, Errno> {
        Err(Errno(libc::ENODEV))
    }
    fn is_isolated(&self) -> bool {
        false
    }
    fn start(&self) -> &dyn Start {
        self
    }
    fn program(&self) -> (u32, u32) {
        (0, 0)
    }
}

impl Start for NoHost {
    fn start(&self, _: &NetDir, _: u64) -> Result<Option<memtun_sys::Fd>, Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

const INET: Fake = Fake(Some(libc::AF_INET));

fn named(name: &str) -> IfReq {
    let mut request = IfReq::default();
    request.set_name(&Name::new(name).expect("a name"));
    request
}

/// Makes a net with the interface tun0, which lives as long as the system does.
fn net() -> (Net, MemoryIoSystem, NetDir) {
    let net = Net::temporary().expect("a net");
    let system = MemoryIoSystem::new(&net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR, 0)
        .expect("a tunnel");
    let attached = system.ioctl(fd, TUNSETIFF, &ifreq("tun0", IFF_TUN | IFF_NO_PI));
    attached.expect("an interface");
    let how = Join {
        create: Create::Never,
        owner: None,
        member: false,
    };
    let path = net.path().to_owned();
    let dir = NetDir::join(path.as_os_str().as_encoded_bytes(), how).expect("the net again");
    (net, system, dir)
}

fn call<'c>(
    net: &'c NetDir,
    socket: &'c Fake,
    memory: &'c Bytes,
    request: u32,
) -> SocketCall<'c, Fake, Bytes, NoHost> {
    SocketCall {
        net,
        host: &NoHost,
        local: &NoTunnels,
        socket,
        memory,
        request,
        arg: ARG,
    }
}

fn outcome(net: &NetDir, socket: &Fake, memory: &Bytes, request: u32) -> String {
    match call(net, socket, memory, request).ioctl() {
        Ok(Verdict::Done(_)) => "done".into(),
        Ok(Verdict::Host(After::Nothing)) => "host".into(),
        Ok(Verdict::Host(After::Named)) => "host, named".into(),
        Ok(Verdict::Host(After::Name)) => "host, name".into(),
        Ok(Verdict::Host(After::Addresses(room))) => format!("host, addresses, {room}"),
        Ok(Verdict::Host(After::Address)) => "host, address".into(),
        Ok(Verdict::Host(After::Neighbour)) => "host, neighbour".into(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn whose_interface_it_is_decides_who_answers() {
    let (_net, _system, dir) = net();
    let memory = Bytes::with(&named("tun0").0);
    assert_eq!(outcome(&dir, &INET, &memory, SIOCGIFMTU), "done");
    assert_eq!(memory.argument()[16..20], 1500i32.to_ne_bytes());
    let of = |name: &str, family, request| {
        outcome(&dir, &Fake(family), &Bytes::with(&named(name).0), request)
    };
    let inet = Some(libc::AF_INET);
    assert_eq!(of("eth0", inet, SIOCGIFMTU), "host, named");
    assert_eq!(of("tun0", None, SIOCGIFMTU), "host");
    assert_eq!(of("tun0", inet, SIOCGIFADDR), "EADDRNOTAVAIL");
    assert_eq!(of("tun0", Some(libc::AF_UNIX), SIOCGIFADDR), "ENOTTY");
    assert_eq!(of("tun0", inet, SIOCIWFIRST), "EOPNOTSUPP");
    assert_eq!(of("tun0", inet, SIOCIWFIRST + 1), "ENOTTY");
    assert_eq!(of("tun0", inet, SIOCSIFADDR), "EOPNOTSUPP");
    assert_eq!(of("tun0:1", inet, SIOCSIFFLAGS), "EADDRNOTAVAIL");
    assert_eq!(of("tun0:1", inet, SIOCGIFMTU), "done");
    assert!(of("tun0", inet, SIOCGIFCONF).starts_with("host, addresses, "));
    assert_eq!(of("tun0", inet, SIOCGPGRP), "host");
    // The host reports memory that cannot be read, unless it would complain about a missing
    // privilege instead.
    let short = Bytes::with(&named("tun0").0[..39]);
    assert_eq!(outcome(&dir, &INET, &short, SIOCGIFMTU), "host, named");
    assert_eq!(outcome(&dir, &INET, &short, SIOCSIFMTU), "EFAULT");
}

#[test]
fn what_the_host_says_of_the_nets_names_is_taken_back() {
    let (_net, _system, dir) = net();
    let eperm = Err(Errno(libc::EPERM));
    let after = |name: &str, request, after, answer| {
        let memory = Bytes::with(&named(name).0);
        call(&dir, &INET, &memory, request).after(after, answer)
    };
    assert_eq!(
        after("nothere", SIOCSIFMTU, After::Named, eperm),
        Err(Errno(libc::ENODEV))
    );
    assert_eq!(after("eth0", SIOCSIFMTU, After::Named, eperm), eperm);
    assert_eq!(
        after("tun0", SIOCGIFNAME, After::Name, Ok(0)),
        Err(Errno(libc::ENODEV))
    );
    assert_eq!(after("eth0", SIOCGIFNAME, After::Name, Ok(0)), Ok(0));
    // The first list has three elements; then only the length of the list is asked.
    let list = ["tun0", "eth0", "tun0:1"]
        .map(|name| named(name).0)
        .concat();
    let conf = |list: usize| [&120i64.to_ne_bytes()[..], &list.to_ne_bytes()].concat();
    let memory = Bytes::with(&[conf(ARG + 16), list].concat());
    let call = call(&dir, &INET, &memory, SIOCGIFCONF);
    assert_eq!(call.after(After::Addresses(120), Ok(0)), Ok(0));
    assert_eq!(memory.argument()[..4], 40i32.to_ne_bytes());
    assert_eq!(memory.argument()[16..32], named("eth0").0[..16]);
    let memory = Bytes::with(&conf(0));
    let call = SocketCall {
        memory: &memory,
        ..call
    };
    assert_eq!(call.after(After::Addresses(120), Ok(0)), Ok(0));
    assert_eq!(memory.argument()[..4], 80i32.to_ne_bytes());
}

#[test]
fn a_socket_is_bound_to_an_interface_of_the_net_by_its_inode() {
    let (_net, _system, dir) = net();
    fn call<'c>(
        net: &'c NetDir,
        memory: &'c Bytes,
        inode: u64,
        number: i32,
    ) -> OptionCall<'c, Bytes> {
        OptionCall {
            net,
            local: &NoTunnels,
            memory,
            inode,
            socket: (libc::AF_INET, libc::SOCK_DGRAM),
            option: option_of(libc::SOL_SOCKET, number).expect("it has a row"),
            towards: &|_| Ok(None),
            joined: &|joining| Ok(!joining.joins),
            filtered: &|_, _| Ok(()),
            sources: &|_| Err(memtun_abi::Errno(libc::EADDRNOTAVAIL)),
        }
    }
    let set = |name: &str, inode| {
        let memory = Bytes::with(&named(name).0);
        call(&dir, &memory, inode, libc::SO_BINDTODEVICE).set(ARG, name.len())
    };
    let get = |inode, number| {
        let memory = Bytes::with(&[&[0xff; 16], &16u32.to_ne_bytes()[..]].concat());
        let done = call(&dir, &memory, inode, number).get(ARG, ARG + 16);
        done.map(|done| done.then(|| memory.argument()))
    };
    assert_eq!(get(7, libc::SO_BINDTODEVICE), Ok(None));
    assert_eq!(set("eth0", 7), Ok(false));
    assert_eq!(set("tun0", 7), Ok(true));
    let told = get(7, libc::SO_BINDTODEVICE)
        .expect("an answer")
        .expect("of the net");
    assert_eq!(
        (&told[..5], &told[16..]),
        (&b"tun0\0"[..], &5u32.to_ne_bytes()[..])
    );
    let told = get(7, libc::SO_BINDTOIFINDEX)
        .expect("an answer")
        .expect("of the net");
    assert_eq!(told[16..], 4u32.to_ne_bytes());
    assert!(u32::from_ne_bytes(told[..4].try_into().expect("4 bytes")) >= 1001);
    // Another socket is not bound, and a socket that the machine has bound is no more.
    assert_eq!(get(8, libc::SO_BINDTODEVICE), Ok(None));
    assert_eq!(set("eth0", 7), Ok(false));
    assert!(get(7, libc::SO_BINDTODEVICE).is_ok_and(|told| told.is_some()));
    let memory = Bytes::with(b"eth0");
    assert_eq!(
        call(&dir, &memory, 7, libc::SO_BINDTODEVICE).replaced(),
        Ok(())
    );
    assert_eq!(get(7, libc::SO_BINDTODEVICE), Ok(None));
    assert_eq!((set("tun0", 7), set("", 7)), (Ok(true), Ok(true)));
    assert_eq!(get(7, libc::SO_BINDTODEVICE), Ok(None));
    assert!(option_of(libc::SOL_SOCKET, libc::SO_KEEPALIVE).is_none());
    assert!(option_of(libc::IPPROTO_TCP, libc::SO_BINDTODEVICE).is_none());
}

#[test]
fn a_mark_that_the_kernel_refuses_is_kept_and_told_again() {
    let (_net, _system, dir) = net();
    let memory = Bytes::with(&[7u32.to_ne_bytes(), 4u32.to_ne_bytes()].concat());
    let call = |number| OptionCall {
        net: &dir,
        local: &NoTunnels,
        memory: &memory,
        inode: 9,
        socket: (libc::AF_INET, libc::SOCK_DGRAM),
        option: option_of(libc::SOL_SOCKET, number).expect("it has a row"),
        towards: &|_| Ok(None),
        joined: &|joining| Ok(!joining.joins),
        filtered: &|_, _| Ok(()),
        sources: &|_| Err(memtun_abi::Errno(libc::EADDRNOTAVAIL)),
    };
    let mark = call(libc::SO_MARK);
    // The kernel is asked first, and a value that is too short is its to refuse.
    assert_eq!(mark.set(ARG, 4), Ok(false));
    assert_eq!(mark.refused(ARG, 3), Ok(false));
    assert_eq!(mark.get(ARG, ARG + 4), Ok(false));
    assert_eq!(call(libc::SO_BINDTODEVICE).refused(ARG, 4), Ok(false));
    assert_eq!(mark.refused(ARG, 4), Ok(true));
    memory.write(ARG, &[0; 4]).expect("room");
    assert_eq!(mark.get(ARG, ARG + 4), Ok(true));
    assert_eq!(memory.argument()[..4], 7u32.to_ne_bytes());
    assert_eq!(
        (mark.replaced(), mark.get(ARG, ARG + 4)),
        (Ok(()), Ok(false))
    );
}

#[test]
fn names_and_indexes_of_the_net() {
    let (_net, _system, dir) = net();
    let index = match interfaces::index_of(&dir, b"tun0", &NoTunnels) {
        Ok(Answer::Is(index)) => index,
        _ => panic!("tun0 has an index"),
    };
    assert!(
        matches!(interfaces::name_of(&dir, index, &NoTunnels), Ok(Answer::Is(name)) if name.as_bytes() == b"tun0")
    );
    assert!(matches!(
        interfaces::index_of(&dir, b"eth0", &NoTunnels),
        Ok(Answer::Ask)
    ));
    let all = interfaces::all(&dir, &NoTunnels).expect("a list");
    assert_eq!(all, [(index, Name::new("tun0").expect("a name"))]);
    assert!(interfaces::is_known(&dir, b"tun0:7") && !interfaces::is_known(&dir, b"eth0"));
}
