//! Where `libmemtun.so` is.

use crate::failure::Failure;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const NAME: &str = "libmemtun.so";

/// Where it may stand, seen from the directory of the command: a build's output, an installation, a distribution's.
const PLACES: &[&str] = &["", "../lib", "../lib/memtun", "../libexec/memtun"];

/// `MEMTUN_LIBRARY`, or beside this command, or in ../lib. Symbolic links to the command are followed.
pub fn find() -> Result<PathBuf, Failure> {
    let library = match std::env::var_os("MEMTUN_LIBRARY").filter(|l| !l.is_empty()) {
        Some(given) => {
            let given = PathBuf::from(given);
            let found = std::fs::canonicalize(&given).map_err(|e| {
                let shown = given.display();
                Failure::bad_input(format!(
                    "MEMTUN_LIBRARY={shown}: {}; name {NAME}",
                    crate::failure::plain(&e)
                ))
            })?;
            if !found.is_file() {
                return Err(Failure::bad_input(format!(
                    "MEMTUN_LIBRARY={}: is not a file; name {NAME}",
                    given.display()
                )));
            }
            found
        }
        None => beside_the_command()?,
    };
    if library
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|b| b": \t\n".contains(b))
    {
        return Err(Failure::bad_input(format!(
            "{}: LD_PRELOAD takes no path with a space or ':' in it; copy the library elsewhere and set MEMTUN_LIBRARY",
            library.display()
        )));
    }
    Ok(library)
}

fn beside_the_command() -> Result<PathBuf, Failure> {
    let command = std::env::current_exe().and_then(std::fs::canonicalize);
    let command = command.map_err(|e| {
        Failure::io(
            "cannot find this command's own directory; set MEMTUN_LIBRARY",
            &e,
        )
    })?;
    let directory = command.parent().unwrap_or(Path::new("/"));
    let mut candidates = PLACES.iter().map(|place| directory.join(place).join(NAME));
    let found = candidates
        .find(|path| path.is_file())
        .and_then(|path| std::fs::canonicalize(path).ok());
    found.ok_or_else(|| {
        Failure::bad_input(format!(
            "no {NAME} in {} or in ../lib from there; build it with cargo build --release, or set MEMTUN_LIBRARY",
            directory.display()
        ))
    })
}
