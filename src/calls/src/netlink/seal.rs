//! Who may put something into the queue of the program's socket.
//!
//! To a socket of NETLINK_USERSOCK everybody on the machine may send, and the socket that it stands
//! for hears from the kernel alone. So each socket has a secret of its own, its seal. It stands
//! behind each datagram that is meant for the socket, and a filter of the socket (SO_ATTACH_FILTER)
//! lets the kernel take what has it, without the seal, and throw away everything else before it is
//! queued: what is forged wakes nobody, takes no room in the queue, and is seen by no call, hooked
//! or not. The secret stands in the filter itself, so whoever has the socket can read it
//! (SO_GET_FILTER), after fork, exec or SCM_RIGHTS as well; the host process is told it with the
//! groups that the socket joins.
//!
//! A filter that the program attaches runs behind that one, as parts of one program.
//!
//! What else belongs to the socket, and neither the kernel nor a bit of the mark can hold, stands
//! in the same filter: notes, as instructions that load them and then something else.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::bpf::{Checker, Instruction, MOST};
use memtun_stack::state::{Seal, SEAL};
use memtun_sys::{self as sys, Room};

const SIZE: usize = Instruction::SIZE;
const EINVAL: Errno = Errno(libc::EINVAL);

/// What is noted of a socket beside its seal. A value of 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Note {
    /// Number of instructions of the program's own filter.
    Program,
    /// What the program has set as SO_RCVLOWAT, of which the socket has another value.
    LowWater,
    /// SO_MARK, which the kernel lets nobody set without privileges.
    Mark,
    /// SO_PRIORITY, of which the same is true of most values.
    Priority,
    /// NETLINK_LISTEN_ALL_NSID, as well.
    AllNamespaces,
}

/// Number of notes.
const NOTES: usize = 5;
/// The place of the first note.
const NOTED: usize = 18;
/// Number of instructions that look for the seal, and that hold the notes. Behind them the
/// registers are as at the begin of a program, and a cell holds the length of the datagram without
/// the seal.
const BEFORE: usize = NOTED + NOTES + 2;
/// Places of the instructions that compare with a word of the seal.
const WORDS: [usize; 4] = [7, 10, 13, 16];
/// Place of the instruction that names the cell for the length.
const CELL_SET: usize = 4;
/// Number of instructions of the filter of a program that has attached none.
const BARE: usize = BEFORE + 2;
/// The cell for the length where the program has no filter that uses cells.
const CELL: u32 = 15;
/// Number of cells (BPF_MEMWORDS).
const CELLS: u32 = 16;

// Instructions, in the words of the kernel's header for them.
const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const JA: u16 = 0x05;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;
const SUB_K: u16 = 0x14;
const JEQ_K: u16 = 0x15;
const RET_A: u16 = 0x16;
const JGT_K: u16 = 0x25;
const JGT_X: u16 = 0x2d;
const JGE_K: u16 = 0x35;
const LD_W_IND: u16 = 0x40;
const LD_MEM: u16 = 0x60;
const LDX_MEM: u16 = 0x61;
const LD_LEN: u16 = 0x80;
const LDX_LEN: u16 = 0x81;
const TXA: u16 = 0x87;

/// Gives a new socket its seal.
///
/// # Errors
///
/// What setsockopt(2) fails with.
pub fn set(fd: i32) -> Result<(), Errno> {
    let mut seal = [0; SEAL];
    seal[..8].copy_from_slice(&sys::random().to_ne_bytes());
    seal[8..].copy_from_slice(&sys::random().to_ne_bytes());
    attach_bare(fd, &seal, &[0; NOTES])
}

/// The filter of a socket.
struct Filter {
    few: [u8; Filter::FEW * SIZE],
    many: Option<Room>,
    length: usize,
}

impl Filter {
    /// Number of instructions of filters that need no mapping.
    const FEW: usize = 64;

    /// Reads the filter of a socket. None means that it has none, or cannot be read.
    fn of(fd: i32) -> Option<Filter> {
        let mut filter = Filter {
            few: [0; Filter::FEW * SIZE],
            many: None,
            length: 0,
        };
        let count = match sys::socket_filter(fd, &mut filter.few) {
            Ok(count) => count,
            // The program has attached a longer one.
            Err(_) => {
                let many = filter.many.insert(Room::new(MOST * SIZE).ok()?);
                sys::socket_filter(fd, many.bytes()).ok()?
            }
        };
        filter.length = count * SIZE;
        (filter.length <= filter.room().len()).then_some(filter)
    }

