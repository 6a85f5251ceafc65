//! What calls on ordinary sockets mean in a net with addresses, for a back end that has neither a
//! process nor a host: its sockets are values, and its table is written here.

use memtun_abi::Errno;
use memtun_calls::host::Host;
use memtun_calls::inet::call::carrier;
use memtun_calls::inet::datagram::control::{self, Rules};
use memtun_calls::inet::datagram::receive::Heard;
use memtun_calls::inet::datagram::shown::{show, Came};
use memtun_calls::inet::datagram::Given;
use memtun_calls::inet::names::Accepted;
use memtun_calls::inet::pending::Pending;
use memtun_calls::inet::{name, Inet, Native};
use memtun_calls::Memory;
use memtun_kernel::net::{Create, Join, NetDir};
use memtun_shm::layout::{InetState, Rows, OWN_WORDS, SOCKET_WORDS};
use memtun_shm::Mapped;
use memtun_stack::ask::Start;
use memtun_stack::sockets::row::{places, PortKind, Translated};
use memtun_stack::sockets::{flag, Entry, Flow, Own, Protocol, Report, Table};
use memtun_sys::Fd;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Mutex;

const BASE: u32 = 127 << 24 | 5 << 14;
const PLUG: u16 = 4001;
const DATAGRAM: u16 = 4004;
const COOKIE: u64 = 77;

fn alias(at: u32) -> Ipv4Addr {
    Ipv4Addr::from(BASE | at)
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("a name")
}

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

/// Nobody answers, so that the table alone says whose a name is.
impl Start for NoHost {
    fn start(&self, _net: &NetDir, _before: u64) -> Result<Option<Fd>, Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

/// A socket of the machine's.
#[derive(Clone, Copy)]
struct Fake {
    family: i32,
    protocol: i32,
    own: &'static str,
    peer: Option<&'static str>,
    state: u8,
    /// Segments that it has got for its last connection.
    segments: u32,
}

const TCP: Fake = Fake {
    family: libc::AF_INET,
    protocol: libc::IPPROTO_TCP,
    own: "0.0.0.0:0",
    peer: None,
    state: 7,
    segments: 0,
};

const UDP: Fake = Fake {
    protocol: libc::IPPROTO_UDP,
    ..TCP
};

/// The family of a socket that a sandbox tells nothing of.
const FORBIDDEN: i32 = -1;

impl Native for Fake {
    fn own_name(&self) -> Result<SocketAddr, Errno> {
        Ok(at(self.own))
    }
    fn peer_name(&self) -> Result<SocketAddr, Errno> {
        self.peer.map(at).ok_or(Errno(libc::ENOTCONN))
    }
    fn option(&self, level: i32, option: i32) -> Result<i32, Errno> {
        Ok(match (level, option) {
            (libc::SOL_SOCKET, libc::SO_DOMAIN) if self.family == FORBIDDEN => {
                return Err(Errno(libc::EPERM));
            }
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => self.family,
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => self.protocol,
            (libc::SOL_SOCKET, libc::SO_TYPE) => match self.protocol {
                libc::IPPROTO_TCP => libc::SOCK_STREAM,
                _ => libc::SOCK_DGRAM,
            },
            (libc::IPPROTO_TCP, libc::TCP_INFO) => self.state.into(),
            _ => 0,
        })
    }
    fn set_option(&self, _: i32, _: i32, _: i32) -> Result<(), Errno> {
        Ok(())
    }
    fn cookie(&self) -> Result<u64, Errno> {
        Ok(COOKIE)
    }
    fn inode(&self) -> Result<u64, Errno> {
        Ok(1)
    }
    fn segments_received(&self) -> Result<u32, Errno> {
        Ok(self.segments)
    }
    fn bytes_written(&self) -> Result<u64, Errno> {
        Ok(0)
    }
    fn ip_options(&self, _: &mut [u8; 40]) -> Result<usize, Errno> {
        Ok(0)
    }
    fn is_nonblocking(&self) -> bool {
        false
    }
    fn bind(&self, _: &SocketAddr) -> Result<(), Errno> {
        Err(Errno(libc::EACCES))
    }
}

/// A net in a directory that is removed, with one own address, 10.9.0.1, and one flow.
struct Place {
    net: NetDir,
    table: Table,
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let name = format!("memtun-calls-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        let how = Join {
            create: Create::Named,
            owner: None,
            member: true,
        };
        let net = NetDir::join(path.to_str().expect("text").as_bytes(), how).expect("a net");
        let state = net.make_inet().expect("made");
        state.slices[0].store(BASE, Relaxed);
        state.active.store(1, Relaxed);
        state.own_rows.store(2, Relaxed);
        let ports = u64::from(DATAGRAM) << 48 | u64::from(PLUG);
        state.ports.store(ports, Relaxed);
        state.socket_rows.store(1, Relaxed);
        state.secret[0].store(0x1234_5678, Relaxed);
        let own = Own {
            address: "10.9.0.1".parse().expect("an address"),
            scope: 0,
        };
        write::<OWN_WORDS>(&state, Rows::Own, 1, &own.to_words());
        let table = Table::of(state);
        Place { net, table, path }
    }

