//! What keeps a frame from the program, and the files of its filters.

mod common;

use common::WAIT;
use memtun::uapi::{
    IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, TUNATTACHFILTER, TUNDETACHFILTER, TUNSETIFF,
    TUNSETPERSIST, TUNSETTXFILTER,
};
use memtun::{ifreq, Captured, Errno, Interface, Net};
use memtun_kernel::net::NoTunnels;
use memtun_kernel::tun::{AttachOptions, Ioctl, Read, Tunnel};
use memtun_kernel::{Argument, NetDir};
use memtun_sys::Fd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const FRAME: &[u8] = &[2; 60];

/// Address at which the programs of these tests are.
const AT: usize = 0x1000;

/// The argument of a request, and a program to which it may point.
struct Given {
    argument: Vec<u8>,
    program: Vec<u8>,
}

impl Argument for Given {
    fn value(&self) -> usize {
        self.argument.first().copied().unwrap_or(0).into()
    }
    fn fetch_part(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Errno> {
        into.copy_from_slice(&self.argument[offset..][..into.len()]);
        Ok(())
    }
    fn fetch_at(&self, address: usize, into: &mut [u8]) -> Result<(), Errno> {
        into.copy_from_slice(&self.program[address - AT..][..into.len()]);
        Ok(())
    }
    fn store(&mut self, from: &[u8]) -> Result<(), Errno> {
        self.argument[..from.len()].copy_from_slice(from);
        Ok(())
    }
}

fn argument(argument: &[u8]) -> Given {
    Given {
        // Behind it is room for the longest argument.
        argument: [argument, &[0; 40]].concat(),
        program: Vec::new(),
    }
}

/// A program that returns `left`, behind so many instructions that do nothing.
fn program(left: u32, before: usize) -> Given {
    let mut program = [0; 8].repeat(before);
    program.extend([6, 0, 0, 0]);
    program.extend(left.to_ne_bytes());
    let mut argument = vec![0; 16];
    argument[..2].copy_from_slice(&(before as u16 + 1).to_ne_bytes());
    argument[8..].copy_from_slice(&AT.to_ne_bytes());
    Given { argument, program }
}

/// A tunnel of this process, which plays the program.
struct Program<'n> {
    fd: Fd,
    tunnel: Tunnel<&'n NetDir>,
}

impl<'n> Program<'n> {
    fn attached(dir: &'n NetDir, flags: u32) -> Program<'n> {
        let flags_of_open = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let (fd, tunnel) = Tunnel::open(dir, flags_of_open).unwrap();
        let program = Program { fd, tunnel };
        let flags = flags | IFF_TAP | IFF_NO_PI;
        program.ask(TUNSETIFF, argument(&ifreq("f0", flags)));
        program
    }
    fn ask(&self, request: u32, given: Given) -> i32 {
        match self.answer(request, given) {
            Ok(answer) => answer,
            Err(e) => panic!("{request:#x}: {e}"),
        }
    }
    fn answer(&self, request: u32, mut given: Given) -> Result<i32, Errno> {
        let options = AttachOptions { link_up: true };
        let fd = self.fd.raw();
        match self
            .tunnel
            .ioctl(fd, request, &mut given, options, &NoTunnels)?
        {
            Ioctl::Done(answer) => Ok(answer),
            Ioctl::Generic => panic!("{request:#x}"),
        }
    }
    /// Returns the lengths of the frames that wait.
    fn read(&self) -> Vec<usize> {
        let mut room = [0; 2000];
        let mut lengths = Vec::new();
        while let Read::Done(n) = self.tunnel.read(self.fd.raw(), &mut &mut room[..]).unwrap() {
            lengths.push(n);
        }
        lengths
    }
    fn close(self) {
        drop(self.fd);
        self.tunnel.closed(&NoTunnels);
    }
}

fn interface(net: &Net) -> Interface {
    net.wait_interface_within("f0", WAIT).unwrap()
}

fn filters(net: &Net) -> usize {
    let files = std::fs::read_dir(net.path()).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".memtun-filter-"))
        .count()
}

/// The list of TUNSETTXFILTER with one address.
fn only(address: [u8; 6]) -> Given {
    argument(&[&[0, 0, 1, 0][..], &address].concat())
}

#[test]
fn every_injector_sees_a_program_at_once_and_the_interface_counts_what_it_drops() {
    let net = Net::temporary().unwrap();
    let program_of_test = Program::attached(net.dir(), 0);
    let injectors = [interface(&net), interface(&net)];
    let inject = || injectors.each_ref().map(|i| i.inject(FRAME).unwrap());
    inject();
    assert_eq!(program_of_test.read(), [60, 60]);
    for left in [20, 30, 0, 61] {
        program_of_test.ask(TUNATTACHFILTER, program(left, 3));
        let dropped = injectors[0].info().tx.dropped;
        inject();
        let expected = vec![left.min(60) as usize; if left == 0 { 0 } else { 2 }];
        assert_eq!(program_of_test.read(), expected);
        let more = injectors[0].info().tx.dropped - dropped;
        assert_eq!(more, if left == 0 { 2 } else { 0 });
        assert_eq!(filters(&net), 1, "the program before goes");
    }
    program_of_test.ask(TUNDETACHFILTER, argument(&[]));
    assert_eq!(filters(&net), 0);
    inject();
    assert_eq!(program_of_test.read(), [60, 60]);
    let state = net.dir().look_up(&injectors[0].name()).unwrap().unwrap();
    assert_eq!(state.filters.load(Relaxed), 0, "nothing is looked at");
}

