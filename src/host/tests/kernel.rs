//! The engine does what the kernel does: random changes of addresses, routes and links are made in
//! a namespace and in the engine; answers, dumps and events are compared byte by byte.

mod support;

use memtun_stack::wire::{Attributes, Messages, Writer};
use support::devices::{LO, TAP, TUN};
use support::engine::{state, Engine};
use support::kernel::{until, Kernel};
use support::requests::{self, Random};

/// What the child in the namespace does; nothing otherwise.
#[test]
fn child() {
    support::kernel::serve();
}

fn set_link_request(index: u32, up: Option<bool>, mtu: Option<u32>) -> Vec<u8> {
    let mut own = [0; 16];
    own[4] = index as u8;
    if let Some(up) = up {
        own[8] = up.into();
        own[12] = 1;
    }
    let mut to = Writer::default();
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    to.message(libc::RTM_NEWLINK, flags, 4, 0).raw(&own);
    if let Some(mtu) = mtu {
        to.u32(libc::IFLA_MTU, mtu);
    }
    to.take()
}

/// Sets to zero what differs from one run to the next: times, and counts of references.
fn normal(datagrams: &[Vec<u8>], events: bool) -> Vec<Vec<u8>> {
    let mut result = Vec::new();
    for datagram in datagrams {
        for message in Messages(datagram) {
            let mut bytes = message.bytes.to_vec();
            let (header, cache) = match message.kind {
                libc::RTM_NEWADDR | libc::RTM_DELADDR => (8, libc::IFA_CACHEINFO),
                libc::RTM_NEWROUTE | libc::RTM_DELROUTE => (12, libc::RTA_CACHEINFO),
                _ if events => continue,
                // The kernel changes the flags of a request of a multipath route in place.
                2 => {
                    bytes[26..28].fill(0);
                    result.push(bytes);
                    continue;
                }
                _ => {
                    result.push(bytes);
                    continue;
                }
            };
            if message.body.len() > header {
                let attributes = Attributes::behind(message.body, header);
                if let Some(cache) = attributes.get(cache) {
                    let at = 16 + cache.at + 4;
                    let zero = match header {
                        8 => 8..16,
                        _ => 0..8,
                    };
                    bytes[at + zero.start..at + zero.end].fill(0);
                    if header == 12 {
                        bytes[at + 16..at + 20].fill(0);
                        // Of an end only whether there is one is compared, and about when.
                        let left = i32::from_ne_bytes(bytes[at + 8..at + 12].try_into().unwrap());
                        let rounded = (left + 500) / 1000;
                        bytes[at + 8..at + 12].copy_from_slice(&rounded.to_ne_bytes());
                    } else {
                        for at in [at, at + 4] {
                            let left = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
                            let rounded = if left == u32::MAX {
                                left
                            } else {
                                left.div_ceil(10)
                            };
                            bytes[at..at + 4].copy_from_slice(&rounded.to_ne_bytes());
                        }
                    }
                }
            }
            result.push(bytes);
        }
    }
    result
}

fn show(messages: &[Vec<u8>]) -> String {
    let line = |bytes: &Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    messages.iter().map(|m| line(m) + "\n").collect()
}

/// Prepares both sides so that nothing depends on chance: the tun has no link-local address, and
/// the tap does not ask for duplicates.
fn prepare(kernel: &mut Kernel, engine: &mut Engine) {
    kernel.write("/proc/sys/net/ipv6/conf/tun0/addr_gen_mode", "1");
    kernel.write("/proc/sys/net/ipv6/conf/tap0/accept_dad", "0");
    let set = |path: &str, value: &str| memtun_stack::state::Sysctl {
        path: path.into(),
        value: value.into(),
    };
    engine.state.sysctls = vec![
        set("ipv6/conf/#2/addr_gen_mode", "1"),
        set("ipv6/conf/#3/accept_dad", "0"),
    ];
    for index in [LO, TUN, TAP] {
        let request = set_link_request(index, Some(true), None);
        send(kernel, &request, false);
        engine.set_link(index, Some(true), None);
    }
}

fn send(kernel: &mut Kernel, request: &[u8], strict: bool) -> Vec<Vec<u8>> {
    let mut bytes = vec![strict.into()];
    bytes.extend(request);
    kernel.send(&bytes)
}

