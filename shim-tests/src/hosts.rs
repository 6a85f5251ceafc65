//! The host processes of a net, found in /proc. Tests of the command include this file as well.

use std::path::Path;

/// Returns the ids of the net's own host processes, which have no program.
pub fn hosts(net: &Path) -> Vec<i32> {
    let net = net.as_os_str().as_encoded_bytes();
    let all = std::fs::read_dir("/proc").expect("/proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|b| *b == 0);
        words.next() == Some(b"memtun")
            && words.next() == Some(b"host")
            && words.any(|word| word == net)
    })
    .collect()
}
