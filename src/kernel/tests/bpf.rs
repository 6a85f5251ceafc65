//! Classic BPF against the kernel's own: a socket filter on an ordinary socket needs no privileges,
//! takes a program or refuses it, and drops or cuts what is sent.

#[path = "../../../shim-tests/src/not_run.rs"]
mod not_run;

use memtun_kernel::bpf::{self, Checker, Frame, Instruction, MOST};
use not_run::not_run;
use proptest::prelude::*;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// Attaches a program to a socket.
fn attach(socket: &UnixDatagram, program: &[Instruction]) -> Result<(), i32> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|i| libc::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect();
    let filter = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the option's value is a struct whose pointer leads to as many instructions as it
    // says.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of_val(&filter) as u32,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// Takes the program away from a socket.
fn detach(socket: &UnixDatagram) {
    let (level, option, value) = (libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0i32);
    let length = size_of_val(&value) as u32;
    // SAFETY: the option's value is an int, which nobody looks at.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    assert_eq!(done, 0);
}

/// Returns how many bytes of a datagram the kernel's filter leaves.
fn left_by_kernel(program: &[Instruction], data: &[u8]) -> Option<usize> {
    let (here, there) = UnixDatagram::pair().unwrap();
    there.set_nonblocking(true).unwrap();
    attach(&there, program).unwrap();
    here.send(data).unwrap();
    there.recv(&mut [0; 256]).ok()
}

fn left_by_us(program: &[Instruction], data: &[u8]) -> Option<usize> {
    let frame = Frame {
        data,
        network: 0,
        ethertype: 0,
        ifindex: 0,
        link_type: 0,
        packet_type: 0,
        queue: 0,
        random: || 0,
        processor: || 0,
    };
    match bpf::run(program, &frame) {
        0 => None,
        left => Some(data.len().min(left as usize)),
    }
}

fn check(program: &[Instruction]) -> Option<bpf::Sound> {
    let mut checker = Checker::new(program.len());
    program.iter().for_each(|next| checker.next(*next));
    checker.end()
}

fn stmt(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

const RET: u16 = 0x06;

/// Loads of what a datagram on a Unix socket has beside itself, and an offset that says nothing.
const BESIDE: [u32; 9] = [0, 4, 12, 16, 20, 24, 32, 40, 44];

fn operand() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0u32..20,
        2 => 0u32..120,
        1 => any::<u32>().prop_map(|k| k & 0x7fff_ffff),
        1 => prop::sample::select(&[0x8000_0000u32, u32::MAX, 31, 32, 0x7fff_ffff][..]),
        1 => prop::sample::select(&BESIDE[..]).prop_map(|what| (-0x1000i32) as u32 + what),
    ]
}

/// An instruction that there is, with operands that are mostly sound; headers of a network are not
/// loaded, because a datagram on a Unix socket has none.
fn instruction() -> impl Strategy<Value = Instruction> {
    const CODES: &[u16] = &[
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x14, 0x15, 0x16, 0x1c, 0x1d, 0x20,
        0x24, 0x25, 0x28, 0x2c, 0x2d, 0x30, 0x34, 0x35, 0x3c, 0x3d, 0x40, 0x44, 0x45, 0x48, 0x4c,
        0x4d, 0x50, 0x54, 0x5c, 0x60, 0x61, 0x64, 0x6c, 0x74, 0x7c, 0x80, 0x81, 0x84, 0x87, 0x94,
        0x9c, 0xa4, 0xac, 0xb1,
    ];
    (prop::sample::select(CODES), operand(), 0u8..4, 0u8..4).prop_map(|(code, k, jt, jf)| {
        let load_of_header = matches!(code, 0x40 | 0x48 | 0x50 | 0xb1) && k >= 0x8000_0000;
        let far_load =
            matches!(code, 0x20 | 0x28 | 0x30) && (0x8000_0000..0xffff_f000).contains(&k);
        let k = if load_of_header || far_load { 3 } else { k };
        jump(code, k, jt, jf)
    })
}

/// One whose operand its kind allows, so that most programs are taken.
fn sound_instruction() -> impl Strategy<Value = Instruction> {
    instruction().prop_map(|mut i| {
        match i.code {
            0x34 | 0x94 => i.k = i.k.max(1),
            0x64 | 0x74 => i.k %= 32,
            0x02 | 0x03 | 0x60 | 0x61 => i.k %= 4,
            0x05 => i.k %= 4,
            // A place to which X is added may become one of a header.
            0x40 | 0x48 | 0x50 => i.k %= 100,
            _ => {}
        }
        i
    })
}

