//! The next definitions of many names behind this library's, found with one walk over the symbol
//! tables: dlsym(3) costs more for each of them than all the rest of its look-up at the start.
//!
//! What is found is what dlsym(RTLD_NEXT) finds, and what is not plain here is left to it: a
//! function that is chosen when it is asked for (STT_GNU_IFUNC), a symbol of a version that is not
//! the default one, a library without DT_GNU_HASH, one that an auditor watches (LD_AUDIT), and all
//! names where this library was not preloaded, because libc then stands in front of it.

use std::ffi::{c_char, c_int, c_void, CStr};

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The next definition of a symbol behind this library's; null if there is none.
pub fn next(name: &CStr) -> *mut c_void {
    const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
    // SAFETY: the name is NUL-terminated, and dlsym has no other preconditions.
    unsafe { dlsym(RTLD_NEXT, name.as_ptr()) }
}

/// The hash of a name in the tables of DT_GNU_HASH.
pub const fn hash(name: &CStr) -> u32 {
    let bytes = name.to_bytes();
    let (mut hash, mut at) = (5381u32, 0);
    while at < bytes.len() {
        hash = hash.wrapping_mul(33).wrapping_add(bytes[at] as u32);
        at += 1;
    }
    hash
}

/// Most libraries between this one and libc. Where there are more, dlsym is asked.
const MOST: usize = 96;

const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_STRSZ: usize = 10;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DT_VERSYM: usize = 0x6fff_fff0;

/// One entry of a dynamic section (`ElfN_Dyn`).
#[repr(C)]
struct Dynamic {
    tag: usize,
    value: usize,
}

#[cfg(target_pointer_width = "64")]
type Symbol = libc::Elf64_Sym;
#[cfg(target_pointer_width = "32")]
type Symbol = libc::Elf32_Sym;

/// The tables of one library, which stay as long as it is loaded. No address is null but
/// `versions`, which says that the library has none.
#[derive(Clone, Copy)]
struct Tables {
    base: usize,
    symbols: *const Symbol,
    names: *const u8,
    names_size: usize,
    versions: *const u16,
    bloom: *const usize,
    bloom_mask: usize,
    bloom_shift: u32,
    buckets: *const u32,
    bucket_count: u32,
    /// The chain, so that the number of a symbol is its index.
    chain: *const u32,
}

/// What one library says of a name.
enum Said {
    Nothing,
    Here(*mut c_void),
    Unclear,
}

impl Tables {
    /// Reads where the tables of a loaded library are.
    ///
    /// # Safety
    ///
    /// `dynamic` is the dynamic section of a library that the dynamic linker has loaded at `base`.
    unsafe fn of(base: usize, mut dynamic: *const Dynamic) -> Option<Tables> {
        let (mut symbols, mut names, mut names_size) = (0, 0, 0);
        let (mut hashes, mut versions) = (0, 0);
        // glibc has added the base to the addresses, where it can write into the section.
        let at = |value: usize| match value < base {
            true => base.wrapping_add(value),
            false => value,
        };
        loop {
            // SAFETY: the section ends with an entry of tag 0.
            let entry = unsafe { &*dynamic };
            match entry.tag {
                0 => break,
                DT_STRTAB => names = at(entry.value),
                DT_SYMTAB => symbols = at(entry.value),
                DT_STRSZ => names_size = entry.value,
                DT_GNU_HASH => hashes = at(entry.value),
                DT_VERSYM => versions = at(entry.value),
                _ => {}
            }
            // SAFETY: this was not the last entry.
            dynamic = unsafe { dynamic.add(1) };
        }
        if [symbols, names, hashes].contains(&0) {
            return None;
        }
        let head = hashes as *const u32;
        // SAFETY: the table of hashes begins with these four numbers; the bloom filter, the buckets
        // and the chain follow.
        unsafe {
            let [bucket_count, first, words, bloom_shift] = head.cast::<[u32; 4]>().read();
            if bucket_count == 0 || !words.is_power_of_two() {
                return None;
            }
            let bloom = head.add(4).cast::<usize>();
            let buckets = bloom.add(words as usize).cast::<u32>();
            let chain = buckets.add(bucket_count as usize);
            Some(Tables {
                base,
                symbols: symbols as *const Symbol,
                names: names as *const u8,
                names_size,
                versions: versions as *const u16,
                bloom,
                bloom_mask: words as usize - 1,
                bloom_shift,
                buckets,
                bucket_count,
                chain: chain.wrapping_sub(first as usize),
            })
        }
    }

