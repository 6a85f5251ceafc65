//! Questions to the host process of a net, as a test asks them.
#![forbid(unsafe_code)]

use crate::driver::joined::Joined;
use crate::{sys, Errno, Error};
use memtun_abi::error::Result;
use memtun_stack::ask::{self, option, Question, What};
use memtun_stack::wire::{u32_at, Attributes, Message, Messages, Writer, HEADER};
use memtun_stack::{state, State};

/// The flags of a request that is acknowledged.
pub(super) const PLAIN: u16 = libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16;
/// The flags of one that makes something.
pub(super) const CREATE: u16 = PLAIN | libc::NLM_F_CREATE as u16;

/// NLMSGERR_ATTR_MSG of linux/netlink.h.
const SENTENCE: u16 = 1;

/// Somebody who asks the host process of a net.
pub(super) struct Ask<'n>(&'n Joined);

impl<'n> Ask<'n> {
    /// Asks in this net.
    pub(super) fn of(net: &'n Joined) -> Ask<'n> {
        Ask(net)
    }

    /// Makes a change, and says what was refused: `what` begins the sentence of the error.
    pub(super) fn change(&self, request: &[u8], what: &str) -> Result<()> {
        let mut answer = Vec::new();
        self.ask(What::Netlink, request, |packet| {
            answer.extend_from_slice(packet)
        })
        .map_err(|e| failure(what, e))?;
        let error = Messages(&answer).find(|m| m.kind == libc::NLMSG_ERROR as u16);
        match error.and_then(|m| Some((u32_at(m.body, 0)? as i32, sentence(&m)))) {
            Some((0, _)) => Ok(()),
            Some((errno, sentence)) => {
                let errno = Errno(-errno);
                let why = sentence.unwrap_or_else(|| described(errno));
                Err(Error::new(errno.0, format!("{what}: {why}")))
            }
            None => Err(failure(what, Errno(libc::EPROTO))),
        }
    }

    /// Returns the index of an interface, of the machine's as well.
    pub(super) fn index_of(&self, name: &str) -> Result<u32> {
        let mut to = Writer::default();
        to.message(libc::RTM_GETLINK, libc::NLM_F_REQUEST as u16, 1, 0)
            .raw(&[0; memtun_stack::link::HEADER])
            .string(libc::IFLA_IFNAME, name.as_bytes());
        let mut answer = Vec::new();
        self.ask(What::Netlink, to.bytes(), |packet| {
            answer.extend_from_slice(packet)
        })
        .map_err(|e| failure(name, e))?;
        let link = Messages(&answer).find(|m| m.kind == libc::RTM_NEWLINK);
        link.and_then(|m| u32_at(m.body, 4)).ok_or_else(|| {
            let path = self.0.path().display();
            Error::new(
                libc::ENODEV,
                format!("net {path}: there is no interface {name:?}; memtun ls lists them"),
            )
        })
    }

    fn ask(
        &self,
        what: What,
        payload: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> std::result::Result<(), Errno> {
        let question = Question {
            what,
            options: option::EXT_ACK | option::DRIVER,
            id: sys::random(),
            port: 0,
            family: libc::AF_NETLINK as u32,
            request: 0,
            uid: sys::effective_uid(),
            pid: sys::getpid() as u32,
            net: 0,
        };
        let start = crate::launch::host::starter();
        ask::ask(self.0.dir(), &start, &question, &[payload], &mut each)
    }
}

/// Returns the kernel's sentence of an error message.
fn sentence(error: &Message<'_>) -> Option<String> {
    let request = u32_at(error.body, 4)? as usize;
    let capped = error.flags & libc::NLM_F_CAPPED as u16 != 0;
    let behind = 4 + if capped { HEADER } else { request };
    let attributes = Attributes::behind(error.body, behind);
    let text = attributes.get(SENTENCE)?.string();
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Says what a refusal means for which the kernel has no sentence.
fn described(errno: Errno) -> String {
    let meaning = match errno.0 {
        libc::EEXIST => ": there is one already; memtun ip shows the machine's as well",
        libc::ESRCH | libc::ENOENT => ": there is none",
        libc::ENODEV => ": name the interface with dev, or a gateway with via",
        _ => "",
    };
    format!("{errno}{meaning}")
}

fn failure(what: &str, errno: Errno) -> Error {
    if let Some(obstacle) = crate::launch::host::obstacle() {
        return Error::new(errno.0, format!("{what}: {errno}: {obstacle}"));
    }
    Error::new(errno.0, format!("{what}: {}", ask::Obstacle(errno)))
}

/// Tells the host that a link has changed, and returns when the addresses and routes that follow
/// from it are as they are to be. Where there is no host this does nothing.
pub(crate) fn links_have_changed(net: &Joined) {
    if state::is_there(net.dir()) {
        // Without an answer the host process notices the change by itself, later.
        let _ = Ask(net).ask(What::Links, &[], |_| {});
    }
}

/// Returns what the net's host knows, as it follows from the links of now. Where there is no host
/// nobody is asked, and nothing is known.
pub(super) fn state(net: &Joined) -> Result<State> {
    let path = net.path().display();
    if !state::is_there(net.dir()) {
        return Ok(State::default());
    }
    links_have_changed(net);
    let loaded = State::load(net.dir());
    loaded
        .map(Option::unwrap_or_default)
        .map_err(|e| Error::new(e.0, format!("net {path}: {}", ask::Obstacle(e))))
}