    fn flow(&self, protocol: Protocol) -> &Place {
        let flow = Flow {
            protocol,
            local: at("10.9.0.1:5000"),
            remote: at("10.9.0.2:80"),
            ifindex: 2,
            mss: 1000,
            error: 0,
        };
        let reserved = self.table.mapped().reserve_row(Rows::Flows, 0);
        reserved.expect("memory");
        let (row, _) = self.table.flow_row(0).expect("a row");
        memtun_stack::sockets::row::write(row, &flow.to_words());
        self
    }

    fn entry(&self, entry: &Entry) {
        let state = self.table.mapped();
        write::<SOCKET_WORDS>(state, Rows::Sockets, 0, &entry.to_words(0));
        let place = places(COOKIE, Rows::Index.count()).next().expect("a place");
        let word = COOKIE << 32 | 1;
        state.row::<1>(Rows::Index, place).expect("a row")[0].store(word, Relaxed);
    }

    fn call<'c>(&'c self, socket: &'c Fake) -> Inet<'c, Fake, NoHost> {
        Inet {
            net: &self.net,
            table: &self.table,
            host: &NoHost,
            socket,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.net.remove();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn write<const N: usize>(state: &Mapped<InetState>, rows: Rows, at: usize, words: &[u64; N]) {
    state.reserve_row(rows, at).expect("room");
    let row = state.row::<N>(rows, at).expect("a row");
    for (to, word) in row.iter().zip(words).skip(1) {
        to.store(*word, Relaxed);
    }
    // An even number says that the row is whole.
    row[0].store(2, Relaxed);
}

fn entry(local: &str, native: &str, flags: u32) -> Entry {
    Entry {
        cookie: COOKIE,
        inode: 1,
        uid: 0,
        protocol: Protocol::Tcp,
        family: libc::AF_INET as u16,
        local: at(local),
        native: at(native),
        remote: None,
        flow: None,
        device: 0,
        flags,
    }
}

#[test]
fn a_name_is_that_of_the_flow_then_of_the_entry_then_of_the_alias() {
    let place = Place::new("names");
    place.flow(Protocol::Tcp);
    let own = format!("{}:6000", alias(1)).leak() as &str;
    let flow = format!("{}:1", alias(256)).leak() as &str;
    let connected = Fake {
        own,
        peer: Some(flow),
        ..TCP
    };
    let call = place.call(&connected);
    assert_eq!(call.own_name(&at(own)), Some(at("10.9.0.1:5000")));
    assert_eq!(call.peer_name(&at(flow)), Some(at("10.9.0.2:80")));
    let listening = Fake {
        own,
        state: 10,
        ..TCP
    };
    let call = place.call(&listening);
    assert_eq!(call.own_name(&at(own)), Some(at("10.9.0.1:6000")));
    // The machine has refused the net's port.
    let moved = Translated {
        kind: PortKind::Tcp,
        port: 6000,
        stands_for: 80,
    };
    let key = Translated::key(moved.kind, moved.port);
    let at_place = places(key.into(), Rows::Ports.count())
        .next()
        .expect("a place");
    let state = place.table.mapped();
    state.row::<1>(Rows::Ports, at_place).expect("a row")[0].store(moved.to_word(), Relaxed);
    assert_eq!(call.own_name(&at(own)), Some(at("10.9.0.1:80")));
    place.entry(&entry("10.9.0.1:81", own, flag::ADDRESS_GIVEN));
    assert_eq!(call.own_name(&at(own)), Some(at("10.9.0.1:81")));
    // The machine's own names stay.
    assert_eq!(
        call.own_name(&at("127.0.0.1:6000")),
        Some(at("10.9.0.1:81"))
    );
    assert_eq!(call.own_name(&at("192.0.2.1:5")), None);
    assert_eq!(call.remote_name(&at("127.0.0.1:5")), None);
}

#[test]
fn a_connection_that_did_not_come_leaves_a_socket_its_port() {
    let place = Place::new("refused");
    let own = format!("{}:6000", alias(1)).leak() as &str;
    place.entry(&entry("10.9.0.1:6000", own, 0));
    let refused = Fake { own, ..TCP };
    assert_eq!(
        place.call(&refused).own_name(&at(own)),
        Some(at("0.0.0.0:6000"))
    );
    let pending = Fake {
        state: 2,
        ..refused
    };
    // One that was reset has it until the program begins another one.
    let reset = Fake {
        segments: 3,
        ..refused
    };
    for socket in [pending, reset] {
        assert_eq!(
            place.call(&socket).own_name(&at(own)),
            Some(at("10.9.0.1:6000"))
        );
    }
}

#[test]
fn a_socket_of_which_nothing_can_be_told_does_not_reach_the_machine() {
    let place = Place::new("untold");
    place.table.mapped().active.store(1, Relaxed);
    let socket = Fake {
        family: FORBIDDEN,
        ..TCP
    };
    let pending = Pending::new();
    let (name, refused) = (at("10.9.0.2:80"), Errno(libc::EPERM));
    let call = place.call(&socket);
    assert_eq!(call.connect(name, &pending).err(), Some(refused));
    assert_eq!(call.bind(name, 0).err(), Some(refused));
    assert!(call.kind().is_none());
}

#[test]
fn nobody_but_the_net_connects_to_an_alias() {
    let place = Place::new("accept");
    let own = format!("{}:80", alias(1)).leak() as &str;
    let by_alias = Fake { own, ..TCP };
    let by_loopback = Fake {
        own: "127.0.0.1:80",
        ..TCP
    };
    let from_flow = SocketAddr::from((alias(256), PLUG));
    assert_eq!(
        place.call(&by_alias).accepted(&from_flow),
        Accepted::Foreign,
        "no such flow"
    );
    place.flow(Protocol::Udp);
    assert_eq!(
        place.call(&by_alias).accepted(&from_flow),
        Accepted::Foreign
    );
    place.flow(Protocol::Tcp);
    let there = Accepted::Net(at("10.9.0.2:80"));
    assert_eq!(place.call(&by_alias).accepted(&from_flow), there);
    let by_another_user = SocketAddr::from((alias(256), PLUG + 1));
    assert_eq!(
        place.call(&by_alias).accepted(&by_another_user),
        Accepted::Foreign
    );
    let here = SocketAddr::from((alias(1), 7));
    assert_eq!(
        place.call(&by_alias).accepted(&here),
        Accepted::Foreign,
        "no socket of the net is bound there"
    );
    let native = here.to_string();
    place.entry(&entry("10.9.0.1:7", &native, flag::ADDRESS_GIVEN));
    let local = Accepted::Net(at("10.9.0.1:7"));
    assert_eq!(place.call(&by_alias).accepted(&here), local);
    let machine = at("127.0.0.1:7");
    assert_eq!(place.call(&by_alias).accepted(&machine), Accepted::Foreign);
    assert_eq!(
        place.call(&by_loopback).accepted(&machine),
        Accepted::Machine
    );
    let mapped = SocketAddr::new(alias(256).to_ipv6_mapped().into(), PLUG);
    assert_eq!(
        place.call(&by_alias).accepted(&mapped),
        Accepted::Net(at("[::ffff:10.9.0.2]:80"))
    );
}

#[test]
fn a_datagram_is_heard_from_the_host_process_alone() {
    let place = Place::new("heard");
    place.flow(Protocol::Udp);
    let own = format!("{}:5000", alias(1)).leak() as &str;
    let bound = Fake { own, ..UDP };
    let any = Fake {
        own: "0.0.0.0:5000",
        ..UDP
    };
    let call = place.call(&bound);
    let from_host = SocketAddr::from((alias(256), DATAGRAM));
    let Heard::From(name, Some(flow)) = call.heard(&from_host, b"hello") else {
        panic!("it is the program's")
    };
    assert_eq!((name, flow.ifindex), (at("10.9.0.2:80"), 2));
    let forged = SocketAddr::from((alias(256), DATAGRAM + 1));
    assert_eq!(call.heard(&forged, b"hello"), Heard::Skipped);
    let here = SocketAddr::from((alias(1), 7));
    assert_eq!(call.heard(&here, b"hello"), Heard::Skipped);
    let native = here.to_string();
    let sender = entry("10.9.0.1:7", &native, flag::ADDRESS_GIVEN);
    let protocol = Protocol::Udp;
    place.entry(&Entry { protocol, ..sender });
    let local = Heard::From(at("10.9.0.1:7"), None);
    assert_eq!(call.heard(&here, b"hello"), local);
    let no_flow = SocketAddr::from((alias(257), DATAGRAM));
    assert_eq!(call.heard(&no_flow, b"hello"), Heard::Skipped);
    assert_eq!(call.heard(&at("127.0.0.1:9"), b"hello"), Heard::Skipped);
    assert_eq!(
        place.call(&any).heard(&at("127.0.0.1:9"), b"hello"),
        Heard::Machine
    );
    let report = Report {
        errno: libc::ECONNREFUSED as u32,
        origin: 2,
        kind: 3,
        code: 3,
        hops: 63,
        info: 0,
        offender: "10.9.0.2".parse().expect("an address"),
        scope: 0,
        number: 1,
    };
    let bytes = report.to_bytes(place.table.secret());
    assert!(matches!(call.heard(&from_host, &bytes), Heard::Report(r, _) if r == report));
    let guessed = report.to_bytes([7; 16]);
    assert!(matches!(call.heard(&from_host, &guessed), Heard::From(..)));
}

struct Bytes(Mutex<Vec<u8>>);

impl Memory for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        let bytes = self.0.lock().expect("the memory");
        let found = bytes.get(at..at + into.len()).ok_or(Errno(libc::EFAULT))?;
        into.copy_from_slice(found);
        Ok(())
    }
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.0.lock().expect("the memory");
        let place = bytes.get_mut(at..at + from.len());
        place.ok_or(Errno(libc::EFAULT))?.copy_from_slice(from);
        Ok(())
    }
    fn string<'r>(&self, _: usize, _: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        Err(Errno(libc::EFAULT))
    }
}

