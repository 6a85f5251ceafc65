//! `ls`: the interfaces of a net in columns that people know, and as JSON.

use crate::args::NetArgs;
use crate::failure::Outcome;
use crate::output::Output;
use clap::Args;
use memtun::{uapi, InterfaceInfo, TunnelInfo};
use serde::Serialize;
use std::process::ExitCode;

/// List the interfaces of a net
#[derive(Args)]
pub struct LsArgs {
    #[command(flatten)]
    net: NetArgs,
    /// An array of objects
    #[arg(long)]
    json: bool,
}

/// An interface as JSON shows it. Fields are only ever added.
#[derive(Serialize)]
pub struct Link {
    name: String,
    index: u32,
    kind: &'static str,
    state: &'static str,
    flags: Vec<String>,
    mtu: u32,
    txqueuelen: u32,
    mac: Option<String>,
    owner: Option<u32>,
    group: Option<u32>,
    persistent: bool,
    pi: bool,
    vnet_hdr: bool,
    multi_queue: bool,
    queued: u64,
    rx: Received,
    tx: Transmitted,
    tunnels: Vec<TunnelView>,
}

/// What the program wrote.
#[derive(Serialize)]
struct Received {
    packets: u64,
    bytes: u64,
    dropped: u64,
    frame_errors: u64,
}

/// What the program read.
#[derive(Serialize)]
struct Transmitted {
    packets: u64,
    bytes: u64,
    dropped: u64,
}

#[derive(Serialize)]
struct TunnelView {
    requested_name: Option<String>,
    mode: u32,
    open_flags: u32,
    blocking: bool,
    close_on_exec: bool,
    queued: u32,
}

impl From<&TunnelInfo> for TunnelView {
    fn from(t: &TunnelInfo) -> TunnelView {
        TunnelView {
            requested_name: t.requested_name.map(|n| n.to_string()),
            mode: t.mode,
            open_flags: t.open_flags,
            blocking: t.blocking(),
            close_on_exec: t.close_on_exec(),
            queued: t.queued,
        }
    }
}

impl From<&InterfaceInfo> for Link {
    fn from(i: &InterfaceInfo) -> Link {
        let [packets, bytes, dropped, frame_errors] = i.rx;
        let rx = Received {
            packets,
            bytes,
            dropped,
            frame_errors,
        };
        let [packets, bytes, dropped] = i.tx;
        let has = |flag: u32| i.tun_flags & flag != 0;
        Link {
            name: i.name.to_string(),
            index: i.index,
            kind: if i.tap { "tap" } else { "tun" },
            state: state(i),
            flags: i
                .flag_names()
                .split_terminator(',')
                .map(str::to_owned)
                .collect(),
            mtu: i.mtu,
            txqueuelen: i.txqueuelen,
            mac: i.mac.map(|mac| mac.map(|b| format!("{b:02x}")).join(":")),
            owner: i.owner,
            group: i.group,
            persistent: has(uapi::IFF_PERSIST),
            pi: !has(uapi::IFF_NO_PI),
            vnet_hdr: has(uapi::IFF_VNET_HDR),
            multi_queue: has(uapi::IFF_MULTI_QUEUE),
            queued: i.tunnels.iter().map(|t| u64::from(t.queued)).sum(),
            rx,
            tx: Transmitted {
                packets,
                bytes,
                dropped,
            },
            tunnels: i.tunnels.iter().map(TunnelView::from).collect(),
        }
    }
}

/// As in `ip -br link`: UP and able to carry packets, UP but without a carrier, or DOWN.
fn state(i: &InterfaceInfo) -> &'static str {
    match (i.is_up(), i.flags & libc::IFF_RUNNING as u32 != 0) {
        (false, _) => "DOWN",
        (true, false) => "NO-CARRIER",
        (true, true) => "UP",
    }
}

/// `memtun ls`
pub fn ls(args: &LsArgs) -> Outcome {
    let infos = args.net.existing()?.interfaces()?;
    let links: Vec<Link> = infos.iter().map(Link::from).collect();
    let mut out = Output::new();
    if args.json {
        out.json(&links)?;
    } else {
        let rows: Vec<[String; 11]> = links.iter().map(row).collect();
        table(&mut out, &HEADINGS, &rows)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

const HEADINGS: [&str; 11] = [
    "NAME", "KIND", "STATE", "MTU", "QLEN", "QUEUED", "RX", "TX", "DROPPED", "TUNNELS", "FLAGS",
];

fn row(l: &Link) -> [String; 11] {
    let tunnels = if l.persistent {
        format!("{}+persist", l.tunnels.len())
    } else {
        l.tunnels.len().to_string()
    };
    [
        l.name.clone(),
        l.kind.into(),
        l.state.into(),
        l.mtu.to_string(),
        l.txqueuelen.to_string(),
        l.queued.to_string(),
        l.rx.packets.to_string(),
        l.tx.packets.to_string(),
        (l.rx.dropped + l.tx.dropped).to_string(),
        tunnels,
        format!("<{}>", l.flags.join(",")),
    ]
}

/// Columns as wide as their widest cell, two spaces between them.
fn table<const N: usize>(
    out: &mut Output,
    headings: &[&str; N],
    rows: &[[String; N]],
) -> Result<(), crate::failure::Failure> {
    let width = |column: usize| {
        let cells = rows.iter().map(|r| r[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let headings = headings.map(str::to_owned);
    for cells in std::iter::once(&headings).chain(rows) {
        let line: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, w)| format!("{cell:w$}"))
            .collect();
        out.line(line.join("  ").trim_end())?;
    }
    Ok(())
}
