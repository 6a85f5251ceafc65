//! Processes that the program has left behind in its net.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Those that were started in a net, however far they have removed themselves from their parents, as "sleep (1234)".
pub fn in_net(net: &Path) -> Vec<String> {
    let wanted = [b"MEMTUN_NET=", net.as_os_str().as_bytes()].concat();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_in_net = |process: &Path| {
        let variables = fs::read(process.join("environ")).unwrap_or_default();
        let found = variables.split(|b| *b == 0).any(|v| v == wanted);
        found
    };
    let own = std::process::id().to_string();
    processes
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or(OsStr::new(""));
            name.as_bytes()[0].is_ascii_digit() && name != own.as_str()
        })
        .filter(|path| is_in_net(path))
        .map(|path| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            let pid = path.file_name().unwrap_or(OsStr::new("?"));
            format!("{} ({})", name.trim(), pid.to_string_lossy())
        })
        .collect()
}