/// A control message, as it stands in a program's memory.
fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + data.len()).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&level.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn given(messages: &[Vec<u8>]) -> Result<Given, Errno> {
    given_by(Rules::V4, messages)
}

fn given_by(rules: Rules, messages: &[Vec<u8>]) -> Result<Given, Errno> {
    let bytes = [vec![0; 8], messages.concat()].concat();
    let length = bytes.len() - 8;
    control::given(&Bytes(Mutex::new(bytes)), 8, length, rules)
}

#[test]
fn control_messages_are_read_as_the_kernel_reads_them() {
    let (ip, ttl) = (libc::IPPROTO_IP, libc::IP_TTL);
    let info = [&2u32.to_ne_bytes()[..], &[10, 9, 0, 3], &[0; 4]].concat();
    let all = given(&[
        message(ip, libc::IP_PKTINFO, &info),
        message(ip, ttl, &9i32.to_ne_bytes()),
        message(ip, libc::IP_TOS, &[16]),
        message(libc::IPPROTO_UDP, 103, &500u16.to_ne_bytes()),
    ]);
    let expected = Given {
        source: Some("10.9.0.3".parse().expect("an address")),
        out: 2,
        hops: Some(9),
        class: Some(16),
        segment: Some(500),
        more: false,
        told: true,
        probes: false,
    };
    assert_eq!(all, Ok(expected));
    let wrong = Err(Errno(libc::EINVAL));
    assert_eq!(given(&[message(ip, ttl, &0i32.to_ne_bytes())]), wrong);
    assert_eq!(given(&[message(ip, ttl, &256i32.to_ne_bytes())]), wrong);
    let mut torn = message(ip, ttl, &9i32.to_ne_bytes());
    torn[0] = 200;
    assert_eq!(given(&[torn]), wrong);
    assert_eq!(given(&[]), Ok(Given::default()));

    // What is of the other protocol means nothing.
    let (v4, v6) = ([10, 9, 0, 3], libc::IPPROTO_IPV6);
    let class = message(v6, libc::IPV6_TCLASS, &7i32.to_ne_bytes());
    let hops = message(ip, ttl, &9i32.to_ne_bytes());
    let both = [hops, class];
    let of = |hops, class| {
        Ok(Given {
            hops,
            class,
            told: true,
            ..Given::default()
        })
    };
    assert_eq!(given_by(Rules::V6, &both), of(None, Some(7)));
    assert_eq!(given_by(Rules::Mapped, &both), of(Some(9), None));
    assert_eq!(given_by(Rules::V4, &both), of(Some(9), None));
    let mapped = [&[0; 10][..], &[255, 255], &v4, &2u32.to_ne_bytes()].concat();
    let mapped = [message(v6, libc::IPV6_PKTINFO, &mapped)];
    let taken = given_by(Rules::Mapped, &mapped).map(|given| (given.source, given.out));
    assert_eq!(taken, Ok((Some(IpAddr::from(v4)), 2)));
    assert_eq!(given_by(Rules::V6, &mapped), wrong);
    let any = [message(v6, libc::IPV6_PKTINFO, &[0; 20])];
    assert_eq!(given_by(Rules::V6, &any), of(None, None));
    assert_eq!(given_by(Rules::Mapped, &any), wrong);
}

