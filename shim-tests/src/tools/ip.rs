//! What `ip` prints, without what a machine or a run decides.

/// Number and length of the digits at the beginning of a text.
fn digits(text: &str) -> Option<(u64, usize)> {
    let len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..len].parse().ok()?, len))
}

/// Replaces what stands behind each `key` by what `change` makes of it: of the text from there on,
/// the length that is replaced, and by what.
fn behind(line: &str, key: &str, change: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut made = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(key) {
        let (before, after) = rest.split_at(at + key.len());
        made.push_str(before);
        let (len, by) = change(after).unwrap_or_default();
        made.push_str(&by);
        rest = &after[len..];
    }
    made + rest
}

fn word_len(text: &str) -> usize {
    text.find([' ', '"', ',', '\\']).unwrap_or(text.len())
}

/// A lifetime was so long when it was given, and is a little shorter when it is shown.
fn rounded(text: &str) -> Option<(usize, String)> {
    let (seconds, len) = digits(text)?;
    let forever = seconds == u64::from(u32::MAX);
    let shown = if forever {
        seconds
    } else {
        seconds.next_multiple_of(10)
    };
    Some((len, shown.to_string()))
}

fn any_number(text: &str) -> Option<(usize, String)> {
    digits(text).map(|(_, len)| (len, "N".to_owned()))
}

fn any_word(text: &str) -> Option<(usize, String)> {
    Some((word_len(text), "*".to_owned()))
}

/// Three numbers as in `used 0/0/0probes 1`.
fn ages(text: &str) -> Option<(usize, String)> {
    let len = text.find("probes")?;
    let numbers = text[..len]
        .split('/')
        .map(|part| digits(part)?.1.checked_sub(part.len()));
    (numbers.flatten().count() == 3).then(|| (len, "*".to_owned()))
}

/// The queue discipline of a link that is up is a setting of the machine.
fn discipline(text: &str) -> Option<(usize, String)> {
    let len = word_len(text);
    let kept = matches!(&text[..len], "noop" | "noqueue");
    (!kept).then(|| (len, "default".to_owned()))
}

/// A hardware address that the kernel chose; those of the scripts begin with 02:00:00:00:00.
fn hardware_address(text: &str) -> Option<(usize, String)> {
    let len = word_len(text);
    let ours = ["02:00:00:00:00:", "00:00:00:00:00:00", "02:00 "];
    let kept = len != 17 || ours.iter().any(|known| text.starts_with(known));
    (!kept).then(|| (len, "MAC".to_owned()))
}

/// The line without the index at its beginning, as in `2: tun0: <...>`, also behind the words of a
/// monitor.
fn index(line: &str) -> String {
    let mut at = 0;
    while let Some(end) = line[at..].strip_prefix('[').and_then(|rest| rest.find(']')) {
        at += end + 2;
        at += usize::from(line[at..].starts_with(' '));
    }
    let (label, rest) = line.split_at(at);
    let (deleted, rest) = match rest.strip_prefix("Deleted ") {
        Some(rest) => ("Deleted ", rest),
        None => ("", rest),
    };
    match digits(rest) {
        // A rule's line begins with its priority, a tab, and a word that is no interface.
        Some((_, len))
            if rest[len..].starts_with(": ")
                || (rest[len..].starts_with(":\t") && !rest.contains(" lookup "))
                    && !rest.contains("\tfrom")
                    && !rest.contains("\tnot from") =>
        {
            format!("{label}{deleted}N{}", &rest[len..])
        }
        _ => line.to_owned(),
    }
}

