//! The table of sockets as programs read it, whatever stands in it.

use memtun_abi::Errno;
use memtun_kernel::net::{Create, Join, NetDir};
use memtun_shm::layout::{Rows, FLOW_WORDS, SOCKET_WORDS};
use memtun_stack::sockets::pushing::Pushing;
use memtun_stack::sockets::question::{
    PacketQuestion, Path, SocketAnswer, SocketQuestion, Wire, ANSWER, QUESTION,
};
use memtun_stack::sockets::tuning::Tuning;
use memtun_stack::sockets::{row, Entry, Flow, Own, Protocol, Report, Table};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A net in a directory that is removed.
struct Place(NetDir, PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let name = format!("memtun-table-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        let how = Join {
            create: Create::Named,
            owner: None,
            member: true,
        };
        let net = NetDir::join(path.to_str().expect("text").as_bytes(), how).expect("a net");
        Place(net, path)
    }

    fn table(&self) -> Table {
        Table::of(self.0.make_inet().expect("made"))
    }

    fn file(&self) -> std::fs::File {
        let path = self.1.join(".memtun-inet");
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("open")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

/// First address of a slice, and its first flow.
const BASE: u32 = 127 << 24 | 5 << 14;
const FLOW: u32 = BASE | 256;

fn name() -> impl Strategy<Value = SocketAddr> {
    let v4 = (any::<u32>(), any::<u16>())
        .prop_map(|(address, port)| (Ipv4Addr::from(address), port).into());
    let v6 = (any::<u128>(), any::<u16>(), any::<u32>()).prop_map(|(address, port, scope)| {
        SocketAddr::from(SocketAddrV6::new(address.into(), port, 0, scope))
    });
    prop_oneof![v4, v6]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    use Protocol::*;
    prop_oneof![Just(Icmp), Just(Tcp), Just(Udp), Just(Icmp6)]
}

/// Two names of one family.
fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    (name(), name()).prop_filter("one family", |(a, b)| a.is_ipv4() == b.is_ipv4())
}

fn plain(mut name: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(name) = &mut name {
        name.set_scope_id(0);
    }
    name
}

proptest! {
    #[test]
    fn a_flow_is_what_was_written(
        protocol in protocol(), (local, remote) in ends(), ifindex: u32, mss: u16, error: u16
    ) {
        let flow = Flow { protocol, local, remote, ifindex, mss, error };
        prop_assert_eq!(Flow::of_words(&flow.to_words()), Some(flow));
    }

    #[test]
    fn an_entry_is_what_was_written(
        protocol in protocol(), local in name(), native in name(), remote in name(),
        has_remote: bool, cookie in 1u64.., inode: u64, device: u32, flags: u32, uid: u32
    ) {
        let entry = Entry {
            cookie, inode, uid, protocol, family: libc::AF_INET6 as u16, local,
            native: plain(native), remote: has_remote.then_some(remote),
            flow: Some(Ipv4Addr::new(127, 9, 1, 2)), device, flags,
        };
        prop_assert_eq!(Entry::of_words(&entry.to_words(7)), Some(entry));
    }

    #[test]
    fn a_question_and_an_answer_are_what_was_written(
        protocol in protocol(), native in name(), to in name(), flags: u32, cookie: u64
    ) {
        let question = SocketQuestion {
            cookie, inode: 3, family: 2, kind: 1, protocol, tos: 4, hops: 5, flags, device: 6,
            out: 7, mark: 8, failed: 98, source: Some(plain(to).ip()), native: Some(native),
            name: Some(to), tuning: Tuning { flags, maximum: 9, buffer: 10, ..Tuning::default() },
        };
        prop_assert_eq!(SocketQuestion::of_bytes(&question.to_bytes()), Some(question));
        let path = Path {
            ifindex: flags, source: to.ip(), next_hop: native.ip(), wire: Wire::Ethernet([9; 14]),
            mtu: 1500, hops: 64, broadcast: true, copy: false, generation: 3,
            alias: Some("127.1.2.3:4".parse().expect("a name")),
        };
        for answer in [
            SocketAnswer::Machine, SocketAnswer::Done, SocketAnswer::Left, SocketAnswer::Bind(to),
            SocketAnswer::Local(Some(native), to), SocketAnswer::Carried(None, to),
            SocketAnswer::Path(path),
        ] {
            prop_assert_eq!(SocketAnswer::of_bytes(&answer.to_bytes()), Ok(answer));
        }
    }

    #[test]
    fn hostile_bytes_are_a_value_or_none(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = SocketQuestion::of_bytes(&bytes);
        let answer = SocketAnswer::of_bytes(&bytes);
        let _ = PacketQuestion::of_bytes(&bytes);
        let _ = Report::of_bytes([1; 16], &bytes);
        prop_assert!(bytes.len() >= QUESTION || SocketQuestion::of_bytes(&bytes).is_none());
        prop_assert!(bytes.len() >= ANSWER || answer == Err(Errno(libc::EPROTO)));
    }

    #[test]
    fn hostile_words_are_a_value_or_none(words in prop::collection::vec(any::<u64>(), 24)) {
        let entry: [u64; 24] = words[..24].try_into().expect("24");
        let _ = Entry::of_words(&entry);
        let _ = Flow::of_words(&words[..8].try_into().expect("8"));
        let _ = Own::of_words(&words[..4].try_into().expect("4"));
    }
}

