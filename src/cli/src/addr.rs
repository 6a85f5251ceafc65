//! `addr`, `route`, `neigh`: what the net's host knows, for machines without iproute2; and `ip`,
//! the machine's ip(8) in the net.
#![forbid(unsafe_code)]

use crate::failure::{Failure, Outcome};
use crate::options::NetArgs;
use crate::output::Output;
use clap::Args;
use memtun::{Address, Interface, Net, UnderShim};
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Show or change the addresses of interfaces, in the words of ip address
///
/// WORDS are: [show [[dev] IFACE]], or add|del ADDR/LEN [peer ADDR/LEN] [brd ADDR] [label TEXT] dev
/// IFACE. For example: memtun addr add 10.0.0.1/24 dev tun0. The programs of the net see a change
/// at once, with the routes that follow from it.
#[derive(Args)]
pub struct AddrArgs {
    #[command(flatten)]
    rest: Rest,
}

/// Show or change the routes of the net, in the words of ip route
///
/// WORDS are: [show [[dev] IFACE]], or add|del [TYPE] NETWORK [via ADDR] [dev IFACE] [src ADDR]
/// [metric N] [table N]. For example: memtun route add 10.20.0.0/16 via 10.0.0.2. The machine's own
/// routes are not shown; memtun ip route shows what programs see.
#[derive(Args)]
pub struct RouteArgs {
    #[command(flatten)]
    rest: Rest,
}

/// Show or change the neighbours of the net, in the words of ip neighbour
///
/// WORDS are: [show [[dev] IFACE]], or add|del [proxy] ADDR dev IFACE [lladdr MAC] [nud STATE]. For
/// example: memtun neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0.
#[derive(Args)]
pub struct NeighArgs {
    #[command(flatten)]
    rest: Rest,
}