    fn room(&mut self) -> &mut [u8] {
        match &mut self.many {
            Some(many) => many.bytes(),
            None => &mut self.few,
        }
    }

    fn code(&mut self) -> &mut [u8] {
        let length = self.length;
        &mut self.room()[..length]
    }
}

/// Returns the seal of a socket. None means that it has none, and takes what anybody sends.
pub(super) fn of(fd: i32) -> Option<Seal> {
    read(Filter::of(fd)?.code())
}

/// Returns what is noted of a socket.
pub(super) fn noted(fd: i32, note: Note) -> u32 {
    let filter = Filter::of(fd);
    filter.map_or(0, |mut filter| note_in(filter.code(), note))
}

fn note_in(code: &[u8], note: Note) -> u32 {
    match read(code) {
        Some(_) => at(code, NOTED + note as usize).k,
        None => 0,
    }
}

/// Notes something of a socket.
///
/// # Errors
///
/// EPERM when the program has locked the filter, and what setsockopt(2) fails with.
pub(super) fn note(fd: i32, note: Note, value: u32) -> Result<(), Errno> {
    let mut filter = Filter::of(fd).ok_or(EINVAL)?;
    let code = filter.code();
    if note_in(code, note) == value {
        return Ok(());
    }
    read(code).ok_or(EINVAL)?;
    let place = (NOTED + note as usize) * SIZE + 4;
    code[place..place + 4].copy_from_slice(&value.to_ne_bytes());
    sys::set_socket_filter(fd, code)
}

/// Has the program attached a filter of its own?
pub(super) fn has_program(fd: i32) -> bool {
    noted(fd, Note::Program) != 0
}

/// Calls `each` with every instruction of the program's own filter. Returns how many there are.
pub(super) fn program(fd: i32, mut each: impl FnMut(usize, Instruction)) -> usize {
    let Some(mut filter) = Filter::of(fd) else {
        return 0;
    };
    let code = filter.code();
    let count = note_in(code, Note::Program) as usize;
    let cell = at(code, CELL_SET).k;
    for which in 0..count {
        let mut next = at(code, BEFORE + which);
        let behind = BEFORE + which + 1 + next.k as usize;
        next = match next.code {
            // What returns something stands behind the program.
            JA if behind >= BEFORE + count => match at(code, behind).code {
                TAX => Instruction {
                    code: RET_A,
                    k: 0,
                    ..next
                },
                _ => Instruction {
                    code: RET_K,
                    k: at(code, behind + 1).k,
                    ..next
                },
            },
            LD_MEM if next.k == cell => Instruction {
                code: LD_LEN,
                k: 0,
                ..next
            },
            LDX_MEM if next.k == cell => Instruction {
                code: LDX_LEN,
                k: 0,
                ..next
            },
            _ => next,
        };
        each(which, next);
    }
    count
}

