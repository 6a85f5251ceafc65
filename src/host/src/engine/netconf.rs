//! What listeners are told when settings of IPv4 and IPv6 change (`inet_netconf_notify_devconf`).
#![forbid(unsafe_code)]

use crate::engine::address;
use crate::message::conf::{self, Of};
use crate::World;
use memtun_stack::address::Head;
use memtun_stack::view::place::Settings;
use memtun_stack::wire::Writer;

/// Whose a setting is: that of all links, that of new ones, or a link's, by its index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    All,
    Default,
    Link(u32),
}

/// A setting of which listeners hear, with its values before a change.
pub(super) struct Heard {
    is_v4: bool,
    name: &'static str,
    /// NETCONFA_*.
    kind: u16,
    before: Vec<(Whose, i32)>,
}

impl Heard {
    /// Looks at a setting before it changes. None for one of which nobody hears.
    pub(super) fn of(world: &World<'_>, settings: Settings, name: &'static str) -> Option<Heard> {
        let (is_v4, kind) = match (settings, name) {
            (Settings::Conf4 | Settings::Conf6, "forwarding") => (settings == Settings::Conf4, 2),
            (Settings::Conf4, "rp_filter") => (true, 3),
            (Settings::Conf4, "proxy_arp") => (true, 5),
            (Settings::Conf6, "proxy_ndp") => (false, 5),
            (Settings::Conf4 | Settings::Conf6, "ignore_routes_with_linkdown") => {
                (settings == Settings::Conf4, 6)
            }
            _ => return None,
        };
        let links = world.links.iter().map(|link| Whose::Link(link.extra.index));
        let mut heard = Heard {
            is_v4,
            name,
            kind,
            before: Vec::new(),
        };
        let all = [Whose::All, Whose::Default].into_iter().chain(links);
        heard.before = all.map(|whose| (whose, heard.now(world, whose))).collect();
        Some(heard)
    }

    fn now(&self, world: &World<'_>, whose: Whose) -> i32 {
        let of = match whose {
            Whose::All => Of::All,
            Whose::Default => Of::Default,
            Whose::Link(index) => match world.link(index) {
                Some(link) => Of::Link(link),
                None => return 0,
            },
        };
        if self.is_v4 {
            conf::v4(world.state, of, self.name)
        } else {
            conf::v6(world.state, of, self.name)
        }
    }

    /// Carries out what follows from the change, and tells of it, in the kernel's order. `all` says
    /// that the setting of all links was written.
    pub(super) fn tell(&self, world: &mut World<'_>, all: bool) {
        let changed: Vec<Whose> = self
            .before
            .iter()
            .filter(|(whose, before)| match (self.is_v4, self.kind) {
                // IPv6 looks whether it is on or off.
                (false, 2 | 6) => (self.now(world, *whose) != 0) != (*before != 0),
                _ => self.now(world, *whose) != *before,
            })
            .map(|(whose, _)| *whose)
            .collect();
        let has = |whose| changed.contains(&whose);
        let links = changed.iter().copied();
        let links = links.filter(|whose| matches!(whose, Whose::Link(_)));
        let told: Vec<Whose> = match (self.is_v4, self.kind, all) {
            // Who hands on packets for all links begins anew on each (`inet_forward_change`).
            (true, 2, true) if has(Whose::All) => self.before.iter().map(|b| b.0).collect(),
            (true, 2, true) => Vec::new(),
            // `addrconf_fixup_forwarding`, `addrconf_fixup_linkdown`.
            (false, 2 | 6, true) => {
                let default = [Whose::Default].into_iter();
                let default = default.filter(|whose| self.kind == 2 && has(*whose));
                let all = [Whose::All].into_iter().filter(|whose| has(*whose));
                default.chain(links).chain(all).collect()
            }
            // What new links have becomes that of others without a word.
            (true, _, _) if has(Whose::Default) => vec![Whose::Default],
            _ => changed,
        };
        for whose in told {
            self.tell_of(world, whose);
        }
    }

    fn tell_of(&self, world: &mut World<'_>, whose: Whose) {
        let (family, group) = match self.is_v4 {
            true => (libc::AF_INET, conf::V4_GROUP),
            false => (libc::AF_INET6, conf::V6_GROUP),
        };
        if let (Whose::Link(index), false) = (whose, self.is_v4) {
            let link = world.link(index);
            if link.is_none_or(|link| !conf::has_inet6(world.state, link)) {
                return;
            }
            if self.kind == 2 {
                address::v6::forwarding_has_changed(world, index);
            }
        }
        let of = match whose {
            Whose::All => Of::All,
            Whose::Default => Of::Default,
            Whose::Link(index) => match world.link(index) {
                Some(link) => Of::Link(link),
                None => return,
            },
        };
        let mut to = Writer::default();
        let head = Head {
            kind: conf::NEWNETCONF,
            ..Head::default()
        };
        conf::write_netconf(world.state, family as u8, of, &mut to, head, self.kind);
        world.tell(group, to.take());
    }
}
