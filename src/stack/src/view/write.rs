//! What writing into the files does. What only concerns a link in shared memory is done here, by
//! the program's own process; the rest is checked here and carried out by the host process.
#![forbid(unsafe_code)]

use super::links::Seen;
use super::node::{File, FileKind, Of};
use super::place::Settings;
use super::sysctl::{self, Kind};
use super::sysfs::Inner;
use super::tree::Tree;
use super::value::unsigned;
use super::wide;
use memtun_abi::Errno;
use memtun_kernel::link::Link;
use memtun_kernel::policy::{Permission, Policy};

/// Longest description of a link in bytes (IFALIASZ less the NUL).
const LONGEST_ALIAS: usize = 255;

/// What a write has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is done, and nobody has to know. The number of bytes is what write(2) returns.
    Done(usize),
    /// The link has changed: the host process, where there is one, is told to look at the links.
    Changed(usize),
    /// The host process has to carry it out. The number of bytes is what write(2) returns then.
    Ask(usize),
    /// The same, as if this had been written.
    AskWith(sysctl::Value, usize),
    /// The same, but the write fails all the same.
    AskAndFail(sysctl::Value, Errno),
}

impl Tree<'_> {
    /// Carries out a write at an offset of a file that was opened for writing.
    ///
    /// # Errors
    ///
    /// What write(2) fails with: EINVAL for what is no value, EPERM for what only an administrator
    /// of the machine may set or where the net does not permit "net_admin", EOPNOTSUPP for what a
    /// tun device has not.
    pub fn write(&self, file: &File, bytes: &[u8], at: i64) -> Result<Written, Errno> {
        let joins = || matches!(&file.kind, FileKind::Wide(rest) if self.is_set(rest.bytes()));
        if file.is_read_at_once() && at != 0 && !joins() {
            // The kernel ignores what is not written to the beginning of most settings.
            return Ok(Written::Done(bytes.len()));
        }
        let is_privileged = match &file.kind {
            FileKind::Setting(Settings::Conf4, _, entry) => entry.name == "forwarding",
            FileKind::Attribute(_, Inner::Top, name) => *name != "uevent",
            _ => false,
        };
        if is_privileged {
            self.net.permit_check(Permission::NetAdmin)?;
        }
        match &file.kind {
            FileKind::Setting(settings, of, entry) => {
                if entry.kind == sysctl::Kind::Secret
                    && matches!(of, Of::Name(name) if name.as_bytes() == b"all")
                {
                    return Err(Errno(libc::EIO));
                }
                let accepted = sysctl::parse(entry.kind, bytes)?;
                if entry.kind == sysctl::Kind::AddressMode
                    && accepted.value.is_some_and(|value| value.bytes() == b"2")
                    && !self.may_use_secret(*settings, of)
                {
                    // IN6_ADDR_GEN_MODE_STABLE_PRIVACY needs a secret.
                    return Err(Errno(libc::EINVAL));
                }
                if let (Of::Link(seen), "mtu", Some(value)) = (of, entry.name, accepted.value) {
                    // IPv6's mtu cannot be above the link's.
                    let mtu = std::str::from_utf8(value.bytes()).ok();
                    let mtu: Option<u32> = mtu.and_then(|text| text.parse().ok());
                    if mtu.is_none_or(|mtu| mtu > seen.mtu) {
                        return Err(Errno(libc::EINVAL));
                    }
                }
                Ok(match accepted.value {
                    Some(_) => Written::Ask(accepted.taken),
                    None => Written::Done(accepted.taken),
                })
            }
            FileKind::Attribute(..) if bytes.is_empty() => Ok(Written::Done(0)),
            FileKind::Attribute(seen, Inner::Top, name) => self.write_top(seen, name, bytes),
            FileKind::Attribute(_, inner, name) => match (inner, *name) {
                (Inner::Power, "control") => match trimmed(bytes) {
                    b"auto" | b"on" => Ok(Written::Done(bytes.len())),
                    _ => Err(Errno(libc::EINVAL)),
                },
                (Inner::Power, _) => Err(Errno(libc::EIO)),
                (Inner::Tx(_), "xps_cpus") => Err(Errno(libc::ENOENT)),
                // How packets are spread over processors is the machine's administrator's affair.
                _ => Err(Errno(libc::EPERM)),
            },
            // Nothing is cached.
            FileKind::Flush => Ok(Written::Done(bytes.len())),
            FileKind::Net(_) | FileKind::Counters(_) => Err(Errno(libc::EACCES)),
            FileKind::Card(..) if bytes.is_empty() => Ok(Written::Done(0)),
            FileKind::Card(_, rest) => write_card(rest.bytes(), bytes),
            FileKind::Wide(rest) => self.write_wide(rest.bytes(), bytes, at),
        }
    }

    fn write_wide(&self, path: &[u8], bytes: &[u8], at: i64) -> Result<Written, Errno> {
        /// Settings whose numbers are taken together, or not at all.
        const TOGETHER: [&[u8]; 2] = [b"ipv4/ip_local_port_range", b"ipv4/ping_group_range"];
        let kind = self.kind_of(path);
        let is_empty = bytes.is_empty();
        if path == b"ipv4/tcp_congestion_control" && !is_empty && !wide::has_algorithm(bytes) {
            return Err(Errno(libc::ENOENT));
        }
        let accepted = sysctl::parse(kind, bytes)?;
        if let (Some(e), true) = (accepted.fails, TOGETHER.contains(&path)) {
            return Err(e);
        }
        let Some(value) = accepted.value else {
            return Ok(Written::Done(accepted.taken));
        };
        if !self.fits(path, &value) {
            return Err(Errno(libc::EINVAL));
        }
        if at != 0 {
            let both = self.with_now(path, bytes)?;
            let both = sysctl::parse(kind, both.bytes())?.value;
            let both = both.ok_or(Errno(libc::EINVAL))?;
            return Ok(Written::AskWith(both, accepted.taken));
        }
        let Kind::Numbers(count, ..) = kind else {
            return Ok(Written::Ask(accepted.taken));
        };
        let whole = self.whole(path, count, &value)?;
        Ok(match accepted.fails {
            Some(e) => Written::AskAndFail(whole, e),
            None => Written::AskWith(whole, accepted.taken),
        })
    }

    fn write_top(&self, seen: &Seen, name: &str, bytes: &[u8]) -> Result<Written, Errno> {
        const NONE: Errno = Errno(libc::ENODEV);
        const INVALID: Errno = Errno(libc::EINVAL);
        let done = bytes.len();
        match name {
            "ifalias" => return describe(bytes),
            "uevent" => return announce(bytes),
            _ => {}
        }
        // These ask for the administrator of the machine, whom no program of the net is: as in a
        // user namespace of its own.
        if matches!(name, "gro_flush_timeout" | "napi_defer_hard_irqs") {
            return Err(Errno(libc::EPERM));
        }
        if name == "carrier" && seen.driver.is_none() {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let value = number(bytes)?;
        let interface = || self.interface(&seen.name).ok_or(NONE);
        match name {
            "tx_queue_len" => {
                let packets = u32::try_from(value).map_err(|_| Errno(libc::ERANGE))?;
                if seen.driver.is_none() {
                    return Ok(Written::Ask(done));
                }
                self.net
                    .set_txqueuelen(&interface()?, packets, self.local)?;
                Ok(Written::Changed(done))
            }
            "mtu" | "flags" if seen.driver.is_none() => Ok(Written::Ask(done)),
            "mtu" => {
                let interface = interface()?;
                interface.set_mtu(value as i32 as i64)?;
                Ok(Written::Changed(done))
            }
            "flags" => {
                self.net.set_flags(&interface()?, value as u32, self.local);
                Ok(Written::Changed(done))
            }
            "carrier" => {
                if !seen.is_up() {
                    return Err(INVALID);
                }
                interface()?.change_carrier(value != 0)?;
                Ok(Written::Changed(done))
            }
            "netdev_group" => Ok(Written::Ask(done)),
            _ => Err(Errno(libc::EOPNOTSUPP)),
        }
    }
}