#[test]
fn a_row_in_which_its_writer_died_is_absent() {
    let place = Place::new("torn");
    let table = place.table();
    let state = table.mapped();
    state.slices[0].store(BASE, SeqCst);
    state.reserve_row(Rows::Flows, 0).expect("memory");
    let alias = Ipv4Addr::from(FLOW);
    assert_eq!(table.flow(alias), None, "nothing stands there");
    let flow = Flow {
        protocol: Protocol::Udp,
        local: "10.0.0.1:1".parse().expect("a name"),
        remote: "10.0.0.2:2".parse().expect("a name"),
        ifindex: 3,
        mss: 0,
        error: 0,
    };
    let (words, _) = table.flow_row(0).expect("a row");
    row::write(words, &flow.to_words());
    assert_eq!(table.flow(alias), Some(flow));
    words[0].fetch_or(1, SeqCst);
    assert_eq!(table.flow(alias), None, "its writer died in it");
    assert!(row::is_torn(words));
    row::clear(words);
    assert_eq!(table.flow(alias), None);
    row::write(words, &flow.to_words());
    assert_eq!(table.flow(alias), Some(flow));
    // What the program sets beside it changes nothing of it, and is not changed with it.
    let no_delay = || table.pushing(alias)?.no_delay;
    let say = |value| {
        table.say_pushing(alias, |said| Pushing {
            no_delay: Some(value),
            ..said
        });
    };
    assert_eq!(table.pushing(alias), None);
    say(true);
    row::write(words, &flow.to_words());
    assert_eq!(no_delay(), Some(true));
    table.say_pushing(alias, |said| said.cork(true, 5));
    say(false);
    assert_eq!(no_delay(), Some(false));
    assert_eq!(table.pushing(alias).map(|said| said.corked), Some(true));
    assert_eq!(table.flow(alias), Some(flow));
}

#[test]
fn readers_never_see_two_rows_in_one() {
    const ROUNDS: u32 = 400_000;
    let place = Place::new("race");
    let table = place.table();
    table.mapped().reserve_row(Rows::Flows, 0).expect("memory");
    let (over, seen) = (AtomicBool::new(false), AtomicBool::new(false));
    let flow = |number: u32| Flow {
        protocol: Protocol::Tcp,
        local: (Ipv4Addr::from(number), number as u16).into(),
        remote: (Ipv4Addr::from(number), number as u16).into(),
        ifindex: number,
        mss: number as u16,
        error: number as u16,
    };
    std::thread::scope(|scope| {
        let writer = place.table();
        let (over, seen) = (&over, &seen);
        scope.spawn(move || {
            let (row, _) = writer.flow_row(0).expect("a row");
            for number in 0..100 * ROUNDS {
                // A machine that is busy may not have let the reader begin.
                if number >= ROUNDS && seen.load(Relaxed) {
                    break;
                }
                row::write(row, &flow(number).to_words());
            }
            over.store(true, SeqCst);
        });
        while !over.load(SeqCst) {
            if let Some(found) = table.flow_at(0) {
                assert_eq!(found, flow(found.ifindex));
                seen.store(true, Relaxed);
            }
        }
        assert!(seen.load(Relaxed));
    });
}

#[test]
fn whatever_stands_in_the_file_reading_ends_and_stays_within_it() {
    use std::os::unix::fs::FileExt;
    /// Bytes of the header, without which nobody takes the file for a table.
    const HEADER: usize = 40;
    let place = Place::new("hostile");
    let table = place.table();
    let path = place.1.join(".memtun-inet");
    let file = place.file();
    let mut seed = 0x1234_5678_9abc_def1u64;
    for round in 0..12 {
        let mut bytes = std::fs::read(&path).expect("read");
        for byte in &mut bytes[HEADER..] {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *byte = match round % 3 {
                0 => seed as u8,
                1 => 0xff,
                _ => (seed & 2) as u8,
            };
        }
        let length = bytes.len() as u32;
        file.write_all_at(&bytes[HEADER..], HEADER as u64)
            .expect("written");
        for number in [127 << 24, FLOW, u32::MAX, u32::MAX << 8, length] {
            let address = Ipv4Addr::from(number);
            let _ = (table.flow(address), table.own(address));
            let _ = table.alias_of(IpAddr::V4(address), number);
            let _ = table.socket(number.into());
            let _ = table.error(number.into(), true);
            let _ = table.net_port(Protocol::Udp, number as u16);
            let _ = table.flow_of_v6_port(Protocol::Tcp, number as u16);
        }
        let state = table.mapped();
        for rows in [Rows::Sockets, Rows::Flows, Rows::Own] {
            for at in [rows.count() - 1, rows.count(), usize::MAX] {
                let _ = state.row::<SOCKET_WORDS>(rows, at);
                let _ = state.row::<FLOW_WORDS>(rows, at);
            }
        }
        let _ = (table.ports(), table.secret(), table.is_active());
    }
}

#[test]
fn a_table_that_was_cut_off_is_empty_and_no_signal() {
    let place = Place::new("cut");
    let table = place.table();
    table.mapped().slices[0].store(BASE, SeqCst);
    table.mapped().active.store(1, SeqCst);
    place.file().set_len(0).expect("cut");
    let flow = table.flow(Ipv4Addr::from(FLOW));
    assert_eq!((table.is_active(), flow), (false, None));
    assert_eq!(table.socket(5), None);
    assert!(place.0.open_inet().is_err(), "it is damaged");
    // The next host process makes another one.
    assert!(!place.table().is_active());
    assert!(place.0.open_inet().expect("opened").is_some());
}
