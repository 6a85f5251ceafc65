//! `LD_PRELOAD`: which libraries stand in it, and in which order they must stand. Nothing here
//! allocates, so that the library can ask between fork and exec.

#![forbid(unsafe_code)]

/// Name of the variable.
pub const PRELOAD: &str = "LD_PRELOAD";

/// The libraries of a list, in their order.
pub fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let entries = list.split(|b| b": ".contains(b));
    entries.filter(|entry| !entry.is_empty())
}

/// The last component of a path. Entries are compared by it, because the linker may have found them
/// on a search path.
pub fn file(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Is this the name of a sanitizer's runtime, which has to come before every other library?
pub fn is_sanitizer(library: &[u8]) -> bool {
    const RUNTIMES: &[&[u8]] = &[
        b"libasan.so",
        b"libtsan.so",
        b"liblsan.so",
        b"libhwasan.so",
        b"libclang_rt.asan",
        b"libclang_rt.tsan",
        b"libclang_rt.hwasan",
    ];
    RUNTIMES.iter().any(|known| library.starts_with(known))
}

/// Is this entry the bare name of a sanitizer's runtime? memtun puts such a name in front of the
/// library for one program; a runtime that is named by its path was put there by somebody for all
/// programs.
fn is_for_one(entry: &[u8]) -> bool {
    !entry.contains(&b'/') && is_sanitizer(entry)
}

/// The entry of this list that names a library of this file name, as it stands there.
pub fn find<'a>(list: &'a [u8], library: &[u8]) -> Option<&'a [u8]> {
    entries(list).find(|entry| file(entry) == file(library))
}

/// Does the library come first in this list, behind sanitizers only, and are the runtimes there
/// that the program wants?
pub fn is_in_order<'a>(
    list: &[u8],
    library: &[u8],
    mut runtimes: impl Iterator<Item = &'a [u8]>,
) -> bool {
    let front = entries(list).take_while(|entry| is_sanitizer(file(entry)));
    in_front(list, library).is_none()
        && find(list, library).is_some()
        && runtimes.all(|wanted| front.clone().any(|entry| file(entry) == wanted))
}

/// The entry of this list that comes before the library and is no sanitizer. Sanitizers may stand
/// there because they pass calls on to the libraries behind them.
pub fn in_front<'a>(list: &'a [u8], library: &[u8]) -> Option<&'a [u8]> {
    let mut others = entries(list).filter(|entry| !is_sanitizer(file(entry)));
    others.next().filter(|first| file(first) != file(library))
}

/// The list of LD_PRELOAD for children of a program that was started with `list`; `None` when it is
/// the same.
pub fn for_children(list: &[u8]) -> Option<&[u8]> {
    let mut rest = list;
    while let Some(entry) = entries(rest).next().filter(|entry| is_for_one(entry)) {
        let at = rest.windows(entry.len()).position(|w| w == entry)? + entry.len();
        rest = rest[at..].trim_ascii_start();
        rest = rest.strip_prefix(b":").unwrap_or(rest);
    }
    (rest.len() < list.len() && !rest.is_empty()).then_some(rest)
}

/// The entries of a list with the library in it: the runtimes that the program wants, other
/// runtimes that somebody has put there for all programs, the library under this path, and the rest
/// of the list.
pub fn in_order<'a>(
    list: &'a [u8],
    library: &'a [u8],
    runtimes: impl Iterator<Item = &'a [u8]> + Clone + 'a,
) -> impl Iterator<Item = &'a [u8]> {
    let first = entries(list).filter(|entry| is_sanitizer(file(entry)) && !is_for_one(entry));
    let there = first.clone();
    let wanted = runtimes.clone();
    let missing = wanted.filter(move |wanted| !there.clone().any(|entry| file(entry) == *wanted));
    let is_wanted = move |entry: &[u8]| runtimes.clone().any(|wanted| file(entry) == wanted);
    let rest = entries(list).filter(move |entry| {
        file(entry) != file(library) && !is_sanitizer(file(entry)) && !is_wanted(entry)
    });
    missing.chain(first).chain([library]).chain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(list: &str, runtimes: &[&str]) -> String {
        let runtimes = runtimes.iter().map(|name| name.as_bytes());
        let entries: Vec<&[u8]> = in_order(list.as_bytes(), b"/x/libmemtun.so", runtimes).collect();
        String::from_utf8(entries.join(&b':')).expect("ASCII")
    }

    #[test]
    fn an_existing_preload_list_is_kept_behind_the_library() {
        assert_eq!(ordered("", &[]), "/x/libmemtun.so");
        assert_eq!(ordered("/a.so /b.so", &[]), "/x/libmemtun.so:/a.so:/b.so");
        assert_eq!(
            ordered("/a.so:/x/libmemtun.so", &[]),
            "/x/libmemtun.so:/a.so"
        );
        assert_eq!(
            ordered("/y/libmemtun.so:/a.so", &[]),
            "/x/libmemtun.so:/a.so"
        );
    }

    #[test]
    fn sanitizers_come_first() {
        let asan: &[&str] = &["libasan.so.8"];
        assert_eq!(ordered("/a.so", asan), "libasan.so.8:/x/libmemtun.so:/a.so");
        assert_eq!(
            ordered("/l/libasan.so.8:/a.so", asan),
            "/l/libasan.so.8:/x/libmemtun.so:/a.so"
        );
        assert_eq!(
            ordered("/a.so:/l/libasan.so.8", &[]),
            "/l/libasan.so.8:/x/libmemtun.so:/a.so"
        );
        // The runtime in the list was there for another program.
        assert_eq!(
            ordered("libasan.so.8:/x/libmemtun.so", &[]),
            "/x/libmemtun.so"
        );
    }

    #[test]
    fn what_is_in_order_stays() {
        let is = |list: &str, runtimes: &[&str]| {
            is_in_order(
                list.as_bytes(),
                b"/x/libmemtun.so",
                runtimes.iter().map(|name| name.as_bytes()),
            )
        };
        assert!(
            is("libmemtun.so:/a.so", &[])
                && is("/l/libasan.so.8:/y/libmemtun.so", &["libasan.so.8"])
        );
        assert!(
            !is("", &[])
                && !is("/a.so:/x/libmemtun.so", &[])
                && !is("/x/libmemtun.so", &["libasan.so.8"])
        );
        assert_eq!(
            for_children(b"libasan.so.8:/x/libmemtun.so"),
            Some(&b"/x/libmemtun.so"[..])
        );
        assert_eq!(for_children(b"/l/libasan.so.8:/x/libmemtun.so"), None);
    }
}