/// Begins with values in the cells and in X, and ends with returns that any jump may reach.
fn program() -> impl Strategy<Value = Vec<Instruction>> {
    (
        prop::collection::vec(sound_instruction(), 1..40),
        0u32..50,
        any::<bool>(),
    )
        .prop_map(|(middle, x, from_a)| {
            let mut program = vec![stmt(0x01, x), stmt(0x00, 33)];
            program.extend((0..4).map(|cell| stmt(0x02 + (cell & 1), cell as u32)));
            // X stays small, so that a load relative to it stays in or behind the datagram.
            let small = |i: &Instruction| i.code != 0x07 && (i.code != 0x01 || i.k <= 1000);
            program.extend(middle.into_iter().filter(small));
            let end = if from_a { stmt(0x16, 0) } else { stmt(RET, 17) };
            program.extend([end; 5]);
            program
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_program_is_taken_where_the_kernel_takes_it(
        middle in prop::collection::vec(prop_oneof![8 => sound_instruction(), 1 => instruction()], 0..12),
        strange in any::<(u16, u8, u8, u32)>(),
        at in 0usize..40,
    ) {
        let mut program = middle;
        if at < program.len() {
            let (code, jt, jf, k) = strange;
            program[at] = jump(code % 0x200, k, jt, jf);
        }
        program.push(stmt(RET, 5));
        let (socket, _other) = UnixDatagram::pair().unwrap();
        let taken = attach(&socket, &program);
        prop_assert_eq!(taken.is_ok(), check(&program).is_some(), "{:x?} {:?}", program, taken);
    }

    #[test]
    fn a_program_does_what_it_does_in_the_kernel(
        program in program(),
        data in prop::collection::vec(prop_oneof![0u8..12, any::<u8>()], 1..100),
    ) {
        prop_assume!(check(&program).is_some());
        prop_assert_eq!(left_by_us(&program, &data), left_by_kernel(&program, &data), "{:x?}", program);
    }

    #[test]
    fn attributes_of_netlink_are_found_where_the_kernel_finds_them(
        attributes in prop::collection::vec((0u16..20, 0u16..4, 0u16..4), 1..12),
        from in prop_oneof![8 => 0u32..12, 1 => any::<u32>()],
        kind in prop_oneof![8 => 0u32..4, 1 => any::<u32>()],
        nested in any::<bool>(),
    ) {
        let data: Vec<u8> = attributes
            .iter()
            .flat_map(|(length, kind, bits)| [length.to_ne_bytes(), (kind | bits << 14).to_ne_bytes()])
            .flatten()
            .collect();
        let what = (-0x1000i32) as u32 + if nested { 16 } else { 12 };
        let from = if from < 12 { from * 4 } else { from };
        let program = [stmt(0x00, from), stmt(0x01, kind), stmt(0x20, what), stmt(0x04, 1), stmt(0x16, 0)];
        prop_assert_eq!(left_by_us(&program, &data), left_by_kernel(&program, &data), "{:x?}", data);
    }

    #[test]
    fn any_bytes_are_a_program_that_ends(
        bytes in prop::collection::vec(any::<[u8; 8]>(), 0..60),
        data in prop::collection::vec(any::<u8>(), 0..100),
        network in any::<usize>(),
    ) {
        let program: Vec<_> = bytes.into_iter().map(Instruction::from_bytes).collect();
        check(&program);
        let frame = Frame {
            data: &data, network: network >> 1, ethertype: 0x800, ifindex: 1, link_type: 1, queue: 0,
            packet_type: 0,
            random: || 4, processor: || 0,
        };
        bpf::run(&program, &frame);
    }
}

#[test]
fn every_code_is_taken_where_the_kernel_takes_it() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    for code in 0..=u16::MAX {
        let program = [
            stmt(0x02, 1),
            jump(code, 1, 0, 0),
            stmt(RET, 0),
            stmt(RET, 0),
        ];
        let taken = attach(&socket, &program).is_ok();
        assert_eq!(taken, check(&program).is_some(), "{code:#x}");
    }
}

#[test]
fn every_place_beside_the_frame_is_taken_where_the_kernel_takes_it() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    for code in [0x20, 0x28, 0x30, 0x40, 0xb1] {
        for k in (-0x1010i32..-0xf00)
            .chain(-20..20)
            .chain([i32::MIN, i32::MAX])
        {
            let program = [stmt(code, k as u32), stmt(RET, 0)];
            let taken = attach(&socket, &program).is_ok();
            assert_eq!(taken, check(&program).is_some(), "{code:#x} {k:#x}");
        }
    }
}

#[test]
fn jumps_far_ahead_are_followed() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    for (distance, stores) in [(250, 1), (254, 1), (255, 0), (256, 1), (900, 0), (900, 1)] {
        // The cell is stored before the jump, or only on the way that the jump leaves out.
        let mut program = vec![stmt(if stores == 1 { 0x02 } else { 0x00 }, 3)];
        program.push(stmt(0x05, distance));
        program.extend(vec![stmt(0x02, 3); distance as usize]);
        program.extend([stmt(0x60, 3), stmt(RET, 7)]);
        let taken = attach(&socket, &program).is_ok();
        assert_eq!(taken, stores == 1);
        assert_eq!(taken, check(&program).is_some(), "{distance} {stores}");
    }
}

