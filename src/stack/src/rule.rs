//! A rule of policy routing: `struct fib_rule`.
#![forbid(unsafe_code)]

use crate::address::Head;
use crate::wire::{u32_at, Attributes, Message, Writer};

/// Length in bytes of `struct fib_rule_hdr`.
pub const HEADER: usize = 12;

/// FRA_PRIORITY of linux/fib_rules.h.
pub const FRA_PRIORITY: u16 = 6;

/// [`Rule::attached`] in the state's file.
const ATTACHED: u16 = 0x3f00;

/// A rule. Which routes it chooses is in its message; what the host decides by is read out of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// Place among the rules, the lowest of which comes first (FRA_PRIORITY).
    pub priority: u32,
    /// `struct fib_rule_hdr` and the attributes behind it, as the kernel answers them.
    pub body: Vec<u8>,
    /// Indexes of the links that were meant by another name than their own when the rule was made:
    /// that by which a packet comes in, and that to which a socket is bound. They are meant until
    /// they get a new name of their own. 0 where the name is that of the link, or of none.
    pub attached: [u32; 2],
}

impl Rule {
    /// Appends the rule as a message RTM_NEWRULE or another `kind`.
    pub fn write(&self, to: &mut Writer, head: Head) {
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&self.body);
    }

    /// Appends the rule with what only the host knows of it, for the state's file.
    pub fn write_whole(&self, to: &mut Writer, head: Head) {
        self.write(to, head);
        if self.attached != [0; 2] {
            to.attribute(ATTACHED, &self.attached.map(u32::to_ne_bytes).concat());
        }
    }

    /// Reads what [`Rule::write_whole`] wrote, or what a kernel's dump holds. None where something
    /// is missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Rule> {
        message.body.get(..HEADER)?;
        let all = Attributes::behind(message.body, HEADER);
        let priority = all.get(FRA_PRIORITY);
        let attached = all.get(ATTACHED);
        Some(Rule {
            family: message.body[0],
            priority: match priority {
                Some(priority) => priority.u32()?,
                None => 0,
            },
            body: match attached {
                Some(attached) => message.body[..attached.at].to_vec(),
                None => message.body.to_vec(),
            },
            attached: {
                let at = |at| attached.and_then(|a| u32_at(a.value, at)).unwrap_or(0);
                [at(0), at(4)]
            },
        })
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::behind(&self.body, HEADER)
    }
}