/// Attaches a filter of the program's, `count` instructions that `read` gives from a byte on.
///
/// # Errors
///
/// - EINVAL for a filter that the kernel does not take, or that leaves no room for the seal.
/// - What `read` and setsockopt(2) fail with.
pub(super) fn attach(
    fd: i32,
    count: usize,
    read: impl FnOnce(&mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    if !(1..=MOST).contains(&count) {
        return Err(EINVAL);
    }
    let mut given = Room::new(count * SIZE)?;
    let given = &mut given.bytes()[..count * SIZE];
    read(given)?;
    let mut checker = Checker::new(count);
    Instruction::each(given).for_each(|next| checker.next(next));
    checker.end().ok_or(EINVAL)?;
    let mut before = Filter::of(fd);
    let before = before.as_mut().map_or(&mut [][..], Filter::code);
    let Some(seal) = self::read(before) else {
        return sys::set_socket_filter(fd, given);
    };
    let mut room = Room::new(MOST * SIZE)?;
    let length = join(&seal, &notes(before), given, room.bytes()).ok_or(EINVAL)?;
    sys::set_socket_filter(fd, &room.bytes()[..length])
}

/// Takes the program's own filter away.
///
/// # Errors
///
/// ENOENT when there is none, and what setsockopt(2) fails with.
pub(super) fn detach(fd: i32) -> Result<(), Errno> {
    const NONE: Errno = Errno(libc::ENOENT);
    let mut before = Filter::of(fd).ok_or(NONE)?;
    let before = before.code();
    let seal = read(before).ok_or(NONE)?;
    let had = note_in(before, Note::Program) != 0;
    let mut notes = notes(before);
    notes[Note::Program as usize] = 0;
    attach_bare(fd, &seal, &notes)?;
    match had {
        true => Ok(()),
        false => Err(NONE),
    }
}

/// The notes of a socket, each in its place.
type Notes = [u32; NOTES];

fn notes(code: &[u8]) -> Notes {
    std::array::from_fn(|which| at(code, NOTED + which).k)
}

fn attach_bare(fd: i32, seal: &Seal, notes: &Notes) -> Result<(), Errno> {
    let mut room = [0; BARE * SIZE];
    let mut to = Code {
        room: &mut room,
        count: 0,
    };
    to.before(seal, CELL, notes).ok_or(EINVAL)?;
    to.push(LD_MEM, 0, 0, CELL).ok_or(EINVAL)?;
    to.push(RET_A, 0, 0, 0).ok_or(EINVAL)?;
    sys::set_socket_filter(fd, &room)
}

fn at(code: &[u8], which: usize) -> Instruction {
    let mut bytes = [0; SIZE];
    if let Some(there) = code.get(which * SIZE..(which + 1) * SIZE) {
        bytes.copy_from_slice(there);
    }
    Instruction::from_bytes(bytes)
}

/// Reads the seal in a filter.
fn read(code: &[u8]) -> Option<Seal> {
    let mut seal = [0; SEAL];
    for (part, place) in seal.chunks_exact_mut(4).zip(WORDS) {
        let word = at(code, place);
        if word.code != JEQ_K || at(code, place - 1).code != LD_W_IND {
            return None;
        }
        part.copy_from_slice(&word.k.to_be_bytes());
    }
    Some(seal)
}

/// Instructions on their way into memory.
struct Code<'r> {
    room: &'r mut [u8],
    count: usize,
}

impl Code<'_> {
    /// Appends an instruction. None means that there is no room.
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Option<()> {
        let at = self.count * SIZE;
        self.set(at, code, jt, jf, k)?;
        self.count += 1;
        Some(())
    }

    fn set(&mut self, at: usize, code: u16, jt: u8, jf: u8, k: u32) -> Option<()> {
        let to = self.room.get_mut(at..at + SIZE)?;
        to[..2].copy_from_slice(&code.to_ne_bytes());
        to[2] = jt;
        to[3] = jf;
        to[4..].copy_from_slice(&k.to_ne_bytes());
        Some(())
    }

    /// Appends what looks for the seal, and the notes.
    fn before(&mut self, seal: &Seal, cell: u32, notes: &Notes) -> Option<()> {
        const LENGTH: u32 = SEAL as u32;
        self.push(LD_LEN, 0, 0, 0)?;
        self.push(JGE_K, 1, 0, LENGTH)?;
        self.push(RET_K, 0, 0, 0)?;
        self.push(SUB_K, 0, 0, LENGTH)?;
        self.push(ST, 0, 0, cell)?;
        self.push(TAX, 0, 0, 0)?;
        for (offset, word) in (0..).step_by(4).zip(seal.chunks_exact(4)) {
            let word = u32::from_be_bytes(*word.first_chunk()?);
            self.push(LD_W_IND, 0, 0, offset)?;
            self.push(JEQ_K, 1, 0, word)?;
            self.push(RET_K, 0, 0, 0)?;
        }
        for note in notes {
            self.push(LD_IMM, 0, 0, *note)?;
        }
        self.push(LD_IMM, 0, 0, 0)?;
        self.push(LDX_IMM, 0, 0, 0)
    }
}

