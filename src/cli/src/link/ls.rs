//! `ls`: the interfaces of a net, in columns that people know.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::output::Output;
use clap::Args;
use memtun::InterfaceInfo;
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

/// Runs `memtun ls`.
pub fn ls(args: &LsArgs) -> Outcome {
    let infos = args.net.existing()?.interfaces()?;
    let mut out = Output::new();
    if args.json {
        out.json(&infos)?;
    } else {
        let rows: Vec<[String; 11]> = infos.iter().map(row).collect();
        table(&mut out, &HEADINGS, &rows)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

const HEADINGS: [&str; 11] = [
    "NAME", "KIND", "STATE", "MTU", "QLEN", "QUEUED", "RX", "TX", "DROPPED", "TUNNELS", "FLAGS",
];

fn row(l: &InterfaceInfo) -> [String; 11] {
    let tunnels = if l.is_persistent() {
        format!("{}+persist", l.tunnels.len())
    } else {
        l.tunnels.len().to_string()
    };
    [
        l.name.to_string(),
        l.kind().into(),
        l.state().into(),
        l.mtu.to_string(),
        l.txqueuelen.to_string(),
        l.queued().to_string(),
        l.rx.packets.to_string(),
        l.tx.packets.to_string(),
        (l.rx.dropped + l.tx.dropped).to_string(),
        tunnels,
        format!("<{}>", l.flag_names().join(",")),
    ]
}

/// Writes a table whose columns are as wide as their widest cell, with two spaces between them.
pub(super) fn table<const N: usize>(
    out: &mut Output,
    headings: &[&str; N],
    rows: &[[String; N]],
) -> Result<(), Failure> {
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
