//! `show`: one interface in the columns of `ip -s -d address`, and its tunnels; or the sockets of
//! the net's programs in those of `ss`.
#![forbid(unsafe_code)]

use super::ls::table;
use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::output::Output;
use clap::Args;
use memtun::{InterfaceInfo, Name, Net, SocketInfo, TunnelInfo};
use std::process::ExitCode;

/// Show one interface as ip -s -d address does, and its tunnels; without a name, the net's sockets
/// as ss does
#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    net: NetArgs,
    /// The object that ls --json has for it; of sockets, an array of objects
    #[arg(long)]
    json: bool,
    /// Name of the interface
    #[arg(value_name = "IFACE")]
    interface: Option<Name>,
}

/// Runs `memtun show`.
pub fn show(args: &ShowArgs) -> Outcome {
    let net = args.net.existing()?;
    let Some(interface) = args.interface else {
        return sockets(&net, args.json);
    };
    let name = interface.to_string();
    let Some(interface) = net.interface(&name)? else {
        return Err(Failure::not_done(format!(
            "{name}: no such interface in {}; see memtun ls",
            net.path().display()
        )));
    };
    let info = interface.info();
    let mut out = Output::new();
    if args.json {
        out.json(&info)?;
    } else {
        out.bytes(text(&info).as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn sockets(net: &Net, json: bool) -> Outcome {
    const HEADINGS: [&str; 7] = [
        "PROTO",
        "STATE",
        "RECV-Q",
        "SEND-Q",
        "LOCAL",
        "PEER",
        "INTERFACE",
    ];
    let sockets = net.sockets()?;
    let mut out = Output::new();
    if json {
        out.json(&sockets)?;
    } else {
        let rows: Vec<[String; 7]> = sockets.iter().map(socket).collect();
        table(&mut out, &HEADINGS, &rows)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn socket(socket: &SocketInfo) -> [String; 7] {
    let none = || "-".to_owned();
    [
        socket.protocol.into(),
        socket.state.into(),
        socket.receive_queue.to_string(),
        socket.send_queue.to_string(),
        socket.local.to_string(),
        socket.remote.map_or_else(none, |remote| remote.to_string()),
        socket.interface.clone().unwrap_or_else(none),
    ]
}

fn text(l: &InterfaceInfo) -> String {
    let (up, carrier) = (l.is_up(), l.is_running());
    let names = l.flag_names();
    // ip(8) writes LOWER_UP for a carrier and leaves out RUNNING, which is implied.
    let mut flags: Vec<&str> = if up && !carrier {
        vec!["NO-CARRIER"]
    } else {
        Vec::new()
    };
    flags.extend(names.iter().filter(|f| !["RUNNING", "UP"].contains(f)));
    flags.extend(up.then_some("UP"));
    flags.extend((up && carrier).then_some("LOWER_UP"));
    let state = if up && carrier { "UNKNOWN" } else { "DOWN" };
    let address = match l.mac_text() {
        Some(mac) => format!("link/ether {mac} brd ff:ff:ff:ff:ff:ff"),
        None => "link/none".into(),
    };
    let on = |on: bool| if on { "on" } else { "off" };
    let mut detail = format!(
        "tun type {} pi {} vnet_hdr {}",
        l.kind(),
        on(l.has_packet_information()),
        on(l.has_vnet_header())
    );
    if l.is_multi_queue() {
        detail += &format!(" multi_queue on numqueues {}", l.tunnels.len());
    }
    detail += &format!(" persist {}", on(l.is_persistent()));
    if let Some(owner) = l.owner {
        detail += &format!(" user {owner}");
    }
    if let Some(group) = l.group {
        detail += &format!(" group {group}");
    }
    let mut lines = vec![
        format!(
            "{}: {}: <{}> mtu {} state {state} qlen {}",
            l.index,
            l.name,
            flags.join(","),
            l.mtu,
            l.txqueuelen
        ),
        format!(
            "    {address} minmtu 68 maxmtu {}",
            if l.tap { 65521 } else { 65535 }
        ),
        format!("    {detail}"),
    ];
    lines.extend(l.addresses.iter().map(|address| {
        let family = if address.local.is_ipv4() {
            "inet"
        } else {
            "inet6"
        };
        format!("    {family} {address}")
    }));
    lines.extend([
        format!(
            "    RX: {:>10} {:>9} {:>7} {:>7}",
            "bytes", "packets", "errors", "dropped"
        ),
        format!(
            "        {:>10} {:>9} {:>7} {:>7}",
            l.rx.bytes, l.rx.packets, l.rx.frame_errors, l.rx.dropped
        ),
        format!(
            "    TX: {:>10} {:>9} {:>7} {:>7} {:>7}",
            "bytes", "packets", "errors", "dropped", "queued"
        ),
        format!(
            "        {:>10} {:>9} {:>7} {:>7} {:>7}",
            l.tx.bytes,
            l.tx.packets,
            0,
            l.tx.dropped,
            l.queued()
        ),
    ]);
    if l.capture_refused > 0 {
        lines.push(format!("    capture behind: {} refused", l.capture_refused));
    }
    lines.extend(l.tunnels.iter().map(tunnel));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn tunnel(t: &TunnelInfo) -> String {
    let asked = t.requested_name.map(|name| name.to_string());
    let asked = asked.filter(|name| !name.is_empty());
    let asked = asked.as_deref().unwrap_or("any name");
    let mode = format!("{:#06x}", t.mode);
    let blocking = if t.blocking() {
        "blocking"
    } else {
        "non-blocking"
    };
    let cloexec = if t.close_on_exec() {
        " close-on-exec"
    } else {
        ""
    };
    format!(
        "    tunnel asked for {asked} flags {mode} {blocking}{cloexec} queued {}",
        t.queued
    )
}
