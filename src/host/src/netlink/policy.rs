//! What attributes of a request may be: `struct nla_policy` and the checks of lib/nlattr.c, with
//! the kernel's texts, offsets and order.
#![forbid(unsafe_code)]

use super::request::Request;
use crate::Failure;
use memtun_stack::wire::{align, Attribute, Attributes, Writer, ATTRIBUTE, HEADER};

/// The type of an attribute's value (NLA_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Anything of at least the length of the policy.
    Unspec,
    /// A number of 1 byte.
    U8,
    /// A number of 2 bytes.
    U16,
    /// A number of 4 bytes.
    U32,
    /// A number of 8 bytes.
    U64,
    /// A signed number of 4 bytes.
    S32,
    /// A number of 2 bytes in network order.
    Be16,
    /// A number of 4 bytes in network order.
    Be32,
    /// A value of no bytes.
    Flag,
    /// A text of at most the length of the policy.
    String,
    /// A text that ends with a NUL within the length of the policy.
    NulString,
    /// At most the length of the policy in bytes.
    Binary,
    /// Attributes.
    Nested,
    /// Nothing is allowed.
    Reject,
    /// `struct nla_bitfield32`.
    Bitfield32,
}

/// What else is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Nothing.
    None,
    /// The number, or the length of [`Kind::Binary`], lies between these.
    Range(u64, u64),
    /// The number has no other bits, or the bitfield selects no others.
    Mask(u64),
}

/// What one attribute may be.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Its type.
    pub kind: Kind,
    /// `len` of the kernel's policy, 0 for none.
    pub length: u16,
    /// What else is checked.
    pub check: Check,
    /// What the attributes within may be.
    pub nested: Option<&'static Table>,
}

impl Policy {
    /// A policy of a type and a length only.
    pub const fn of(kind: Kind, length: u16) -> Policy {
        Policy {
            kind,
            length,
            check: Check::None,
            nested: None,
        }
    }
    /// A policy of a type, with a range.
    pub const fn range(kind: Kind, from: u64, to: u64) -> Policy {
        Policy {
            check: Check::Range(from, to),
            ..Policy::of(kind, 0)
        }
    }
    /// A policy of attributes that are checked as well.
    pub const fn nest(table: &'static Table) -> Policy {
        Policy {
            nested: Some(table),
            ..Policy::of(Kind::Nested, 0)
        }
    }
    /// The policy of bytes of exactly this length (NLA_POLICY_EXACT_LEN).
    pub const fn exact(length: u16) -> Policy {
        Policy::range(Kind::Binary, length as u64, length as u64)
    }
}

/// Any number of 1 byte.
pub const U8: Policy = Policy::of(Kind::U8, 0);
/// Any number of 2 bytes.
pub const U16: Policy = Policy::of(Kind::U16, 0);
/// Any number of 4 bytes.
pub const U32: Policy = Policy::of(Kind::U32, 0);
/// Any number of 8 bytes.
pub const U64: Policy = Policy::of(Kind::U64, 0);
/// Any attributes.
pub const NEST: Policy = Policy::of(Kind::Nested, 0);
/// Anything.
pub const ANY: Policy = Policy::of(Kind::Unspec, 0);

/// What the attributes of one message may be.
#[derive(Debug)]
pub struct Table {
    /// The highest number that is known.
    pub max: u16,
    /// The lowest number that is checked strictly whatever the asker chose
    /// (`strict_start_type`), 0 for none.
    pub strict_from: u16,
    /// The policies; a number without one may be anything, or is refused by a strict check.
    pub entries: &'static [(u16, Policy)],
}

impl Table {
    /// Returns the policy of a number.
    pub fn policy(&self, kind: u16) -> Policy {
        let found = self.entries.iter().find(|entry| entry.0 == kind);
        found.map_or(ANY, |entry| entry.1)
    }
}

/// How strictly attributes are checked (`enum netlink_validation`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// NL_VALIDATE_LIBERAL: what is not known is ignored.
    Liberal,
    /// NL_VALIDATE_DEPRECATED_STRICT: neither unknown attributes nor bytes behind them.
    Known,
    /// NL_VALIDATE_STRICT: also exact lengths, flags of nesting, and nothing without a policy.
    Strict,
}