#[test]
fn a_program_that_is_too_long_or_empty_is_not_taken() {
    for (len, taken) in [
        (0, false),
        (1, true),
        (MOST, true),
        (MOST + 1, false),
        (65535, false),
    ] {
        assert_eq!(check(&vec![stmt(RET, 0); len]).is_some(), taken, "{len}");
    }
    // Fewer or more instructions than were announced.
    let mut checker = Checker::new(2);
    checker.next(stmt(RET, 0));
    assert!(checker.end().is_none());
    (0..2 * MOST).for_each(|_| checker.next(stmt(RET, 0)));
    assert!(checker.end().is_none());
}

/// `tcpdump -ddd -y EN10MB 'tcp port 80'` or `'arp'`: what libpcap makes.
#[test]
fn programs_of_libpcap_find_what_they_look_for() {
    let arp = [
        jump(0x28, 12, 0, 0),
        jump(0x15, 0x806, 0, 1),
        stmt(RET, 262144),
        stmt(RET, 0),
    ];
    let tcp_port_80 = [
        stmt(0x28, 12),
        jump(0x15, 0x86dd, 0, 6),
        stmt(0x30, 20),
        jump(0x15, 6, 0, 15),
        stmt(0x28, 54),
        jump(0x15, 80, 12, 0),
        stmt(0x28, 56),
        jump(0x15, 80, 10, 11),
        jump(0x15, 0x800, 0, 10),
        stmt(0x30, 23),
        jump(0x15, 6, 0, 8),
        stmt(0x28, 20),
        jump(0x45, 0x1fff, 6, 0),
        stmt(0xb1, 14),
        stmt(0x48, 14),
        jump(0x15, 80, 2, 0),
        stmt(0x48, 16),
        jump(0x15, 80, 0, 1),
        stmt(RET, 262144),
        stmt(RET, 0),
    ];
    let mut frame = [0u8; 60];
    frame[12..14].copy_from_slice(&[8, 6]);
    assert_eq!(left_by_us(&arp, &frame), Some(60));
    assert_eq!(left_by_us(&tcp_port_80, &frame), None);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x46;
    frame[23] = 6;
    frame[40..42].copy_from_slice(&[0, 80]);
    assert_eq!(left_by_us(&arp, &frame), None);
    assert_eq!(left_by_us(&tcp_port_80, &frame), Some(60));
    frame[21] = 1;
    assert_eq!(left_by_us(&tcp_port_80, &frame), None);
    for program in [&arp[..], &tcp_port_80] {
        assert!(check(program).is_some());
        assert_eq!(left_by_us(program, &frame), left_by_kernel(program, &frame));
    }
}

/// How much of a socket's memory a program takes depends on how this very kernel translates it.
#[test]
fn a_program_is_too_large_where_it_is_for_the_kernel() {
    const LINUX: &str = "6.18.";
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let most = std::fs::read_to_string("/proc/sys/net/core/optmem_max").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    if !release.starts_with(LINUX) || most > 140_000 {
        return not_run(
            "the size of programs",
            &format!("Linux {release} with optmem_max {most}, not {LINUX} with 128 KiB"),
        );
    }
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let big = jump(0x20, 0, 0, 0);
    let kinds = [
        stmt(0x20, 1),
        stmt(0x28, 0),
        stmt(0x30, 40_000),
        stmt(0x30, 1),
        stmt(0x20, (-0x20_0000i32) as u32),
        stmt(0x40, 0),
        stmt(0x50, 7),
        stmt(0xb1, 0),
        stmt(0xb1, 5),
        stmt(0x3c, 0),
        stmt(0x06, 0),
        stmt(0x16, 0),
        stmt(0x00, 0),
        jump(0x15, 1, 1, 1),
        jump(0x15, 1, 0, 1),
        jump(0x25, u32::MAX, 1, 0),
        jump(0x45, 1, 0, 1),
        jump(0x4d, 1, 1, 0),
    ];
    let beside = (0..64)
        .step_by(4)
        .map(|what| stmt(0x20, (-0x1000i32) as u32 + what));
    for kind in kinds.into_iter().chain(beside) {
        // So many large instructions as bring the program near the limit, then the kind.
        for large in [0, 600, 1150, 1200, 1240, 1250] {
            let with = |count| {
                let mut program = vec![big; large];
                program.extend(vec![kind; count]);
                program.extend([stmt(RET, 0); 3]);
                program
            };
            let fits = |count| check(&with(count)).is_some_and(|sound| sound.charge < most);
            let counts: Vec<usize> = (0..MOST - large - 3).collect();
            let count = counts.partition_point(|count| fits(*count));
            if (1..counts.len()).contains(&count) {
                assert_eq!(attach(&socket, &with(count - 1)), Ok(()), "{kind:x?}");
                detach(&socket);
                assert_eq!(
                    attach(&socket, &with(count)),
                    Err(libc::ENOMEM),
                    "{kind:x?}"
                );
            }
        }
    }
}
