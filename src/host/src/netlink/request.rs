//! One message of a program, and what is answered to it (net/netlink/af_netlink.c).
#![forbid(unsafe_code)]

use crate::Failure;
use memtun_stack::address::Head;
use memtun_stack::ask::option;
use memtun_stack::wire::{u32_at, Message, Writer, HEADER, NESTED};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// NLM_F_CAPPED: the request is not repeated in the answer.
const CAPPED: u16 = 0x100;
/// NLM_F_ACK_TLVS: attributes follow that say more.
const ACK_TLVS: u16 = 0x200;
/// NLM_F_DUMP_FILTERED: the dump has been filtered as the request wants.
pub const DUMP_FILTERED: u16 = libc::NLM_F_DUMP_FILTERED as u16;
/// NLM_F_MULTI: more messages follow.
pub const MULTI: u16 = libc::NLM_F_MULTI as u16;

// Attributes of an extended acknowledgement (NLMSGERR_ATTR_*).
const TEXT: u16 = 1;
const OFFSET: u16 = 2;
const POLICY: u16 = 4;
const MISSING_TYPE: u16 = 5;
const MISSING_NEST: u16 = 6;

/// Length in bytes of one datagram of a dump: what the kernel allocates for an asker that has not
/// received anything yet (NLMSG_GOODSIZE). No asker's buffer is smaller, because the kernel's first
/// part has this size as well.
const PART: usize = 3776;

/// A netlink socket that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Port of the socket, which stands in the answers.
    pub port: u32,
    /// Options of the socket, see [`memtun_stack::ask::option`].
    pub options: u16,
    /// The program's effective user, who sends what a route is looked up for.
    pub uid: u32,
}

/// One message of a program.
#[derive(Debug)]
pub struct Request<'b> {
    /// The message.
    pub message: Message<'b>,
    /// Who sent it.
    pub asker: Asker,
    /// The sentence that the answer says, also when the request succeeds.
    said: RefCell<Option<Cow<'static, str>>>,
    /// Flags of the message that ends a dump (`answer_flags`).
    done: Cell<u16>,
}

impl<'b> Request<'b> {
    pub(crate) fn new(message: Message<'b>, asker: Asker) -> Request<'b> {
        Request {
            message,
            asker,
            said: RefCell::new(None),
            done: Cell::new(0),
        }
    }

    /// Does it have all of these NLM_F_* flags?
    pub fn has(&self, flags: i32) -> bool {
        i32::from(self.message.flags) & flags == flags
    }

    /// Does it ask for a dump? One of its two flags is enough.
    pub fn is_dump(&self) -> bool {
        i32::from(self.message.flags) & libc::NLM_F_DUMP != 0
    }

    /// Is the asker's socket strict (NETLINK_GET_STRICT_CHK)?
    pub fn is_strict(&self) -> bool {
        self.asker.options & option::STRICT != 0
    }

    /// Lets the answer say this sentence, also when the request succeeds (NL_SET_ERR_MSG without
    /// an error). A failure with a sentence of its own replaces it.
    pub fn say(&self, text: impl Into<Cow<'static, str>>) {
        self.said.replace(Some(text.into()));
    }

    pub(super) fn said(&self) -> Option<Cow<'static, str>> {
        self.said.borrow().clone()
    }

    pub(super) fn set_said(&self, said: Option<Cow<'static, str>>) {
        self.said.replace(said);
    }

    /// Marks the message that ends the dump as that of a filtered one (`answer_flags`). The
    /// messages before it have [`DUMP_FILTERED`] in the flags of [`Request::head`].
    pub fn end_is_filtered(&self) {
        self.done.set(DUMP_FILTERED);
    }

    /// Returns the head of an answer to this request: NLM_F_MULTI and `flags` in a dump, `flags`
    /// otherwise.
    pub fn head(&self, kind: u16, flags: u16) -> Head {
        Head {
            kind,
            flags: flags | if self.is_dump() { MULTI } else { 0 },
            sequence: self.message.sequence,
            port: self.asker.port,
        }
    }

    /// Appends a message of the machine's kernel as an answer to this request.
    pub fn repeat(&self, to: &mut Writer, message: &[u8], flags: u16) {
        let Some(whole) = memtun_stack::wire::Messages(message).next() else {
            return;
        };
        let head = self.head(whole.kind, flags);
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(whole.body);
    }