/// Compares the complete dumps of addresses and routes, and the events.
fn compare(kernel: &mut Kernel, engine: &mut Engine, what: &str) {
    let dumps = [
        requests::dump(libc::RTM_GETADDR, libc::AF_UNSPEC, 8),
        requests::dump(libc::RTM_GETROUTE, libc::AF_INET, 12),
        requests::dump(libc::RTM_GETROUTE, libc::AF_INET6, 12),
    ];
    for dump in &dumps {
        let ours = normal(&engine.send(dump, false), false);
        let theirs = until(
            || normal(&send(kernel, dump, false), false),
            |theirs| *theirs == ours,
        );
        assert!(
            theirs == ours,
            "{what}\nkernel:\n{}engine:\n{}{}events:\n{}",
            show(&theirs),
            show(&ours),
            state(engine),
            show(&engine.events)
        );
    }
    let ours = normal(&std::mem::take(&mut engine.events), true);
    let mut theirs = Vec::new();
    until(|| theirs.extend(normal(&kernel.events(), true)), |()| true);
    if theirs.len() < ours.len() {
        until(|| theirs.extend(normal(&kernel.events(), true)), |()| false);
    }
    assert!(
        theirs == ours,
        "events of {what}\nkernel:\n{}engine:\n{}",
        show(&theirs),
        show(&ours)
    );
}

fn run(seed: u64, steps: u32) {
    let Some(mut kernel) = Kernel::start() else {
        return;
    };
    let mut engine = Engine::new(kernel.port);
    prepare(&mut kernel, &mut engine);
    compare(&mut kernel, &mut engine, "the beginning");
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for step in 0..steps {
        let mut strict = false;
        let request = match random.below(20) {
            0 => {
                let index = random.of(&[TUN, TAP]);
                let up = random.one_in(2);
                engine.set_link(index, Some(up), None);
                set_link_request(index, Some(up), None)
            }
            1 if random.one_in(3) => {
                let mtu = random.of(&[1500, 1200, 1400]);
                engine.set_link(TAP, None, Some(mtu));
                set_link_request(TAP, None, Some(mtu))
            }
            2 | 3 if random.one_in(2) => {
                let (family, request, argument) = requests::ioctl(&mut random);
                let what = format!("seed {seed} step {step}: {request:x} {family} {argument:x?}");
                let theirs = kernel.ioctl(family, request, &argument);
                let ours = engine.ioctl(family, request, &argument);
                assert!(
                    theirs == ours,
                    "{what}: kernel {theirs:x?} engine {ours:x?}\n{}",
                    state(&engine)
                );
                compare(&mut kernel, &mut engine, &what);
                engine.now += 1;
                continue;
            }
            4 if random.one_in(2) => {
                strict = true;
                requests::filtered(&mut random)
            }
            1..=8 => requests::address(&mut random),
            9..=15 => requests::route(&mut random),
            _ => {
                strict = random.one_in(2);
                requests::lookup(&mut random)
            }
        };
        // Among several next hops the kernel chooses by a number that is secret.
        if request[4] == libc::RTM_GETROUTE as u8 && request[6] & 1 != 0 && engine.has_multipath() {
            continue;
        }
        let what = format!(
            "seed {seed} step {step}: {}",
            show(std::slice::from_ref(&request))
        );
        let theirs = normal(&send(&mut kernel, &request, strict), false);
        if request[4] != 16 {
            let ours = normal(&engine.send(&request, strict), false);
            assert!(
                theirs == ours,
                "answer to {what}\nkernel:\n{}engine:\n{}{}",
                show(&theirs),
                show(&ours),
                state(&engine)
            );
        }
        compare(&mut kernel, &mut engine, &what);
        engine.now += 1;
    }
}

/// `MEMTUN_TEST_SEEDS=7,8` repeats runs, `MEMTUN_TEST_CHANGES` says how long each is.
#[test]
fn random_changes() {
    let given = |name: &str| std::env::var(name).ok();
    let seeds: Vec<u64> = match given("MEMTUN_TEST_SEEDS") {
        Some(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        None => (1..=4).collect(),
    };
    let changes = given("MEMTUN_TEST_CHANGES").map_or(150, |changes| changes.parse().unwrap());
    for seed in seeds {
        run(seed, changes);
    }
}
