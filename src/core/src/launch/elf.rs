//! What an executable's file says about itself (elf(5)). What the preloaded library asks here
//! neither allocates nor takes a lock, because the library looks at a program between fork and
//! exec.
#![forbid(unsafe_code)]

use crate::sys;
use std::fmt;

/// Number of segments that are looked at: more than any linker makes.
const SEGMENTS: usize = 24;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

const EM_386: u16 = 3;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// Number of the architecture (`e_machine`) and width of an address in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(u16, u8);

impl Machine {
    /// The machine that this library is built for.
    pub const OURS: Machine = Machine(
        if cfg!(target_arch = "aarch64") {
            EM_AARCH64
        } else {
            EM_X86_64
        },
        64,
    );
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Machine(EM_X86_64, 64) => "x86-64",
            Machine(EM_X86_64, _) => "x32",
            Machine(EM_386, _) => "32-bit x86",
            Machine(EM_AARCH64, _) => "aarch64",
            Machine(EM_ARM, _) => "32-bit ARM",
            Machine(243, 64) => "riscv64",
            Machine(20 | 21, _) => "ppc",
            Machine(22, _) => "s390x",
            Machine(machine, _) => return write!(f, "architecture {machine}"),
        })
    }
}

#[derive(Clone, Copy, Default)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// The file of an executable for this library's architecture.
pub struct Image<'a> {
    fd: i32,
    /// The first bytes of the file, which hold most of what is asked for.
    start: &'a [u8],
    segments: [Segment; SEGMENTS],
    count: usize,
    /// Offset and number of the section headers.
    sections: (u64, u16),
}

/// What the first bytes of a file say it is.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack of one caller, and nothing here allocates"
)]
pub enum Kind<'a> {
    /// It is an ELF file of this library's architecture.
    Ours(Image<'a>),
    /// It is an ELF file of another architecture.
    Foreign(Machine),
    /// It is something else.
    Other,
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// Looks at the file behind a descriptor, whose first bytes are `start`.
pub fn kind(fd: i32, start: &[u8]) -> Kind<'_> {
    if start.len() < 64 || !start.starts_with(b"\x7fELF") {
        return Kind::Other;
    }
    let width = if start[4] == 1 { 32 } else { 64 };
    let big_endian = start[5] == 2;
    let number = if big_endian {
        u16::from_be_bytes([start[18], start[19]])
    } else {
        half(start, 18)
    };
    let machine = Machine(number, width);
    if machine != Machine::OURS || big_endian {
        return Kind::Foreign(machine);
    }
    let mut image = Image {
        fd,
        start,
        segments: [Segment::default(); SEGMENTS],
        count: 0,
        sections: (long(start, 40), half(start, 60)),
    };
    let (table, size, count) = (long(start, 32), half(start, 54), half(start, 56));
    for i in 0..usize::from(count).min(SEGMENTS) {
        let mut entry = [0u8; 56];
        let at = table.saturating_add(i as u64 * u64::from(size));
        if image.read(&mut entry, at) != 56 {
            break;
        }
        image.segments[i] = Segment {
            kind: word(&entry, 0),
            flags: word(&entry, 4),
            offset: long(&entry, 8),
            address: long(&entry, 16),
            size: long(&entry, 32),
        };
        image.count = i + 1;
    }
    Kind::Ours(image)
}

/// An entry of the dynamic section that names something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The entry names a library that is needed.
    Needed,
    /// The entry is a search path for such libraries.
    SearchPath,
}