/// The attributes of a request by their numbers; of each number the last one counts.
#[derive(Clone, Debug)]
pub struct Parsed<'b>(Vec<Option<Attribute<'b>>>);

impl<'b> Parsed<'b> {
    /// Returns the attribute of this number. Its `at` is its place in the request's message.
    pub fn get(&self, kind: u16) -> Option<Attribute<'b>> {
        *self.0.get(usize::from(kind))?
    }
    /// Is there an attribute of this number?
    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }
    /// Returns the attributes by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'b>> + '_ {
        self.0.iter().flatten().copied()
    }
}

impl<'b> Request<'b> {
    /// Reads the attributes behind the message's own header of `header` bytes (`nlmsg_parse`).
    ///
    /// # Errors
    ///
    /// EINVAL when the message is shorter than its header, and what the checks fail with.
    pub fn parse(
        &self,
        header: usize,
        table: &'static Table,
        mode: Mode,
    ) -> Result<Parsed<'b>, Failure> {
        if self.message.body.len() < header {
            return Err(Failure::said(libc::EINVAL, "Invalid header length"));
        }
        let from = HEADER + align(header);
        self.parse_between(from, self.message.bytes.len(), table, mode)
    }

    /// Reads the attributes in an attribute of this message (`nla_parse_nested`; liberally, that
    /// is `nla_parse_nested_deprecated`).
    ///
    /// # Errors
    ///
    /// EINVAL when a strict check misses the flag of nesting, and what the checks fail with.
    pub fn parse_nested(
        &self,
        attribute: Attribute<'b>,
        table: &'static Table,
        mode: Mode,
    ) -> Result<Parsed<'b>, Failure> {
        if mode == Mode::Strict && !attribute.nested {
            let failure = Failure::said(libc::EINVAL, "NLA_F_NESTED is missing");
            return Err(failure.at(attribute.at));
        }
        let from = attribute.at + ATTRIBUTE;
        self.parse_between(from, from + attribute.value.len(), table, mode)
    }

    /// Reads the attributes in an attribute liberally, where the kernel keeps no sentence of what
    /// is wrong.
    ///
    /// # Errors
    ///
    /// What the checks fail with.
    pub fn parse_silently(
        &self,
        attribute: Attribute<'b>,
        table: &'static Table,
    ) -> Result<Parsed<'b>, Failure> {
        let said = self.said();
        let parsed = self.parse_nested(attribute, table, Mode::Liberal);
        self.set_said(said);
        parsed.map_err(|failure| Failure::from(failure.errno))
    }

    /// Reads the attributes that stand behind `header` bytes of an attribute, liberally and without
    /// a sentence of what is wrong.
    ///
    /// # Errors
    ///
    /// What the checks fail with.
    pub fn parse_behind(
        &self,
        attribute: Attribute<'b>,
        header: usize,
        table: &'static Table,
    ) -> Result<Parsed<'b>, Failure> {
        let said = self.said();
        let from = attribute.at + ATTRIBUTE;
        let to = from + attribute.value.len();
        let parsed = self.parse_between(from + align(header), to, table, Mode::Liberal);
        self.set_said(said);
        parsed.map_err(|failure| Failure::from(failure.errno))
    }

    /// Returns the attributes in an attribute of this message, unchecked, with their places in the
    /// message.
    pub fn each_nested(&self, attribute: Attribute<'b>) -> Attributes<'b> {
        let from = attribute.at + ATTRIBUTE;
        Attributes::between(self.message.bytes, from, from + attribute.value.len())
    }

    fn parse_between(
        &self,
        from: usize,
        to: usize,
        table: &'static Table,
        mode: Mode,
    ) -> Result<Parsed<'b>, Failure> {
        let mut found = vec![None; usize::from(table.max) + 1];
        let mut attributes = Attributes::between(self.message.bytes, from, to);
        for attribute in attributes.by_ref() {
            if attribute.kind == 0 || attribute.kind > table.max {
                if mode != Mode::Liberal {
                    let failure = Failure::said(libc::EINVAL, "Unknown attribute type");
                    return Err(failure.at(attribute.at));
                }
                continue;
            }
            let strict = table.strict_from != 0 && attribute.kind >= table.strict_from;
            let mode = if strict { Mode::Strict } else { mode };
            self.validate(&attribute, table.policy(attribute.kind), mode)?;
            found[usize::from(attribute.kind)] = Some(attribute);
        }
        if attributes.rest() > 0 {
            self.say("bytes leftover after parsing attributes");
            if mode != Mode::Liberal {
                return Err(Failure::new(libc::EINVAL));
            }
        }
        Ok(Parsed(found))
    }

    /// Reads the attributes liberally where a failure only leaves its sentence (a dump that is
    /// not strict).
    pub fn try_parse(&self, header: usize, table: &'static Table) -> Option<Parsed<'b>> {
        match self.parse(header, table, Mode::Liberal) {
            Ok(parsed) => Some(parsed),
            Err(failure) => {
                if let Some(text) = failure.text {
                    self.say(text);
                }
                None
            }
        }
    }

    /// Returns the attribute that begins at a place of this message.
    pub fn at(&self, at: usize) -> Option<Attribute<'b>> {
        Attributes::between(self.message.bytes, at, self.message.bytes.len()).next()
    }

    /// Checks one attribute (`validate_nla`).
    ///
    /// # Errors
    ///
    /// EINVAL or ERANGE, with the kernel's sentence.
    pub fn validate(&self, a: &Attribute<'b>, policy: Policy, mode: Mode) -> Result<(), Failure> {
        let length = a.value.len();
        let fail = |errno: i32, text: &'static str| {
            let failure = Failure::said(errno, text).at(a.at);
            Err(failure.with_policy(describe(&policy)))
        };
        let strict = mode == Mode::Strict;
        let number = number_length(policy.kind);
        if strict && number != 0 && length != number {
            return fail(libc::EINVAL, "invalid attribute length");
        }
        if strict && policy.kind == Kind::Nested && !a.nested {
            return fail(libc::EINVAL, "NLA_F_NESTED is missing");
        }
        if strict && !matches!(policy.kind, Kind::Nested | Kind::Unspec) && a.nested {
            return fail(libc::EINVAL, "NLA_F_NESTED not expected");
        }
        let failed = |errno: i32| fail(errno, "Attribute failed policy validation");
        let most = usize::from(policy.length);
        match policy.kind {
            Kind::Reject => return failed(libc::EINVAL),
            Kind::Flag if length > 0 => return failed(libc::ERANGE),
            Kind::Flag => {}
            Kind::Bitfield32 => {
                if length != 8 {
                    return failed(libc::ERANGE);
                }
                let word = |at| memtun_stack::wire::u32_at(a.value, at).unwrap_or(0);
                let (value, selector) = (word(0), word(4));
                let valid = match policy.check {
                    Check::Mask(mask) => mask as u32,
                    _ => u32::MAX,
                };
                if selector & !valid != 0 || value & !valid != 0 || value & !selector != 0 {
                    return failed(libc::EINVAL);
                }
                return Ok(());
            }
            Kind::NulString | Kind::String => {
                if policy.kind == Kind::NulString {
                    let within = match most {
                        0 => length,
                        most => length.min(most + 1),
                    };
                    if !a.value[..within].contains(&0) {
                        return failed(libc::EINVAL);
                    }
                }
                let Some(last) = a.value.last() else {
                    return failed(libc::ERANGE);
                };
                if most > 0 && length - usize::from(*last == 0) > most {
                    return failed(libc::ERANGE);
                }
            }
            Kind::Binary if most > 0 && length > most => return failed(libc::ERANGE),
            Kind::Binary => {}
            Kind::Nested => {
                if length == 0 {
                    return Ok(());
                }
                if length < ATTRIBUTE {
                    return failed(libc::ERANGE);
                }
                if let Some(table) = policy.nested {
                    let from = a.at + ATTRIBUTE;
                    self.parse_between(from, from + length, table, mode)?;
                }
            }
            Kind::Unspec => {
                if strict {
                    return Err(Failure::said(libc::EINVAL, "Unsupported attribute").at(a.at));
                }
                if length < most {
                    return failed(libc::ERANGE);
                }
            }
            _ => {
                if length < if most > 0 { most } else { number } {
                    return failed(libc::ERANGE);
                }
            }
        }
        match policy.check {
            Check::None => {}
            Check::Range(from, to) => {
                let (value, text) = match policy.kind {
                    Kind::Binary => (length as u64, "binary attribute size out of range"),
                    _ => (number_of(a, policy.kind), "integer out of range"),
                };
                // A signed number below 0 is below every range here.
                let negative = policy.kind == Kind::S32 && value > i32::MAX as u64;
                if negative || value < from || value > to {
                    return fail(libc::ERANGE, text);
                }
            }
            Check::Mask(mask) => {
                if number_of(a, policy.kind) & !mask != 0 {
                    return Err(Failure::said(libc::EINVAL, "reserved bit set").at(a.at));
                }
            }
        }
        Ok(())
    }
}

