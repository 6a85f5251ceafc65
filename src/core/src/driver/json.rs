//! Snapshots as JSON: the one form of an interface and a tunnel for the command, C and Python. Members are only ever added.

use crate::{InterfaceInfo, TunnelInfo};
use memtun_abi::uapi;
use std::fmt;

/// The members of an object.
pub type Members = Vec<(&'static str, Json)>;

/// A JSON value.
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number. No counter here comes near 2^53.
    Number(u64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, its members in this order.
    Object(Members),
}

impl From<bool> for Json {
    fn from(b: bool) -> Json {
        Json::Bool(b)
    }
}

impl From<u32> for Json {
    fn from(n: u32) -> Json {
        Json::Number(n.into())
    }
}

impl From<u64> for Json {
    fn from(n: u64) -> Json {
        Json::Number(n)
    }
}

impl From<&str> for Json {
    fn from(s: &str) -> Json {
        Json::Text(s.to_owned())
    }
}

impl From<String> for Json {
    fn from(s: String) -> Json {
        Json::Text(s)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}

impl Json {
    /// An array of things that have a JSON form.
    pub fn list<T: Into<Json>>(items: impl IntoIterator<Item = T>) -> Json {
        Json::List(items.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Json {
    /// On one line, or with `{:#}` on as many as it has members.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Json {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(b) => write!(f, "{b}"),
            Json::Number(n) => write!(f, "{n}"),
            Json::Text(s) => string(f, s),
            Json::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    separate(f, i, depth + 1)?;
                    item.write(f, depth + 1)?;
                }
                end(f, items.len(), depth)?;
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (i, (name, value)) in members.iter().enumerate() {
                    separate(f, i, depth + 1)?;
                    string(f, name)?;
                    f.write_str(": ")?;
                    value.write(f, depth + 1)?;
                }
                end(f, members.len(), depth)?;
                f.write_str("}")
            }
        }
    }
}

fn separate(f: &mut fmt::Formatter<'_>, before: usize, depth: usize) -> fmt::Result {
    match (before, f.alternate()) {
        (0, false) => Ok(()),
        (_, false) => f.write_str(", "),
        (0, true) => write!(f, "\n{:1$}", "", 2 * depth),
        (_, true) => write!(f, ",\n{:1$}", "", 2 * depth),
    }
}

fn end(f: &mut fmt::Formatter<'_>, count: usize, depth: usize) -> fmt::Result {
    if f.alternate() && count > 0 {
        write!(f, "\n{:1$}", "", 2 * depth)?;
    }
    Ok(())
}

fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if (c as u32) < 0x20 => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// An interface.
pub fn of_interface(i: &InterfaceInfo) -> Members {
    let has = |flag: u32| Json::from(i.tun_flags & flag != 0);
    let running = i.flags & libc::IFF_RUNNING as u32 != 0;
    let state = match (i.is_up(), running) {
        (false, _) => "DOWN",
        (true, false) => "NO-CARRIER",
        (true, true) => "UP",
    };
    let mac = i.mac.map(|mac| mac.map(|b| format!("{b:02x}")).join(":"));
    let queued: u64 = i.tunnels.iter().map(|t| u64::from(t.queued)).sum();
    let [rx_packets, rx_bytes, rx_dropped, frame_errors] = i.rx;
    let [tx_packets, tx_bytes, tx_dropped] = i.tx;
    let rx = vec![
        ("packets", rx_packets.into()),
        ("bytes", rx_bytes.into()),
        ("dropped", rx_dropped.into()),
        ("frame_errors", frame_errors.into()),
    ];
    let tx = vec![
        ("packets", tx_packets.into()),
        ("bytes", tx_bytes.into()),
        ("dropped", tx_dropped.into()),
    ];
    vec![
        ("name", i.name.to_string().into()),
        ("index", i.index.into()),
        ("kind", if i.tap { "tap" } else { "tun" }.into()),
        ("state", state.into()),
        ("flags", Json::list(i.flag_names().split_terminator(','))),
        ("carrier", i.carrier.into()),
        ("mtu", i.mtu.into()),
        ("txqueuelen", i.txqueuelen.into()),
        ("mac", mac.into()),
        ("owner", i.owner.into()),
        ("group", i.group.into()),
        ("persistent", has(uapi::IFF_PERSIST)),
        ("pi", (i.tun_flags & uapi::IFF_NO_PI == 0).into()),
        ("vnet_hdr", has(uapi::IFF_VNET_HDR)),
        ("multi_queue", has(uapi::IFF_MULTI_QUEUE)),
        ("queued", queued.into()),
        ("rx", Json::Object(rx)),
        ("tx", Json::Object(tx)),
        ("capture_refused", i.capture_refused.into()),
        (
            "tunnels",
            Json::List(i.tunnels.iter().map(of_tunnel).map(Json::Object).collect()),
        ),
    ]
}

/// A tunnel.
pub fn of_tunnel(t: &TunnelInfo) -> Members {
    vec![
        ("id", t.inode.into()),
        ("name", t.name.map(|n| n.to_string()).into()),
        (
            "requested_name",
            t.requested_name.map(|n| n.to_string()).into(),
        ),
        ("mode", t.mode.into()),
        ("open_flags", t.open_flags.into()),
        ("blocking", t.blocking().into()),
        ("close_on_exec", t.close_on_exec().into()),
        ("queued", t.queued.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let inner = Json::Object(vec![("a", 1u32.into()), ("b", Json::Null)]);
        let value = Json::List(vec![inner, "\"\n".into(), Json::List(vec![])]);
        assert_eq!(
            value.to_string(),
            r#"[{"a": 1, "b": null}, "\"\u000a", []]"#
        );
        let pretty = "[\n  {\n    \"a\": 1,\n    \"b\": null\n  },\n  \"\\\"\\u000a\",\n  []\n]";
        assert_eq!(format!("{value:#}"), pretty);
    }
}