#[test]
fn what_came_with_a_datagram_is_shown_as_the_nets() {
    let place = Place::new("control");
    let flow = *place
        .flow(Protocol::Udp)
        .table
        .flow(alias(256))
        .as_ref()
        .expect("a flow");
    let came = |flow, is_v6| {
        Some(Came {
            net: &place.net,
            table: &place.table,
            flow,
            is_v6,
        })
    };
    let shown = |came: Option<Came<'_>>, native: &[u8], room: usize| {
        let memory = Bytes(Mutex::new(vec![0; 64]));
        let (used, cut) = show(&memory, came, native, (0, room));
        let bytes = memory.0.lock().expect("the memory")[..used].to_vec();
        (bytes, cut)
    };
    let native = [
        &1u32.to_ne_bytes()[..],
        &alias(1).octets(),
        &alias(1).octets(),
    ]
    .concat();
    let (ip, ip6) = (libc::IPPROTO_IP, libc::IPPROTO_IPV6);
    let info = message(ip, libc::IP_PKTINFO, &native);
    let expected = [&2u32.to_ne_bytes()[..], &[10, 9, 0, 1], &[10, 9, 0, 1]].concat();
    let expected = message(ip, libc::IP_PKTINFO, &expected);
    let answer = shown(came(Some(&flow), false), &info, 64);
    assert_eq!(answer, (expected.clone(), false));
    assert_eq!(
        shown(None, &info, 64),
        (info.clone(), false),
        "the machine's"
    );

    // A datagram of IPv6 comes in one of IPv4. Both are cut as the kernel cuts the longer one.
    let class = message(ip, libc::IP_TOS, &[7]);
    let expected_class = message(ip6, libc::IPV6_TCLASS, &7i32.to_ne_bytes());
    let answer = shown(came(None, true), &class, 24);
    assert_eq!(answer, (expected_class.clone(), false));
    let answer = shown(came(None, false), &class, 24);
    assert_eq!(answer, (class.clone(), false));
    let (cut, is_cut) = shown(came(None, true), &class, 18);
    assert!(is_cut);
    assert_eq!(cut[..8], 18usize.to_ne_bytes());
    assert_eq!(cut[8..18], expected_class[8..18]);
    assert_eq!(shown(came(None, true), &class, 15), (vec![], true));
    let two = [info.clone(), class].concat();
    let (bytes, is_cut) = shown(came(Some(&flow), false), &two, 40);
    assert_eq!((bytes, is_cut), (expected.clone(), true));

    // That of a socket of any address, which has an alias, says where it was sent to.
    let any = Own {
        address: Ipv4Addr::UNSPECIFIED.into(),
        scope: 0,
    };
    let state = place.table.mapped();
    write::<OWN_WORDS>(state, Rows::Own, 1, &any.to_words());
    let answer = shown(came(Some(&flow), false), &info, 64);
    assert_eq!(answer, (expected, false));
}