    /// Makes the acknowledgement or the error message (`netlink_ack`).
    pub(crate) fn acknowledge(&self, result: &Result<(), Failure>) -> Vec<u8> {
        let mut to = Writer::default();
        let errno = result.as_ref().err().map_or(0, |failure| failure.errno.0);
        let says = self.says_more(result.as_ref().err());
        let capped = errno == 0 || self.asker.options & option::CAP_ACK != 0;
        let mut flags = if capped { CAPPED } else { 0 };
        if says {
            flags |= ACK_TLVS;
        }
        let mut own = (-errno).to_ne_bytes().to_vec();
        own.extend(&self.message.bytes[..HEADER]);
        if !capped {
            own.extend(self.message.body);
        }
        let kind = libc::NLMSG_ERROR as u16;
        to.message(kind, flags, self.message.sequence, self.asker.port)
            .raw(&own);
        if says {
            self.say_more(&mut to, result.as_ref().err());
        }
        to.take()
    }

    /// Makes the datagrams of a dump out of its messages. The end is in the last of them if it is
    /// `joined`, or in one of its own; there the kernel has forgotten what is to be said.
    pub(crate) fn parts(
        &self,
        messages: &Writer,
        result: &Result<(), Failure>,
        joined: bool,
    ) -> Vec<Vec<u8>> {
        let mut parts = vec![Vec::new()];
        if !messages.is_empty() && !joined {
            self.set_said(None);
        }
        for message in memtun_stack::wire::Messages(messages.bytes()) {
            add(&mut parts, message.bytes);
        }
        let failure = result.as_ref().err();
        let errno = failure.map_or(0, |failure| failure.errno.0);
        let mut to = Writer::default();
        let says = self.says_more(failure);
        let mut flags = MULTI | self.done.get();
        if says {
            flags |= ACK_TLVS;
        }
        let kind = libc::NLMSG_DONE as u16;
        to.message(kind, flags, self.message.sequence, self.asker.port)
            .raw(&(-errno).to_ne_bytes());
        if says {
            self.say_more(&mut to, failure);
        }
        if !joined && !messages.is_empty() {
            parts.push(Vec::new());
        }
        add(&mut parts, to.bytes());
        parts
    }

    fn says_more(&self, failure: Option<&Failure>) -> bool {
        let more = |failure: &Failure| {
            failure.text.is_some()
                || failure.offset.is_some()
                || failure.policy.is_some()
                || failure.missing.is_some()
        };
        self.asker.options & option::EXT_ACK != 0
            && (failure.is_some_and(more) || self.said.borrow().is_some())
    }

    /// Appends the attributes of an extended acknowledgement (`netlink_ack_tlv_fill`).
    fn say_more(&self, to: &mut Writer, failure: Option<&Failure>) {
        let said = self.said.borrow();
        let text = failure.and_then(|failure| failure.text.as_ref());
        if let Some(text) = text.or(said.as_ref()) {
            to.string(TEXT, text.as_bytes());
        }
        let Some(failure) = failure else {
            return;
        };
        if let Some(offset) = failure.offset {
            to.u32(OFFSET, offset);
        }
        if let Some(policy) = &failure.policy {
            to.attribute(POLICY | NESTED, policy);
        }
        if let Some((kind, nest)) = failure.missing {
            to.u32(MISSING_TYPE, kind);
            if let Some(nest) = nest {
                to.u32(MISSING_NEST, nest);
            }
        }
    }
}

fn add(parts: &mut Vec<Vec<u8>>, message: &[u8]) {
    let last = parts.last().map_or(0, Vec::len);
    if last > 0 && last + message.len() > PART {
        parts.push(Vec::new());
    }
    if let Some(last) = parts.last_mut() {
        last.extend(message);
    }
}

/// Fails with EINVAL and a sentence for the extended acknowledgement.
pub(super) fn invalid<T>(text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(libc::EINVAL, text))
}

/// Reads a number of a message's header, 0 where the header is shorter.
pub(super) fn word(body: &[u8], at: usize) -> u32 {
    u32_at(body, at).unwrap_or(0)
}
