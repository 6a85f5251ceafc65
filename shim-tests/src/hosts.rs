//! The host processes of a net, found in /proc. Tests of the command include this file as well.

use std::path::Path;
use std::time::{Duration, Instant};

/// Returns the ids of the net's own host processes, which have no program.
pub fn hosts(net: &Path) -> Vec<i32> {
    of_verb(b"host", net)
}

/// Returns the ids of those that stand by for a host process of the net.
pub fn standbys(net: &Path) -> Vec<i32> {
    of_verb(b"stand-by", net)
}

/// Waits for one that stands by, which comes once the net has an address, and returns its id.
pub fn wait_for_standby(net: &Path, limit: Duration) -> i32 {
    let begin = Instant::now();
    loop {
        if let Some(standby) = standbys(net).first() {
            return *standby;
        }
        assert!(begin.elapsed() < limit, "nobody stands by");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn of_verb(verb: &[u8], net: &Path) -> Vec<i32> {
    let net = net.as_os_str().as_encoded_bytes();
    let all = std::fs::read_dir("/proc").expect("/proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let named = pids.filter(|pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|b| *b == 0);
        words.next() == Some(b"memtun")
            && words.next() == Some(verb)
            && words.any(|word| word == net)
    });
    // What it starts has its name until it executes another program.
    let named: Vec<i32> = named.collect();
    let is_started = |pid: &i32| parent(*pid).is_some_and(|parent| named.contains(&parent));
    let own = named.iter().filter(|pid| !is_started(pid));
    own.copied().collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}