/// Writes the program's filter behind the search for the seal. The program is shown the length
/// without the seal, and lets no more than that pass. Each of its instructions is replaced by one,
/// so that its jumps stay as they are; what takes more stands behind it. Returns the length in
/// bytes; None means that there is no room for it.
fn join(seal: &Seal, notes: &Notes, given: &[u8], room: &mut [u8]) -> Option<usize> {
    let uses = |cell: u32| {
        let touches =
            |next: Instruction| matches!(next.code, ST | STX | LD_MEM | LDX_MEM) && next.k == cell;
        Instruction::each(given).any(touches)
    };
    let cell = (0..CELLS).rev().find(|cell| !uses(*cell))?;
    let mut to = Code { room, count: 0 };
    let mut notes = *notes;
    notes[Note::Program as usize] = u32::try_from(given.len() / SIZE).ok()?;
    to.before(seal, cell, &notes)?;
    for next in Instruction::each(given) {
        match next.code {
            LD_LEN => to.push(LD_MEM, 0, 0, cell)?,
            LDX_LEN => to.push(LDX_MEM, 0, 0, cell)?,
            _ => to.push(next.code, next.jt, next.jf, next.k)?,
        }
    }
    for (which, next) in Instruction::each(given).enumerate() {
        let returns_some = next.code == RET_A || next.code == RET_K && next.k != 0;
        if !returns_some {
            continue;
        }
        let place = BEFORE + which;
        let over = u32::try_from(to.count - place - 1).ok()?;
        to.set(place * SIZE, JA, 0, 0, over)?;
        if next.code == RET_K {
            to.push(LD_MEM, 0, 0, cell)?;
            to.push(JGT_K, 0, 1, next.k)?;
            to.push(RET_K, 0, 0, next.k)?;
        } else {
            to.push(TAX, 0, 0, 0)?;
            to.push(LD_MEM, 0, 0, cell)?;
            to.push(JGT_X, 0, 1, 0)?;
            to.push(TXA, 0, 0, 0)?;
        }
        to.push(RET_A, 0, 0, 0)?;
    }
    Some(to.count * SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const LD_H_ABS: u16 = 0x28;

    fn socket() -> (sys::Fd, u32) {
        let socket =
            sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK).expect("socket");
        set(socket.raw()).expect("a seal");
        let port = super::super::port(socket.raw()).expect("port");
        (socket, port)
    }

    fn program(code: &[(u16, u8, u8, u32)]) -> Vec<u8> {
        let mut room = vec![0; code.len() * SIZE];
        let mut to = Code {
            room: &mut room,
            count: 0,
        };
        for (code, jt, jf, k) in code {
            to.push(*code, *jt, *jf, *k).expect("room");
        }
        room
    }

    fn attached(fd: i32, code: &[(u16, u8, u8, u32)]) -> Result<(), Errno> {
        attach(fd, code.len(), |room| {
            room.copy_from_slice(&program(code));
            Ok(())
        })
    }

    /// Sends a datagram with the seal and returns what is received of it.
    fn through(to: &(sys::Fd, u32), datagram: &[u8]) -> Option<Vec<u8>> {
        let seal = of(to.0.raw()).expect("the seal");
        sys::send_netlink(to.0.raw(), to.1, &[datagram, &seal]).expect("sent");
        let mut room = vec![0; 70_000];
        let n = sys::receive(to.0.as_fd(), &mut room, 0).ok()?;
        Some(room[..n].to_vec())
    }

    #[test]
    fn what_has_no_seal_is_not_queued() {
        let it = socket();
        let (other, _) = socket();
        let theirs = of(other.raw()).expect("a seal");
        assert_ne!(Some(theirs), of(it.0.raw()));
        for length in [1, 15, 16, 17, 40, 60_000] {
            let datagram = vec![7; length];
            for sender in [&it.0, &other] {
                sys::send_netlink(sender.raw(), it.1, &[&datagram]).expect("sent");
                sys::send_netlink(sender.raw(), it.1, &[&datagram, &theirs]).expect("sent");
            }
            let got = sys::receive(it.0.as_fd(), &mut [0; 64], 0);
            assert_eq!(got, Err(Errno(libc::EAGAIN)), "{length}");
            assert_eq!(through(&it, &datagram), Some(datagram));
        }
    }

    #[test]
    fn the_filter_of_the_program_sees_no_seal() {
        let it = socket();
        let fd = it.0.raw();
        assert!(!has_program(fd));
        assert_eq!(detach(fd), Err(Errno(libc::ENOENT)));
        let long = [5; 100];
        // What is shorter, and the whole of it.
        for (k, length) in [(1, 1), (20, 20), (100, 100), (101, 100), (u32::MAX, 100)] {
            attached(fd, &[(RET_K, 0, 0, k)]).expect("taken");
            assert!(has_program(fd));
            assert_eq!(through(&it, &long).expect("passed").len(), length);
            let by_a = [(LD_IMM, 0, 0, k), (RET_A, 0, 0, 0)];
            attached(fd, &by_a).expect("taken");
            assert_eq!(through(&it, &long).expect("passed").len(), length);
        }
        attached(fd, &[(RET_K, 0, 0, 0)]).expect("taken");
        assert_eq!(through(&it, &long), None);
        attached(fd, &[(RET_A, 0, 0, 0)]).expect("taken");
        assert_eq!(
            through(&it, &long),
            None,
            "the registers are 0 at the begin"
        );
        attached(fd, &[(TXA, 0, 0, 0), (RET_A, 0, 0, 0)]).expect("taken");
        assert_eq!(through(&it, &long), None);
        // The length, by both registers and past a jump.
        let by_length = [
            (LD_LEN, 0, 0, 0),
            (JEQ_K, 0, 2, 100),
            (LDX_LEN, 0, 0, 0),
            (RET_K, 0, 0, 10),
            (LDX_LEN, 0, 0, 0),
            (TXA, 0, 0, 0),
            (SUB_K, 0, 0, 1),
            (RET_A, 0, 0, 0),
        ];
        attached(fd, &by_length).expect("taken");
        assert_eq!(through(&it, &long).expect("passed").len(), 10);
        assert_eq!(through(&it, &long[..40]).expect("passed").len(), 39);
        // By the type of the message, as zebra does.
        let by_type = [
            (LD_H_ABS, 0, 0, 4),
            (JEQ_K, 0, 1, 0x0505),
            (RET_K, 0, 0, 0),
            (RET_K, 0, 0, 0xffff),
        ];
        attached(fd, &by_type).expect("taken");
        assert_eq!(through(&it, &long), None);
        assert_eq!(through(&it, &[6; 40]), Some(vec![6; 40]));
        // What others send does not pass, whatever the filter says.
        attached(fd, &[(RET_K, 0, 0, u32::MAX)]).expect("taken");
        sys::send_netlink(fd, it.1, &[&long]).expect("sent");
        let got = sys::receive(it.0.as_fd(), &mut [0; 64], 0);
        assert_eq!(got, Err(Errno(libc::EAGAIN)));
        assert_eq!(detach(fd), Ok(()));
        assert_eq!(detach(fd), Err(Errno(libc::ENOENT)));
        assert_eq!(through(&it, &long), Some(long.to_vec()));
    }

    #[test]
    fn cells_that_the_program_uses_are_left_to_it() {
        let it = socket();
        let mut code = vec![(LD_IMM, 0, 0, 33)];
        // All but one.
        code.extend((1..CELLS).map(|cell| (ST, 0, 0, cell)));
        code.extend([(LD_IMM, 0, 0, 0), (LD_MEM, 0, 0, 15), (RET_A, 0, 0, 0)]);
        attached(it.0.raw(), &code).expect("taken");
        assert_eq!(through(&it, &[5; 100]).expect("passed").len(), 33);
        code.insert(1, (ST, 0, 0, 0));
        assert_eq!(attached(it.0.raw(), &code), Err(EINVAL));
    }

    #[test]
    fn what_the_kernel_does_not_take_is_refused() {
        let it = socket();
        let fd = it.0.raw();
        for code in [
            &[][..],
            &[(LD_IMM, 0, 0, 1)],
            &[(JA, 0, 0, 1), (RET_K, 0, 0, 1)],
            &[(JEQ_K, 5, 0, 1), (RET_K, 0, 0, 1)],
            &[(0xffff, 0, 0, 1), (RET_K, 0, 0, 1)],
            &[(LD_MEM, 0, 0, 3), (RET_A, 0, 0, 0)],
        ] {
            assert_eq!(attached(fd, code), Err(EINVAL), "{code:?}");
        }
        assert!(!has_program(fd));
        let longest = vec![(RET_K, 0, 0, 0); MOST - BEFORE];
        attached(fd, &longest).expect("taken");
        assert!(of(fd).is_some(), "the seal is found in a long filter, too");
    }
}