    /// Looks for a function in this library.
    fn find(&self, name: &CStr, hash: u32) -> Said {
        const BITS: u32 = usize::BITS;
        let word = (hash / BITS) as usize & self.bloom_mask;
        // SAFETY: the filter has `bloom_mask + 1` words.
        let word = unsafe { *self.bloom.add(word) };
        let second = hash.checked_shr(self.bloom_shift).unwrap_or(0) % BITS;
        if (word >> (hash % BITS)) & (word >> second) & 1 == 0 {
            return Said::Nothing;
        }
        // SAFETY: there are `bucket_count` buckets, each with the number of its first symbol, or 0.
        let mut number = unsafe { *self.buckets.add((hash % self.bucket_count) as usize) } as usize;
        if number == 0 {
            return Said::Nothing;
        }
        loop {
            // SAFETY: the chain has an element for each symbol, up to the one whose last bit is
            // set, where the bucket ends.
            let link = unsafe { *self.chain.wrapping_add(number) };
            if (link ^ hash) >> 1 == 0 {
                match self.symbol(name, number) {
                    Said::Nothing => {}
                    said => return said,
                }
            }
            if link & 1 != 0 {
                return Said::Nothing;
            }
            number += 1;
        }
    }

    /// Is this symbol the function of that name?
    fn symbol(&self, name: &CStr, number: usize) -> Said {
        const HIDDEN: u16 = 0x8000;
        const FUNCTION: u8 = 2;
        // SAFETY: the chain says that there is a symbol of this number.
        let symbol = unsafe { &*self.symbols.add(number) };
        let bytes = name.to_bytes_with_nul();
        let at = symbol.st_name as usize;
        if at
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.names_size)
        {
            return Said::Nothing;
        }
        // SAFETY: so many bytes are in the table of names.
        let other = unsafe { std::slice::from_raw_parts(self.names.add(at), bytes.len()) };
        if other != bytes || symbol.st_shndx == 0 {
            return Said::Nothing;
        }
        let plain = symbol.st_info & 15 == FUNCTION
            && matches!(symbol.st_info >> 4, 1 | 2)
            && matches!(symbol.st_other & 3, 0 | 3)
            && symbol.st_value != 0;
        let version = match self.versions.is_null() {
            true => 1,
            // SAFETY: each symbol has a version where there are any.
            false => unsafe { *self.versions.add(number) },
        };
        match plain {
            // A later symbol of this name may be the default version.
            true if version & HIDDEN != 0 && version & !HIDDEN >= 2 => Said::Nothing,
            true => Said::Here(self.base.wrapping_add(symbol.st_value as usize) as *mut c_void),
            false => Said::Unclear,
        }
    }
}

/// The libraries behind this one, up to libc.
pub struct Behind {
    libraries: [Option<Tables>; MOST],
    count: usize,
    /// Was this library seen, and was libc?
    seen: (bool, bool),
    /// This library's path as the dynamic linker has it.
    pub own: Option<&'static CStr>,
}

impl Behind {
    /// Nothing is known yet, and dlsym answers everything.
    pub const UNKNOWN: Behind = Behind {
        libraries: [None; MOST],
        count: 0,
        seen: (false, false),
        own: None,
    };

    /// Looks where the libraries are. Nobody may load or unload any while the answer is used, so
    /// this is for the constructor of a library that was preloaded.
    pub fn look(&mut self) {
        // SAFETY: `each` gets what it expects, and nobody else has this value.
        unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut *self).cast()) };
        // SAFETY: the name is NUL-terminated, and the program has no threads yet.
        let audited = unsafe { !libc::getenv(c"LD_AUDIT".as_ptr()).is_null() };
        if audited || self.seen != (true, true) {
            self.count = 0;
        }
    }

    /// Returns the next definition of a function behind this library's; null when there is none.
    pub fn find(&self, name: &CStr, hash: u32) -> *mut c_void {
        for library in &self.libraries[..self.count] {
            match library.as_ref().map(|library| library.find(name, hash)) {
                Some(Said::Nothing) => {}
                Some(Said::Here(found)) => return found,
                Some(Said::Unclear) | None => break,
            }
        }
        next(name)
    }
}

/// Takes one library into account; the dynamic linker calls it for each, in its order of search.
unsafe extern "C" fn each(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    behind: *mut c_void,
) -> c_int {
    // SAFETY: the dynamic linker passes on what `Behind::look` has given, and what it knows.
    let (behind, info) = unsafe { (&mut *behind.cast::<Behind>(), &*info) };
    let base = info.dlpi_addr as usize;
    // SAFETY: there are so many headers of segments.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let holds = |address: usize| {
        headers.iter().any(|header| {
            let from = base.wrapping_add(header.p_vaddr as usize);
            header.p_type == libc::PT_LOAD && address.wrapping_sub(from) < header.p_memsz as usize
        })
    };
    if !behind.seen.0 {
        if holds(each as *const () as usize) {
            behind.seen.0 = true;
            let name = info.dlpi_name;
            // SAFETY: the name is a NUL-terminated string of the dynamic linker's, which stays as
            // long as the library is loaded.
            behind.own = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) });
        }
        return 0;
    }
    let mut dynamic = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_DYNAMIC);
    let dynamic = dynamic
        .next()
        .map(|header| base.wrapping_add(header.p_vaddr as usize));
    // SAFETY: the section is where the header says.
    let tables = dynamic.and_then(|at| unsafe { Tables::of(base, at as *const Dynamic) });
    let Some(place) = behind.libraries.get_mut(behind.count) else {
        return 1;
    };
    *place = tables;
    behind.count += 1;
    behind.seen.1 = holds(libc::__errno_location as *const () as usize);
    behind.seen.1.into()
}