impl Image<'_> {
    fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let known = usize::try_from(offset)
            .ok()
            .and_then(|at| self.start.get(at..));
        if let Some(known) = known.and_then(|known| known.get(..buf.len())) {
            buf.copy_from_slice(known);
            return buf.len();
        }
        sys::pread(self.fd, buf, offset).unwrap_or(0)
    }

    fn of(&self, kind: u32) -> impl Iterator<Item = &Segment> {
        self.segments[..self.count]
            .iter()
            .filter(move |s| s.kind == kind)
    }

    /// Has the file any segment at all? A file without one is no program.
    pub fn is_program(&self) -> bool {
        self.count > 0
    }

    /// The dynamic linker that starts the program; `None` for a static program.
    pub fn interpreter<'b>(&self, buf: &'b mut [u8; 256]) -> Option<&'b [u8]> {
        let segment = self.of(PT_INTERP).next()?;
        let len = usize::try_from(segment.size).unwrap_or(0).min(buf.len());
        let got = self.read(&mut buf[..len], segment.offset);
        let end = buf[..got].iter().position(|b| *b == 0).unwrap_or(got);
        Some(&buf[..end])
    }

    /// Has the file a note of Go's linker? Every Go program has one, except those built by gccgo.
    pub fn is_go(&self) -> bool {
        self.note(b"Go\0\0", 4)
    }

    /// Has the file a note of this owner with type 1? The owner's name is padded with NUL to a
    /// multiple of four bytes.
    pub fn has_note(&self, owner: &[u8]) -> bool {
        self.note(owner, 1)
    }

    fn note(&self, owner: &[u8], kind: u32) -> bool {
        let mut start = [0u8; 512];
        self.of(PT_NOTE).any(|segment| {
            let len = usize::try_from(segment.size).unwrap_or(0).min(start.len());
            let got = self.read(&mut start[..len], segment.offset);
            let mut notes = &start[..got];
            while notes.len() >= 12 {
                if word(notes, 8) == kind && notes[12..].starts_with(owner) {
                    return true;
                }
                let padded = |at| (word(notes, at) as usize).saturating_add(3) & !3;
                let next = 12usize.saturating_add(padded(0)).saturating_add(padded(4));
                notes = notes.get(next..).unwrap_or_default();
            }
            false
        })
    }

    /// The offset in the file for an address of the running program.
    fn offset(&self, address: u64) -> Option<u64> {
        let inside = |s: &&Segment| address.wrapping_sub(s.address) < s.size;
        let segment = self.of(PT_LOAD).find(inside)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// Calls `each` with the names in the dynamic section, each of at most 255 bytes, as long as it
    /// returns true.
    pub fn each_name(&self, mut each: impl FnMut(Entry, &[u8]) -> bool) {
        let Some(segment) = self.of(PT_DYNAMIC).next() else {
            return;
        };
        let mut entries = [0u8; 2048];
        let len = usize::try_from(segment.size)
            .unwrap_or(0)
            .min(entries.len());
        let got = self.read(&mut entries[..len], segment.offset);
        let entries = entries[..got]
            .chunks_exact(16)
            .map(|e| (long(e, 0), long(e, 8)));
        let strings = entries.clone().find(|(tag, _)| *tag == DT_STRTAB);
        let Some(strings) = strings.and_then(|(_, address)| self.offset(address)) else {
            return;
        };
        for (tag, at) in entries {
            let entry = match tag {
                DT_NEEDED => Entry::Needed,
                DT_RPATH | DT_RUNPATH => Entry::SearchPath,
                _ => continue,
            };
            let mut name = [0u8; 256];
            let place = strings.saturating_add(at);
            let got = self.read(&mut name, place);
            let end = name[..got].iter().position(|b| *b == 0).unwrap_or(0);
            if !each(entry, &name[..end]) {
                return;
            }
        }
    }

    /// Offset and length of the parts of the file that are code: its sections, or its executable
    /// segments where it has no sections.
    pub fn code(&self) -> Vec<(u64, u64)> {
        const SHT_PROGBITS: u32 = 1;
        const SHF_EXECINSTR: u64 = 4;
        let (table, count) = self.sections;
        let mut found = Vec::new();
        for i in 0..u64::from(count) {
            let mut entry = [0u8; 64];
            if sys::pread(self.fd, &mut entry, table.saturating_add(i * 64)) != Ok(64) {
                break;
            }
            if word(&entry, 4) == SHT_PROGBITS && long(&entry, 8) & SHF_EXECINSTR != 0 {
                found.push((long(&entry, 24), long(&entry, 32)));
            }
        }
        if found.is_empty() {
            let code = self.of(PT_LOAD).filter(|s| s.flags & PF_X != 0);
            found.extend(code.map(|s| (s.offset, s.size)));
        }
        found
    }

    /// Is a sanitizer's runtime linked into the file itself, as `-static-libasan` does, and clang
    /// and rustc do by default? Then one of the symbol tables defines its entry points; where the
    /// runtime is a library they are only named there.
    pub fn has_sanitizer(&self) -> bool {
        let mut found = false;
        self.each_defined(|name| {
            found |= ENTRY_POINTS.contains(&name) || name.starts_with(b"__ubsan_handle_");
        });
        found
    }

    /// Does the file define this symbol for other files?
    pub fn exports(&self, wanted: &[u8]) -> bool {
        let mut found = false;
        self.each_in(&[SHT_DYNSYM], |name| found |= name == wanted);
        found
    }

    /// Calls `each` with the name of every symbol that the file defines.
    pub fn each_defined(&self, each: impl FnMut(&[u8])) {
        self.each_in(&[SHT_SYMTAB, SHT_DYNSYM], each);
    }

    fn each_in(&self, kinds: &[u32], mut each: impl FnMut(&[u8])) {
        let (table, count) = self.sections;
        let section = |i: u64| {
            let mut entry = [0u8; 64];
            let at = table.saturating_add(i * 64);
            (sys::pread(self.fd, &mut entry, at) == Ok(64)).then_some(entry)
        };
        let tables = (0..u64::from(count))
            .filter_map(section)
            .filter(|entry| kinds.contains(&word(entry, 4)));
        for symbols in tables {
            let Some(strings) = section(u64::from(word(&symbols, 40))) else {
                continue;
            };
            let names = self.bytes(&strings);
            for symbol in self.bytes(&symbols).chunks_exact(24) {
                if half(symbol, 6) != SHN_UNDEF {
                    let rest = names.get(word(symbol, 0) as usize..).unwrap_or_default();
                    each(rest.split(|byte| *byte == 0).next().unwrap_or_default());
                }
            }
        }
    }

    /// The contents of a section, up to the limit that is looked at.
    fn bytes(&self, section: &[u8; 64]) -> Vec<u8> {
        const MOST: u64 = 1 << 28;
        let (mut at, mut left) = (long(section, 24), long(section, 32).min(MOST));
        let (mut found, mut piece) = (Vec::new(), [0u8; 1 << 14]);
        while left > 0 {
            let want = left.min(piece.len() as u64) as usize;
            let got = sys::pread(self.fd, &mut piece[..want], at).unwrap_or(0);
            if got == 0 {
                break;
            }
            found.extend_from_slice(&piece[..got]);
            (at, left) = (at.saturating_add(got as u64), left - got as u64);
        }
        found
    }
}

const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const SHN_UNDEF: u16 = 0;

/// Functions by which a program that was built with a sanitizer calls its runtime.
const ENTRY_POINTS: &[&[u8]] = &[
    b"__asan_init",
    b"__hwasan_init",
    b"__lsan_init",
    b"__msan_init",
    b"__tsan_init",
];