#[test]
fn a_dropped_frame_needs_no_room_and_is_captured_whole() {
    let net = Net::temporary().unwrap();
    let tap = Program::attached(net.dir(), 0);
    let interface = interface(&net);
    interface.set_txqueuelen(1).unwrap();
    interface.inject(FRAME).unwrap();
    let mut capture = net.capture().unwrap();
    tap.ask(TUNATTACHFILTER, program(0, 0));
    interface.inject(FRAME).unwrap();
    assert_eq!(tap.read(), [60]);
    tap.ask(TUNATTACHFILTER, program(20, 0));
    interface.inject(FRAME).unwrap();
    assert_eq!(tap.read(), [20]);
    let captured: Vec<Captured> =
        std::iter::from_fn(|| capture.recv_within(Duration::ZERO).ok()).collect();
    let lengths: Vec<usize> = captured.iter().map(|c| c.data.len()).collect();
    assert_eq!(lengths, [60, 60]);
    assert!(captured.iter().all(|c| c.refused.is_none()));
}

#[test]
fn addresses_stay_with_the_interface() {
    let net = Net::temporary().unwrap();
    let first = Program::attached(net.dir(), 0);
    assert_eq!(first.ask(TUNSETTXFILTER, only([2; 6])), 1);
    first.ask(TUNSETPERSIST, argument(&[1]));
    first.close();
    let next = Program::attached(net.dir(), 0);
    let interface = interface(&net);
    interface.inject(FRAME).unwrap();
    interface.inject(&[4; 60]).unwrap();
    assert_eq!(next.read(), [60]);
    assert_eq!(interface.info().tx.dropped, 1);
    assert_eq!(next.ask(TUNSETTXFILTER, argument(&[0; 4])), 0);
    interface.inject(&[4; 60]).unwrap();
    assert_eq!(next.read(), [60]);
}

#[test]
fn each_queue_has_a_program_and_it_goes_with_the_queue() {
    let net = Net::temporary().unwrap();
    let queues = [0; 3].map(|_| Program::attached(net.dir(), IFF_MULTI_QUEUE));
    queues[0].ask(TUNATTACHFILTER, program(20, 0));
    assert_eq!(filters(&net), 3);
    let interface = interface(&net);
    interface.inject(FRAME).unwrap();
    let read: Vec<usize> = queues.iter().flat_map(Program::read).collect();
    assert_eq!(read, [20]);
    // A program that is too large for the queue that has one already leaves all as they are.
    let mut large = program(0, 4095);
    large
        .program
        .chunks_exact_mut(8)
        .rev()
        .skip(1)
        .for_each(|load| load[0] = 0x20);
    let refused = queues[1].answer(TUNATTACHFILTER, large);
    assert_eq!(refused, Err(Errno(libc::ENOMEM)));
    assert_eq!(filters(&net), 3);
    for (closed, queue) in queues.into_iter().enumerate() {
        assert_eq!(filters(&net), 3 - closed);
        queue.close();
    }
    assert_eq!(filters(&net), 0);
}

#[test]
fn what_a_killed_program_left_of_a_change_is_cleared_up() {
    let net = Net::temporary().unwrap();
    let tap = Program::attached(net.dir(), 0);
    tap.ask(TUNATTACHFILTER, program(20, 0));
    std::fs::write(net.path().join(".memtun-filter-77"), [0; 8]).unwrap();
    assert_eq!(filters(&net), 2);
    net.interfaces().unwrap();
    assert_eq!(filters(&net), 1);
    interface(&net).inject(FRAME).unwrap();
    assert_eq!(tap.read(), [20], "the one that is in force stays");
    let path = net.path().to_path_buf();
    drop(tap);
    net.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn damaged_files_keep_nobody_from_injecting() {
    let net = Net::temporary().unwrap();
    let tap = Program::attached(net.dir(), 0);
    tap.ask(TUNATTACHFILTER, program(20, 0));
    let number = tap.tunnel.state().filter.load(Relaxed);
    let file = net.path().join(format!(".memtun-filter-{number}"));
    // (what stands in the file, which frames arrive)
    let cases: [(&[u8], &[usize]); 4] = [
        (&[], &[]),
        (&[6, 0, 0, 0, 30], &[]),
        (&[5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[]),
        (&[6, 0, 0, 0, 30, 0, 0, 0], &[30]),
    ];
    for (bytes, arrive) in cases {
        std::fs::write(&file, bytes).unwrap();
        interface(&net).inject(FRAME).unwrap();
        assert_eq!(tap.read(), arrive);
    }
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    interface(&net).inject(FRAME).unwrap();
    assert_eq!(tap.read(), [0; 0]);
    std::fs::remove_file(&file).unwrap();
    interface(&net).inject(FRAME).unwrap();
    assert_eq!(tap.read(), [60]);
    tap.ask(TUNATTACHFILTER, program(20, 0));
    interface(&net).inject(FRAME).unwrap();
    assert_eq!(tap.read(), [20]);
}
