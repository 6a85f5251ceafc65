//! A rule of policy routing: `struct fib_rule`.
#![forbid(unsafe_code)]

use crate::address::Head;
use crate::wire::{Attributes, Message, Writer};

/// Length in bytes of `struct fib_rule_hdr`.
pub const HEADER: usize = 12;

/// FRA_PRIORITY of linux/fib_rules.h.
pub const FRA_PRIORITY: u16 = 6;

/// A rule. Which routes it chooses is in its message; what the host decides by is read out of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// Place among the rules, the lowest of which comes first (FRA_PRIORITY).
    pub priority: u32,
    /// `struct fib_rule_hdr` and the attributes behind it, as the kernel answers them.
    pub body: Vec<u8>,
}

impl Rule {
    /// Appends the rule as a message RTM_NEWRULE or another `kind`.
    pub fn write(&self, to: &mut Writer, head: Head) {
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&self.body);
    }

    /// Reads what [`Rule::write`] wrote, or what a kernel's dump holds. None where something is
    /// missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Rule> {
        message.body.get(..HEADER)?;
        let priority = Attributes::behind(message.body, HEADER).get(FRA_PRIORITY);
        Some(Rule {
            family: message.body[0],
            priority: match priority {
                Some(priority) => priority.u32()?,
                None => 0,
            },
            body: message.body.to_vec(),
        })
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::behind(&self.body, HEADER)
    }
}
