//! What a program's file says about itself: static, Go, another C library, another architecture.

use super::Findings;
use object::elf::{self, FileHeader32, FileHeader64, DT_NEEDED, SHT_DYNSYM};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable, Sym};
use object::read::ReadCache;
use object::{Endianness, FileKind, ReadRef};
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

/// Facts of one ELF file.
#[derive(Debug, Default, PartialEq)]
pub struct Facts {
    /// Dynamic linker, None for a static program.
    interpreter: Option<String>,
    /// EM_* and 32 or 64 bits.
    machine: (u16, u8),
    /// Built by the Go compiler.
    go: bool,
    /// Libraries that it names itself.
    needed: Vec<String>,
    /// Functions that it takes from libraries.
    imports: HashSet<String>,
}

/// What the file says against it, each with its remedy. Nothing when it is not ELF.
pub fn examine(path: &Path) -> Findings {
    let own = facts(Path::new("/proc/self/exe")).map(|f| f.machine);
    let Some(facts) = facts(path) else {
        return Findings::default();
    };
    Findings {
        complaints: complaints(&facts, own),
        notes: note(&facts).into_iter().collect(),
        sanitizer: facts
            .needed
            .iter()
            .any(|library| library.starts_with("libasan.")),
    }
}

fn complaints(facts: &Facts, own: Option<(u16, u8)>) -> Vec<String> {
    if let Some(own) = own.filter(|own| *own != facts.machine) {
        let (theirs, ours) = (architecture(facts.machine), architecture(own));
        return vec![format!(
            "is built for {theirs}, so this {ours} library cannot be loaded into it; build it for {ours}, or memtun for {theirs}"
        )];
    }
    if facts.go {
        return vec!["is a Go program, which makes its system calls without libc, where no library sees them; build it \
                     with gccgo, or hand it a tunnel's descriptor that another program opened"
            .into()];
    }
    match facts.interpreter.as_deref() {
        None => vec![
            "is linked statically, so no library can be loaded into it; link it dynamically".into(),
        ],
        Some(linker) if linker.contains("ld-musl") => {
            vec!["is linked with musl, which this library does not serve; build it for glibc (a -gnu target)".into()]
        }
        Some(linker)
            if !["/ld-linux", "/ld64", "/ld.so", "/nix/"]
                .iter()
                .any(|glibc| linker.contains(glibc)) =>
        {
            vec![format!(
                "is started by {linker}, which is not glibc's; build it for glibc"
            )]
        }
        Some(_) => Vec::new(),
    }
}

/// Libraries that open no devices for a program.
const PLAIN: &[&str] = &[
    "libc.",
    "libm.",
    "libpthread.",
    "libdl.",
    "librt.",
    "libgcc_s.",
    "libstdc++.",
    "ld-linux",
    "libresolv.",
];

/// Nothing in this program can make an ioctl through libc, and no other program or library that could is started by it.
fn note(facts: &Facts) -> Option<String> {
    let ways = [
        "ioctl",
        "syscall",
        "dlopen",
        "execve",
        "execv",
        "execvp",
        "execl",
        "execlp",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "popen",
    ];
    let plain = |library: &String| PLAIN.iter().any(|name| library.starts_with(name));
    let possible = facts.imports.is_empty() || ways.iter().any(|way| facts.imports.contains(*way));
    let silent = facts.interpreter.is_some() && !possible && facts.needed.iter().all(plain);
    silent.then(|| "takes no ioctl from libc: it opens no tunnel, or makes raw system calls, which no library sees".into())
}

fn architecture((machine, class): (u16, u8)) -> String {
    match (machine, class) {
        (elf::EM_X86_64, 2) => "x86-64".into(),
        (elf::EM_X86_64, _) => "x32".into(),
        (elf::EM_386, _) => "32-bit x86".into(),
        (elf::EM_AARCH64, _) => "aarch64".into(),
        (elf::EM_ARM, _) => "32-bit ARM".into(),
        (elf::EM_RISCV, 2) => "riscv64".into(),
        (elf::EM_PPC64, _) => "ppc64".into(),
        (elf::EM_S390, _) => "s390x".into(),
        (machine, _) => format!("architecture {machine}"),
    }
}

