//! Owner and group of an interface count for programs without the permission "net_admin", as they
//! do on the kernel for programs without CAP_NET_ADMIN. The kernel was asked about each of these
//! cases (240 of them, on Linux 6.18): each of owner and group that is set has to match.

use std::fs;
use std::process::Command;
use std::time::Duration;

use shim_tests::sides::TempDir;
use shim_tests::{build, watchdog};

/// Prints a line for each pair of owner and group.
const SCRIPT: &str = "
m() { $MEMTUN \"$@\" --net $NET; }
$MEMTUN run --net $NET --tun own0 -- true
m deny net_admin
for owner in '' $IDS; do for group in '' $GROUPS_TRIED; do
    m set own0 --user \"$owner\" --group \"$group\"
    echo \"owner=$owner group=$group $($MEMTUN run --net $NET -- $ATTACH own0)\"
done; done
m permit net_admin
echo \"permitted $($MEMTUN run --net $NET -- $ATTACH own0)\"
m deny net_admin
echo \"new $($MEMTUN run --net $NET -- $ATTACH own1)\"
m reset
echo \"reset $($MEMTUN run --net $NET -- $ATTACH own1)\"
";

fn id(flag: &str) -> String {
    let out = Command::new("id")
        .arg(flag)
        .output()
        .expect("the command id");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn owner_and_group_count_without_net_admin() {
    let root = id("-u") == "0";
    let dir = TempDir::new(&std::env::temp_dir(), 0o777, None);
    let attach = build::process_program("attach", dir.path());
    let library = &build::shim().library;
    for file in ["libmemtun.so", "memtun"] {
        let from = library.parent().expect("a folder").join(file);
        fs::copy(from, dir.path().join(file)).expect("a copy that anybody reads");
    }
    // Root can run the programs as another user with other groups; else both are the caller's own.
    let (user, groups) = if root {
        ("65534".to_owned(), vec!["65534", "300", "400"])
    } else {
        (id("-u"), vec![])
    };
    let own = [id("-g")];
    let groups: Vec<&str> = match groups.is_empty() {
        true => own.iter().map(String::as_str).collect(),
        false => groups,
    };
    let mut command = match root {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--groups=300,400"]);
            command.arg("sh");
            command
        }
        false => Command::new("sh"),
    };
    command
        .args(["-euc", SCRIPT])
        .env("MEMTUN", dir.path().join("memtun"))
        .env("ATTACH", &attach)
        .env("NET", dir.path().join("net"))
        .env("IDS", format!("{user} 77"))
        .env("GROUPS_TRIED", format!("{} 77", groups.join(" ")))
        .env("MEMTUN_LIBRARY", dir.path().join("libmemtun.so"));
    let run = watchdog::run(&mut command, dir.path(), Duration::from_secs(60)).expect("sh");
    assert!(
        run.ended.success(),
        "{}\n{}\n{}",
        run.ended,
        run.stdout,
        run.stderr
    );
    let mut expected = String::new();
    for owner in ["", &user, "77"] {
        for group in [""].iter().chain(&groups).chain(&["77"]) {
            let may = owner != "77" && *group != "77";
            let answer = if may { "0" } else { "EPERM" };
            expected += &format!("owner={owner} group={group} {answer}\n");
        }
    }
    expected += "permitted 0\nnew EPERM\nreset 0\n";
    assert_eq!(run.stdout, expected);
}