fn number_of(a: &Attribute<'_>, kind: Kind) -> u64 {
    let value = match kind {
        Kind::U8 => a.u8().map(u64::from),
        Kind::U16 => a.u16().map(u64::from),
        Kind::Be16 => a.u16().map(|n| u16::from_be(n).into()),
        Kind::U32 | Kind::S32 => a.u32().map(u64::from),
        Kind::Be32 => a.u32().map(|n| u32::from_be(n).into()),
        _ => a.u64(),
    };
    value.unwrap_or(0)
}

/// Length in bytes of a number's type, 0 for other types.
fn number_length(kind: Kind) -> usize {
    match kind {
        Kind::U8 => 1,
        Kind::U16 | Kind::Be16 => 2,
        Kind::U32 | Kind::S32 | Kind::Be32 => 4,
        Kind::U64 => 8,
        _ => 0,
    }
}

// Attributes of NLMSGERR_ATTR_POLICY (NL_POLICY_TYPE_ATTR_*).
const TYPE: u16 = 1;
const MIN_S: u16 = 2;
const MAX_S: u16 = 3;
const MIN_U: u16 = 4;
const MAX_U: u16 = 5;
const MIN_LENGTH: u16 = 6;
const MAX_LENGTH: u16 = 7;
const BITFIELD32_MASK: u16 = 10;
const MASK: u16 = 12;