/// None when the file is no ELF program that can be understood.
pub fn facts(path: &Path) -> Option<Facts> {
    let cache = ReadCache::new(File::open(path).ok()?);
    match FileKind::parse(&cache).ok()? {
        FileKind::Elf32 => read::<FileHeader32<Endianness>, _>(&cache),
        FileKind::Elf64 => read::<FileHeader64<Endianness>, _>(&cache),
        _ => None,
    }
}

fn read<'data, H: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(data: R) -> Option<Facts> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let interpreter = segments
        .iter()
        .find_map(|s| s.interpreter(endian, data).ok().flatten())
        .map(lossy);
    let mut facts = Facts {
        interpreter,
        machine: (header.e_machine(endian), header.e_ident().class),
        ..Facts::default()
    };
    // What follows is more than a program needs to run; a stripped one may not have it.
    if let Ok(sections) = header.sections(endian, data) {
        let names = sections
            .iter()
            .filter_map(|s| sections.section_name(endian, s).ok());
        facts.go = names
            .into_iter()
            .any(|n| n == b".go.buildinfo" || n == b".note.go.buildid");
        dynamic(&mut facts, &sections, endian, data);
    }
    Some(facts)
}

/// The libraries and functions of a dynamic program.
fn dynamic<'data, H: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    facts: &mut Facts,
    sections: &SectionTable<'data, H, R>,
    endian: Endianness,
    data: R,
) -> Option<()> {
    let (entries, link) = sections.dynamic(endian, data).ok()??;
    let strings = sections.strings(endian, data, link).ok()?;
    for entry in entries
        .iter()
        .filter(|e| e.tag32(endian) == Some(DT_NEEDED))
    {
        let name = entry.val32(endian).and_then(|at| strings.get(at).ok());
        facts.needed.extend(name.map(lossy));
    }
    let symbols = sections.symbols(endian, data, SHT_DYNSYM).ok()?;
    for symbol in symbols.iter().filter(|s| s.is_undefined(endian)) {
        facts
            .imports
            .extend(symbol.name(endian, symbols.strings()).ok().map(lossy));
    }
    Some(())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_nothing_against_it() {
        let findings = examine(Path::new("/proc/self/exe"));
        assert_eq!((findings.complaints, findings.notes), (vec![], vec![]));
        let facts = facts(Path::new("/proc/self/exe")).unwrap();
        assert!(
            facts.needed.iter().any(|l| l.starts_with("libc.")) && facts.imports.contains("ioctl"),
            "{facts:?}"
        );
    }

    #[test]
    fn each_complaint_names_its_remedy() {
        let here = (elf::EM_X86_64, 2);
        let glibc = "/lib64/ld-linux-x86-64.so.2";
        let complain = |interpreter: Option<&str>, machine, go| {
            let interpreter = interpreter.map(str::to_owned);
            complaints(
                &Facts {
                    interpreter,
                    machine,
                    go,
                    ..Facts::default()
                },
                Some(here),
            )
            .join("\n")
        };
        assert_eq!(complain(Some(glibc), here, false), "");
        assert!(complain(None, here, false).contains("link it dynamically"));
        assert!(complain(Some("/lib/ld-musl-x86_64.so.1"), here, false).contains("-gnu"));
        assert!(complain(Some(glibc), here, true).contains("gccgo"));
        assert!(complain(None, here, true).contains("gccgo"));
        assert!(complain(Some(glibc), (elf::EM_AARCH64, 2), false).contains("build it for x86-64"));
        assert!(complain(Some("/system/bin/linker64"), here, false).contains("not glibc's"));
    }

    #[test]
    fn a_program_that_cannot_make_an_ioctl_is_noted() {
        let facts = |imports: &[&str], needed: &[&str]| Facts {
            interpreter: Some("/lib64/ld-linux-x86-64.so.2".into()),
            imports: imports.iter().map(|i| i.to_string()).collect(),
            needed: needed.iter().map(|n| n.to_string()).collect(),
            ..Facts::default()
        };
        assert!(note(&facts(&["open", "read"], &["libc.so.6"])).is_some());
        assert!(note(&facts(&["open", "ioctl"], &["libc.so.6"])).is_none());
        assert!(note(&facts(&["open", "execvp"], &["libc.so.6"])).is_none());
        assert!(note(&facts(&["open"], &["libc.so.6", "libevent.so.2"])).is_none());
    }
}