/// Run the machine's ip(8) in the net
///
/// It shows and changes what the programs of the net see. For example: memtun ip route get
/// 10.0.0.9.
#[derive(Args)]
pub struct IpArgs {
    #[command(flatten)]
    net: NetArgs,
    /// Arguments of ip
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// What the three verbs have in common.
#[derive(Args)]
struct Rest {
    #[command(flatten)]
    net: NetArgs,
    /// An array of objects
    #[arg(long)]
    json: bool,
    /// show (if there are none), add or del, and what
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
}

/// What is to be done.
enum Todo<'w> {
    Show(&'w [String]),
    Add(&'w [String]),
    Delete(&'w [String]),
}

impl Rest {
    /// Tells the first word, which may be shortened as ip(8)'s.
    fn todo(&self) -> Result<Todo<'_>, Failure> {
        let Some((first, rest)) = self.words.split_first() else {
            return Ok(Todo::Show(&[]));
        };
        let is = |word: &str| !first.is_empty() && word.starts_with(first.as_str());
        match first {
            _ if is("add") || is("replace") => Ok(Todo::Add(rest)),
            _ if is("delete") || first == "del" => Ok(Todo::Delete(rest)),
            _ if is("show") || is("list") || first == "lst" => Ok(Todo::Show(rest)),
            _ => Err(Failure::bad_input(format!(
                "{first:?} is not known: give show, add or del"
            ))),
        }
    }

    fn show<T: Serialize + Display>(&self, items: &[T]) -> Outcome {
        let mut out = Output::new();
        match self.json {
            true => out.json(&items)?,
            false => {
                for item in items {
                    out.bytes(format!("{item}\n").as_bytes())?;
                }
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the interface, if any, of which is to be shown what there is: `[dev] IFACE`.
fn shown<'w>(net: &Net, words: &'w [String]) -> Result<Option<&'w str>, Failure> {
    let name = match words {
        [] => return Ok(None),
        [name] if name != "dev" => name,
        [dev, name] if dev == "dev" => name,
        [dev] => return Err(nothing_follows(dev)),
        [first, second, ..] => {
            let unknown = if first == "dev" { &words[2] } else { second };
            return Err(Failure::bad_input(format!(
                "{unknown:?} is not known here: give show, or show and an interface"
            )));
        }
    };
    interface(net, name)?;
    Ok(Some(name))
}

fn nothing_follows(word: &str) -> Failure {
    Failure::bad_input(format!("nothing follows {word:?}: name the interface"))
}

/// An address with its interface, for a line of `memtun addr`.
#[derive(Serialize)]
struct OnInterface {
    dev: String,
    #[serde(flatten)]
    address: Address,
}

impl Display for OnInterface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} dev {}", self.address, self.dev)
    }
}

/// Splits `WORDS dev IFACE` into the other words, as one text, and the interface.
fn split_dev(words: &[String]) -> Result<(String, Option<&str>), Failure> {
    let Some(at) = words.iter().position(|word| word == "dev") else {
        return Ok((words.join(" "), None));
    };
    let Some(name) = words.get(at + 1) else {
        return Err(nothing_follows("dev"));
    };
    let others = words[..at].iter().chain(&words[at + 2..]);
    let others: Vec<&str> = others.map(String::as_str).collect();
    Ok((others.join(" "), Some(name)))
}

fn interface(net: &Net, name: &str) -> Result<Interface, Failure> {
    net.interface(name)?.ok_or_else(|| {
        let path = net.path().display();
        Failure::not_done(format!(
            "{name}: no such interface in {path}; see memtun ls"
        ))
    })
}

/// Runs `memtun addr`.
pub fn addr(args: &AddrArgs) -> Outcome {
    let rest = &args.rest;
    let todo = rest.todo()?;
    let net = rest.net.existing()?;
    let (Todo::Add(words) | Todo::Delete(words) | Todo::Show(words)) = todo;
    if let Todo::Show(_) = todo {
        let dev = shown(&net, words)?;
        let mut found = Vec::new();
        for info in net.interfaces()? {
            let dev_name = info.name.to_string();
            if dev.is_none_or(|dev| dev == dev_name) {
                let addresses = interface(&net, &dev_name)?.addresses()?;
                found.extend(addresses.into_iter().map(|address| OnInterface {
                    dev: dev_name.clone(),
                    address,
                }));
            }
        }
        return rest.show(&found);
    }
    let (text, dev) = split_dev(words)?;
    let dev = dev.ok_or_else(|| Failure::bad_input("\"dev\" and the interface are missing"))?;
    let (interface, address) = (interface(&net, dev)?, text.parse()?);
    match todo {
        Todo::Add(_) => interface.add_address(&address)?,
        _ => interface.remove_address(&address)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun route`.
pub fn route(args: &RouteArgs) -> Outcome {
    let todo = args.rest.todo()?;
    let net = args.rest.net.existing()?;
    match todo {
        Todo::Show(words) => {
            let dev = shown(&net, words)?;
            let mut routes = net.routes()?;
            routes.retain(|route| dev.is_none() || route.dev.as_deref() == dev);
            return args.rest.show(&routes);
        }
        Todo::Add(words) => net.add_route(&words.join(" ").parse()?)?,
        Todo::Delete(words) => net.remove_route(&words.join(" ").parse()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun neigh`.
pub fn neigh(args: &NeighArgs) -> Outcome {
    let todo = args.rest.todo()?;
    let net = args.rest.net.existing()?;
    match todo {
        Todo::Show(words) => {
            let dev = shown(&net, words)?;
            let mut neighbours = net.neighbours()?;
            neighbours.retain(|neighbour| dev.is_none_or(|dev| neighbour.dev == dev));
            return args.rest.show(&neighbours);
        }
        Todo::Add(words) => net.add_neighbour(&words.join(" ").parse()?)?,
        Todo::Delete(words) => net.remove_neighbour(&words.join(" ").parse()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `memtun ip`: becomes the machine's ip(8).
pub fn ip(args: &IpArgs) -> Outcome {
    let net = args.net.existing()?;
    let mut command = Command::new("ip");
    command.args(&args.arguments);
    let missing = |e: memtun::Error| match e.errno().0 {
        libc::ENOENT => Failure::with_status(
            127,
            "this machine has no ip(8): install iproute2, or use memtun addr, route and neigh",
        ),
        _ => e.into(),
    };
    let e = command.under(&net).map_err(missing)?.exec();
    Err(Failure::with_status(126, format!("ip: {e}")))
}