#[test]
fn names_are_cut_where_the_program_has_less_room() {
    let memory = Bytes(Mutex::new(vec![0xff; 64]));
    name::write(&memory, &at("10.9.0.1:80"), 8, 6, 40).expect("written");
    let bytes = memory.0.lock().expect("the memory").clone();
    assert_eq!(bytes[8..16], [2, 0, 0, 80, 10, 9, 0xff, 0xff]);
    assert_eq!(bytes[40..44], 16u32.to_ne_bytes());
    let memory = Bytes(Mutex::new(bytes));
    assert_eq!(name::read(&memory, 0, 16), None, "family 0xffff");
    assert_eq!(name::read(&memory, 60, 16), None, "behind the end");
    let whole = Bytes(Mutex::new(vec![
        0, 2, 0, 0, 80, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
    ]));
    assert_eq!(name::read(&whole, 1, 16), Some(at("10.9.0.1:80")));
    assert_eq!(name::read(&whole, 1, 15), None, "too short");
}

#[test]
fn no_socket_of_an_isolated_program_reaches_the_machine_by_another_protocol() {
    let refused = Err(Errno(libc::EPROTONOSUPPORT));
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    for (kind, protocol) in [
        (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        (libc::SOCK_STREAM | flags, libc::IPPROTO_SCTP),
        (libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
        (libc::SOCK_DCCP, libc::IPPROTO_DCCP),
    ] {
        assert_eq!(carrier(kind, protocol, true), refused);
        assert_eq!(carrier(kind, protocol, false), Ok(protocol));
    }
    for isolated in [false, true] {
        assert_eq!(
            carrier(libc::SOCK_STREAM | flags, 262, isolated),
            Ok(libc::IPPROTO_TCP)
        );
        assert_eq!(carrier(libc::SOCK_STREAM, 0, isolated), Ok(0));
        assert_eq!(
            carrier(libc::SOCK_DGRAM, libc::IPPROTO_UDP, isolated),
            Ok(libc::IPPROTO_UDP)
        );
        assert_eq!(
            carrier(libc::SOCK_RAW, libc::IPPROTO_SCTP, isolated),
            Ok(libc::IPPROTO_SCTP)
        );
    }
}