/// The line with what differs between two runs, or two machines, replaced.
pub(super) fn normalised(line: &str) -> String {
    let mut line = index(line);
    for key in [
        "\"ifindex\":",
        "\"ifindex\": ",
        "refcnt ",
        " reachable ",
        "\"refcnt\":",
        "\"reachable\":",
        "\"index\":",
        "\"index\": ",
        "\"used\":",
        "\"confirmed\":",
        "\"updated\":",
    ] {
        line = behind(&line, key, any_number);
    }
    // A lookup is for the asker, who is root of a namespace on the kernel.
    for key in [" uid ", "\"uid\":", "\"uid\": "] {
        line = behind(&line, key, any_number);
    }
    for key in [
        "valid_lft ",
        "preferred_lft ",
        "expires ",
        "\"valid_life_time\":",
        "\"valid_life_time\": ",
        "\"preferred_life_time\":",
        "\"preferred_life_time\": ",
        "\"expires\":",
    ] {
        line = behind(&line, key, rounded);
    }
    for key in [" qdisc ", "\"qdisc\":\"", "\"qdisc\": \""] {
        line = behind(&line, key, discipline);
    }
    for key in ["link/ether ", "\"address\":\""] {
        line = behind(&line, key, hardware_address);
    }
    line = behind(&line, "\"timestamp\":\"", any_word);
    // How many seconds ago a neighbour was used, confirmed and changed.
    line = behind(&line, " used ", ages);
    for key in [" forwarding ", " rp_filter "] {
        line = behind(&line, key, any_word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn what_a_run_decides_is_replaced() {
        for (said, shown) in [
            (
                "2: tun0: <UP> mtu 1500 qdisc fq_codel state UP",
                "N: tun0: <UP> mtu 1500 qdisc default state UP",
            ),
            (
                "1: lo: <LOOPBACK> mtu 65536 qdisc noqueue state DOWN",
                "N: lo: <LOOPBACK> mtu 65536 qdisc noqueue state DOWN",
            ),
            (
                "[LINK]Deleted 14: tun9: <> mtu 1500",
                "[LINK]Deleted N: tun9: <> mtu 1500",
            ),
            (
                "[TIME][ADDR]4: tun0    inet 10.9.0.1/24",
                "[TIME][ADDR]N: tun0    inet 10.9.0.1/24",
            ),
            (
                "[TIME] [ADDR]4: tun0    inet 10.9.0.1/24",
                "[TIME] [ADDR]N: tun0    inet 10.9.0.1/24",
            ),
            (
                "[TIME] Deleted 4: tun0    inet 10.9.0.1/24",
                "[TIME] Deleted N: tun0    inet 10.9.0.1/24",
            ),
            (
                "10.20.0.5 lladdr 02:00:00:00:00:05  used 0/12/0probes 0 PERMANENT",
                "10.20.0.5 lladdr 02:00:00:00:00:05  used *probes 0 PERMANENT",
            ),
            ("{\"index\":7,\"used\":1}", "{\"index\":N,\"used\":N}"),
            (
                "[ADDR]4: tun0    inet 10.9.0.1/24",
                "[ADDR]N: tun0    inet 10.9.0.1/24",
            ),
            (
                "32766:\tfrom all lookup main ",
                "32766:\tfrom all lookup main ",
            ),
            ("3:\ttap0", "N:\ttap0"),
            (
                "    link/ether b6:88:25:65:8e:e6 brd ff:ff:ff:ff:ff:ff",
                "    link/ether MAC brd ff:ff:ff:ff:ff:ff",
            ),
            (
                "    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff",
                "    link/ether 02:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff",
            ),
            (
                "       valid_lft 999sec preferred_lft 0sec",
                "       valid_lft 1000sec preferred_lft 0sec",
            ),
            (
                "       valid_lft forever preferred_lft forever",
                "       valid_lft forever preferred_lft forever",
            ),
            (
                "{\"ifindex\":7,\"valid_life_time\":4294967295,\"qdisc\":\"pfifo_fast\"}",
                "{\"ifindex\":N,\"valid_life_time\":4294967295,\"qdisc\":\"default\"}",
            ),
            (
                "    refcnt 2 reachable 17024 base_reachable 30000",
                "    refcnt N reachable N base_reachable 30000",
            ),
            (
                "[NETCONF]inet tun9 forwarding off rp_filter loose mc_forwarding off",
                "[NETCONF]inet tun9 forwarding * rp_filter * mc_forwarding off",
            ),
        ] {
            assert_eq!(normalised(said), shown);
        }
    }
}