/// What writing the description of a link does.
fn describe(bytes: &[u8]) -> Result<Written, Errno> {
    match trimmed(bytes).len() {
        0..=LONGEST_ALIAS => Ok(Written::Ask(bytes.len())),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// What asking for an event of a device does: nobody is told.
fn announce(bytes: &[u8]) -> Result<Written, Errno> {
    const KNOWN: [&[u8]; 8] = [
        b"add", b"remove", b"change", b"move", b"online", b"offline", b"bind", b"unbind",
    ];
    let action = trimmed(bytes).split(|b| *b == b' ').next();
    match action.is_some_and(|action| KNOWN.contains(&action)) {
        true => Ok(Written::Done(bytes.len())),
        false => Err(Errno(libc::EINVAL)),
    }
}

/// What writing into the directory of a link of the machine's does: the net keeps what it can, and
/// nothing comes to the machine.
fn write_card(file: &[u8], bytes: &[u8]) -> Result<Written, Errno> {
    let done = bytes.len();
    match file {
        b"ifalias" => describe(bytes),
        b"uevent" => announce(bytes),
        b"mtu" | b"flags" | b"netdev_group" => number(bytes).map(|_| Written::Ask(done)),
        b"tx_queue_len" => match u32::try_from(number(bytes)?) {
            Ok(_) => Ok(Written::Ask(done)),
            Err(_) => Err(Errno(libc::ERANGE)),
        },
        b"carrier" | b"proto_down" => Err(Errno(libc::EOPNOTSUPP)),
        b"power/control" => match trimmed(bytes) {
            b"auto" | b"on" => Ok(Written::Done(done)),
            _ => Err(Errno(libc::EINVAL)),
        },
        _ => Err(Errno(libc::EPERM)),
    }
}

/// What is written without the line's end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

/// Reads a number as kstrtoul with base 0 does: in decimal, octal or hexadecimal digits, with one
/// line's end. A NUL ends the text.
///
/// # Errors
///
/// - EINVAL for anything else.
/// - ERANGE when it has more than 64 bits.
pub fn number(bytes: &[u8]) -> Result<u64, Errno> {
    const INVALID: Errno = Errno(libc::EINVAL);
    let end = bytes.iter().position(|b| *b == 0);
    let bytes = trimmed(&bytes[..end.unwrap_or(bytes.len())]);
    let digits = bytes.strip_prefix(b"+").unwrap_or(bytes);
    let (value, length) = unsigned(digits).ok_or(INVALID)?;
    if length != digits.len() {
        return Err(INVALID);
    }
    value.ok_or(Errno(libc::ERANGE))
}

#[cfg(test)]
mod tests {
    use super::number;
    use memtun_abi::Errno;

    #[test]
    fn numbers_are_read_as_sysfs_reads_them() {
        const INVALID: Result<u64, Errno> = Err(Errno(libc::EINVAL));
        for (text, value) in [
            ("1", Ok(1)),
            ("1\n", Ok(1)),
            (" 2\n", INVALID),
            ("0x5", Ok(5)),
            ("-1", INVALID),
            ("x", INVALID),
            ("1 2", INVALID),
            ("99999999999", Ok(99_999_999_999)),
            ("007", Ok(7)),
            ("0x", INVALID),
            ("1\n\n", INVALID),
            ("1\0", Ok(1)),
            ("1\n\x002", Ok(1)),
            ("\x001", INVALID),
            ("18446744073709551616", Err(Errno(libc::ERANGE))),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text:?}");
        }
    }
}
