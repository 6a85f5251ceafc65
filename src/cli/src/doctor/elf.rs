//! What a program's file says about itself: static, Go, another C library, another architecture.

use object::elf::{self, FileHeader32, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::ReadCache;
use object::{Endianness, FileKind, ReadRef};
use std::fs::File;
use std::path::Path;

/// Facts of one ELF file.
#[derive(Debug, Default, PartialEq)]
pub struct Facts {
    /// Dynamic linker, None for a static program.
    pub interpreter: Option<Vec<u8>>,
    /// EM_* and 32 or 64 bits.
    pub machine: (u16, u8),
    /// Built by the Go compiler.
    pub go: bool,
}

/// What is wrong with the file, each with its remedy.
pub fn examine(path: &Path) -> Vec<String> {
    let own = facts(Path::new("/proc/self/exe")).map(|f| f.machine);
    match facts(path) {
        Some(facts) => complaints(&facts, own),
        None => Vec::new(),
    }
}

fn complaints(facts: &Facts, own: Option<(u16, u8)>) -> Vec<String> {
    let mut found = Vec::new();
    if own.is_some_and(|own| own != facts.machine) {
        let (theirs, ours) = (
            architecture(facts.machine),
            own.map(architecture).unwrap_or_default(),
        );
        found.push(format!(
            "is built for {theirs}, so this {ours} library cannot be loaded into it; build it for {ours}, or memtun for {theirs}"
        ));
        return found;
    }
    let linker = facts.interpreter.as_deref().map(String::from_utf8_lossy);
    match &linker {
        None if !facts.go => {
            found.push(
                "is linked statically, so no library can be loaded into it; link it dynamically"
                    .into(),
            );
        }
        Some(linker) if linker.contains("ld-musl") => {
            found.push("is linked with musl, which this library does not serve; build it for glibc (a -gnu target)".into());
        }
        Some(linker)
            if !linker.contains("/ld-linux")
                && !linker.contains("/ld64")
                && !linker.contains("/ld.so") =>
        {
            found.push(format!(
                "is started by {linker}, which is not glibc's; build it for glibc"
            ));
        }
        _ => {}
    }
    if facts.go {
        found.push(
            "is a Go program, which makes its system calls without libc; build it with gccgo, or hand it a tunnel's \
             descriptor that another program opened"
                .into(),
        );
    }
    found
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
    let interp = segments.iter().find(|s| s.p_type(endian) == PT_INTERP);
    let interpreter = interp.and_then(|s| s.interpreter(endian, data).ok().flatten());
    let sections = header.sections(endian, data).ok();
    let go = sections.is_some_and(|sections| {
        sections
            .iter()
            .filter_map(|s| sections.section_name(endian, s).ok())
            .any(|n| n == b".go.buildinfo" || n == b".note.go.buildid")
    });
    let class = header.e_ident().class;
    Some(Facts {
        interpreter: interpreter.map(<[u8]>::to_vec),
        machine: (header.e_machine(endian), class),
        go,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_nothing_against_it() {
        assert_eq!(examine(Path::new("/proc/self/exe")), Vec::<String>::new());
    }

    #[test]
    fn each_complaint_names_its_remedy() {
        let here = (elf::EM_X86_64, 2);
        let glibc = Some(b"/lib64/ld-linux-x86-64.so.2".to_vec());
        let complain = |interpreter: Option<Vec<u8>>, machine, go| {
            complaints(
                &Facts {
                    interpreter,
                    machine,
                    go,
                },
                Some(here),
            )
            .join("\n")
        };
        assert_eq!(complain(glibc.clone(), here, false), "");
        assert!(complain(None, here, false).contains("link it dynamically"));
        assert!(complain(Some(b"/lib/ld-musl-x86_64.so.1".to_vec()), here, false).contains("-gnu"));
        assert!(complain(glibc.clone(), here, true).contains("Go program"));
        assert!(complain(glibc, (elf::EM_AARCH64, 2), false).contains("build it for x86-64"));
    }
}
