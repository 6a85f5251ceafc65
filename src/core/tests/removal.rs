//! A net is removed while somebody still makes files in it.

use memtun::NetOptions;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// A directory of its own that goes with the test.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes files that are memtun's, in the net and in its view, as the host process does.
fn make_files(net: &Path, begun: &AtomicBool, over: &AtomicBool) {
    for number in 0.. {
        if over.load(Relaxed) {
            break;
        }
        // Without the directory each of these fails.
        let _ = fs::create_dir(net.join(".memtun-view"));
        let _ = fs::write(net.join(format!(".memtun-view/{number}")), "x");
        let _ = fs::write(net.join(format!(".memtun-stack-{number}")), "x");
        begun.store(true, Relaxed);
    }
}

#[test]
fn a_net_goes_while_files_are_made_in_it() {
    let name = format!("memtun-removal-{}", std::process::id());
    let place = Place(std::env::temp_dir().join(name));
    fs::create_dir(&place.0).expect("a directory");
    for round in 0..100 {
        let path = place.0.join(round.to_string());
        let net = NetOptions::new().create(true).open(&path).expect("a net");
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| make_files(&path, &begun, &over));
            while !begun.load(Relaxed) {
                std::thread::yield_now();
            }
            let removed = net.remove();
            over.store(true, Relaxed);
            removed.unwrap_or_else(|e| panic!("round {round}: {e}"));
        });
        assert!(!path.exists(), "round {round}");
    }
}
