//! The kinds of queueing disciplines.
//!
//! Those that a kernel always has are here, and of the modules those that programs of tunnels ask
//! for.
#![forbid(unsafe_code)]

use super::options::emulated::netem;
use super::options::fair::{codel, fq, fq_codel, sfq};
use super::options::fifo::{bands, bytes, direction, fast, packets, queues};
use super::options::shaping::{bucket, hierarchy};
use super::options::{Given, Options, Place};
use crate::Failure;

/// What the classes of a kind are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Classes {
    /// It is not classful.
    None,
    /// It may have filters, but no class is ever found.
    Flows,
    /// Those of a link's two directions, which no discipline hangs at.
    Directions,
    /// One, whatever its number.
    One,
    /// So many bands as the options say.
    Bands,
    /// One for each queue of the link.
    Queues,
    /// Those that somebody makes.
    Made,
}

/// A kind of queueing disciplines (`struct Qdisc_ops`).
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static [u8],
    /// What its classes are.
    pub classes: Classes,
    /// Can a discipline of this kind be changed?
    pub can_change: bool,
    /// Is it for what a link receives (TCQ_F_INGRESS)?
    pub is_ingress: bool,
    /// Does it tell the queues of the link by itself (`attach`)?
    pub attaches: bool,
    /// Does it have options at all?
    options: Option<Options>,
    /// Length in bytes of the counters of its kind.
    pub counters: usize,
}

const NONE: Kind = Kind {
    name: b"",
    classes: Classes::None,
    can_change: false,
    is_ingress: false,
    attaches: false,
    options: None,
    counters: 0,
};

const fn fifo(name: &'static [u8], options: Options) -> Kind {
    Kind {
        name,
        can_change: true,
        options: Some(options),
        ..NONE
    }
}

/// All kinds.
static KINDS: &[Kind] = &[
    fifo(b"pfifo", packets),
    fifo(b"bfifo", bytes),
    fifo(b"pfifo_head_drop", packets),
    Kind {
        name: b"pfifo_fast",
        options: Some(fast),
        ..NONE
    },
    Kind {
        name: b"noqueue",
        ..NONE
    },
    Kind {
        name: b"blackhole",
        ..NONE
    },
    Kind {
        name: b"mq",
        classes: Classes::Queues,
        attaches: true,
        options: Some(queues),
        ..NONE
    },
    Kind {
        name: b"ingress",
        classes: Classes::Directions,
        is_ingress: true,
        options: Some(direction),
        ..NONE
    },
    Kind {
        name: b"clsact",
        classes: Classes::Directions,
        is_ingress: true,
        options: Some(direction),
        ..NONE
    },
    Kind {
        name: b"tbf",
        classes: Classes::One,
        can_change: true,
        options: Some(bucket),
        ..NONE
    },
    Kind {
        name: b"prio",
        classes: Classes::Bands,
        can_change: true,
        options: Some(bands),
        ..NONE
    },
    Kind {
        name: b"htb",
        classes: Classes::Made,
        attaches: true,
        options: Some(hierarchy),
        ..NONE
    },
    Kind {
        name: b"codel",
        can_change: true,
        options: Some(codel),
        counters: 36,
        ..NONE
    },
    Kind {
        name: b"fq_codel",
        classes: Classes::Flows,
        can_change: true,
        options: Some(fq_codel),
        counters: 40,
        ..NONE
    },
    Kind {
        name: b"fq",
        can_change: true,
        options: Some(fq),
        counters: 152,
        ..NONE
    },
    Kind {
        name: b"sfq",
        classes: Classes::Flows,
        options: Some(sfq),
        ..NONE
    },
    Kind {
        name: b"netem",
        classes: Classes::One,
        can_change: true,
        options: Some(netem),
        ..NONE
    },
];

/// Returns the kind of a name. What a kernel's module may have beside is unknown, as it is where
/// the module is not there.
pub fn find(name: &[u8]) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

impl Kind {
    /// Returns what TCA_OPTIONS holds after a discipline has been made or changed: None where there
    /// is no such attribute.
    ///
    /// # Errors
    ///
    /// What the kernel says of the options.
    pub fn options(
        &self,
        place: &Place,
        old: Option<&[u8]>,
        given: Option<&Given<'_, '_>>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let made = self.options.map(|make| make(place, old, given));
        // The kind of a link with several queues only looks whether it fits.
        Ok(made
            .transpose()?
            .filter(|_| self.classes != Classes::Queues))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::wire::{u32_at, Attribute, Attributes};

    const PLACE: Place = Place {
        mtu: 1500,
        queue: 500,
        is_multi: false,
        parent: memtun_stack::traffic::ROOT,
    };

    fn first(name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let kind = find(name.as_bytes()).expect("a kind");
        kind.options(&PLACE, None, None)
    }

    fn numbers(name: &str) -> Vec<(u16, u32)> {
        let options = first(name).expect("defaults").expect("options");
        let all = Attributes::new(&options);
        let short = |a: Attribute<'_>| a.u32().or(a.u8().map(u32::from)).unwrap_or(0);
        all.map(|a| (a.kind, short(a))).collect()
    }

    #[test]
    fn kinds_of_modules_begin_with_the_defaults_of_their_modules() {
        assert_eq!(
            numbers("fq_codel"),
            [
                (1, 4999),
                (2, 10240),
                (3, 99999),
                (4, 1),
                (6, 1500),
                (8, 64),
                (9, 32 << 20),
                (5, 1024)
            ]
        );
        assert_eq!(numbers("codel"), [(1, 4999), (2, 1000), (3, 99999), (4, 0)]);
        let fq = numbers("fq");
        assert_eq!(fq[..4], [(1, 10000), (2, 100), (3, 3000), (4, 15000)]);
        assert_eq!(fq.last(), Some(&(17, 9 << 16)));
        let sfq = first("sfq").expect("defaults").expect("options");
        let sfq: Vec<u32> = (0..6).filter_map(|i| u32_at(&sfq, 4 * i)).collect();
        assert_eq!(sfq, [1500, 0, 127, 1024, 128, 127]);
    }

    #[test]
    fn kinds_that_need_options_are_not_made_without() {
        for name in ["prio", "tbf", "htb", "netem"] {
            assert_eq!(first(name), Err(Failure::new(libc::EINVAL)), "{name}");
        }
        assert_eq!(first("mq"), Err(Failure::new(libc::EOPNOTSUPP)));
        assert_eq!(first("ingress"), Err(Failure::new(libc::EOPNOTSUPP)));
        assert_eq!(first("pfifo"), Ok(Some(500u32.to_ne_bytes().to_vec())));
        assert_eq!(first("bfifo"), Ok(Some(750_000u32.to_ne_bytes().to_vec())));
    }
}