/// Returns the attributes that tell an asker what its attribute should have been
/// (`netlink_policy_dump_write_attr`); None for a policy that tells nothing.
fn describe(policy: &Policy) -> Option<Vec<u8>> {
    let mut to = Writer::default();
    to.message(0, 0, 0, 0);
    let number = match policy.kind {
        Kind::Unspec | Kind::Reject | Kind::Be16 | Kind::Be32 => return None,
        Kind::Flag => 1,
        Kind::U8 => 2,
        Kind::U16 => 3,
        Kind::U32 => 4,
        Kind::U64 => 5,
        Kind::S32 => 8,
        Kind::Binary => 10,
        Kind::String => 11,
        Kind::NulString => 12,
        Kind::Nested => 13,
        Kind::Bitfield32 => 15,
    };
    match (policy.kind, policy.check) {
        (Kind::Bitfield32, Check::Mask(mask)) => {
            to.u32(BITFIELD32_MASK, mask as u32);
        }
        (Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64, check) => {
            let all = u64::MAX >> (64 - 8 * number_length(policy.kind));
            match check {
                Check::Mask(mask) => to.u64(MASK, mask),
                Check::Range(from, most) => to.u64(MIN_U, from).u64(MAX_U, most),
                Check::None => to.u64(MIN_U, 0).u64(MAX_U, all),
            };
        }
        (Kind::S32, Check::Range(from, most)) => {
            to.u64(MIN_S, from).u64(MAX_S, most);
        }
        (Kind::S32, _) => {
            to.u64(MIN_S, i64::from(i32::MIN) as u64)
                .u64(MAX_S, i32::MAX as u64);
        }
        (Kind::Binary, Check::Range(from, most)) => {
            if from != 0 {
                to.u32(MIN_LENGTH, from as u32);
            }
            if most < u64::from(u16::MAX) {
                to.u32(MAX_LENGTH, most as u32);
            }
        }
        (Kind::Binary | Kind::String | Kind::NulString, _) if policy.length > 0 => {
            to.u32(MAX_LENGTH, policy.length.into());
        }
        _ => {}
    }
    to.u32(TYPE, number);
    Some(to.bytes()[HEADER..].to_vec())
}
