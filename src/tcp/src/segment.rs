//! A TCP segment with its IP header, read from a packet and built into one.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::wire::{IpAddress, TcpPacket};

/// FIN: the sender has no more to say.
pub const FIN: u8 = 0x01;
/// SYN: sequence numbers are to be agreed upon.
pub const SYN: u8 = 0x02;
/// RST: there is no such connection, or no longer.
pub const RST: u8 = 0x04;
/// PSH: what was written ends here.
pub const PSH: u8 = 0x08;
/// ACK: the acknowledgement number is valid.
pub const ACK: u8 = 0x10;
/// URG: there is urgent data.
pub const URG: u8 = 0x20;

/// The length of a TCP header without options.
pub(crate) const HEADER: usize = 20;

const TCP: u8 = 6;

/// A segment as it stands in a packet.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the byte that the sender waits for; valid with [`ACK`].
    pub acknowledgement: u32,
    /// FIN, SYN, RST, PSH, ACK and the others.
    pub flags: u8,
    /// As it stands there, not scaled.
    pub window: u16,
    /// Where urgent data ends, counted from the first byte; valid with [`URG`].
    pub urgent: u16,
    /// The options' bytes.
    pub options: &'a [u8],
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a whole IP packet. None where it is no segment, is cut off, is a fragment, or where
    /// its checksum is wrong: such packets are dropped without a word.
    pub fn parse(packet: &'a [u8]) -> Option<Segment<'a>> {
        let (source, destination, tcp) = addresses(packet)?;
        let view = TcpPacket::new_checked(tcp).ok()?;
        let ends = (IpAddress::from(source), IpAddress::from(destination));
        view.verify_checksum(&ends.0, &ends.1).then_some(())?;
        Segment::read(packet)
    }

    /// The same for a packet whose checksums somebody has looked at.
    pub fn read(packet: &'a [u8]) -> Option<Segment<'a>> {
        let (source, destination, tcp) = addresses(packet)?;
        let view = TcpPacket::new_checked(tcp).ok()?;
        let header = usize::from(view.header_len());
        Some(Segment {
            source: SocketAddr::new(source, view.src_port()),
            destination: SocketAddr::new(destination, view.dst_port()),
            sequence: view.seq_number().0 as u32,
            acknowledgement: view.ack_number().0 as u32,
            flags: tcp[13],
            window: view.window_len(),
            urgent: view.urgent_at(),
            options: &tcp[HEADER..header],
            payload: &tcp[header..],
        })
    }

    /// Whether all of these flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// How much of the sequence it takes: data, SYN and FIN.
    pub fn len(&self) -> u32 {
        let marks = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        (self.payload.len() as u32).wrapping_add(marks)
    }

    /// Whether it takes nothing of the sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each option's kind and data. Ends at the first that is malformed.
    pub fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        options(self.options)
    }

    /// The largest segment that the sender of this SYN takes.
    pub fn maximum(&self) -> Option<u16> {
        self.options().find_map(|option| match option {
            (2, &[high, low]) => Some(u16::from_be_bytes([high, low])),
            _ => None,
        })
    }

    /// By how much the sender of this SYN scales its windows, if it does.
    pub(crate) fn scale(&self) -> Option<u8> {
        self.options().find_map(|option| match option {
            (3, &[shift]) => Some(shift.min(14)),
            _ => None,
        })
    }

    /// Whether the sender of this SYN understands blocks.
    pub(crate) fn permits_sacks(&self) -> bool {
        self.options().any(|(kind, _)| kind == 4)
    }

    /// When it left by the sender's clock, and what that has last heard of the other one.
    pub(crate) fn timestamps(&self) -> Option<(u32, u32)> {
        self.options().find_map(|(kind, data)| match (kind, data) {
            (8, &[a, b, c, d, e, f, g, h]) => Some((
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            )),
            _ => None,
        })
    }

    /// What the receiver has beyond the acknowledgement number: from, to.
    pub(crate) fn sacks(&self) -> impl Iterator<Item = (u32, u32)> + 'a {
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        self.options()
            .filter(|&(kind, _)| kind == 5)
            .flat_map(|(_, data)| data.chunks_exact(8))
            .map(move |block| (word(&block[..4]), word(&block[4..])))
    }
}

/// The same for the options' bytes.
pub(crate) fn options(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || loop {
        match rest {
            [] | [0, ..] => return None,
            [1, tail @ ..] => rest = tail,
            [kind, length, ..] => {
                let length = usize::from(*length);
                let data = rest.get(2..length)?;
                rest = &rest[length..];
                return Some((*kind, data));
            }
            _ => return None,
        }
    })
}

/// Returns a packet whose options are the largest segment and the scale of windows alone, where
/// they are well formed, with nothing at the place of others.
pub(crate) fn without_odd_options(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let Some((_, _, tcp)) = addresses(&packet) else {
        return packet;
    };
    let Ok(view) = TcpPacket::new_checked(tcp) else {
        return packet;
    };
    let begin = tcp.as_ptr().addr() - packet.as_ptr().addr();
    let options = begin + HEADER..begin + usize::from(view.header_len());
    let mut rest = &mut packet[options];
    loop {
        let length = match *rest {
            [] => return packet,
            [1, ..] => 1,
            [kind, length, ..] if kind != 0 && (2..=rest.len()).contains(&length.into()) => {
                if !matches!((kind, length), (2, 4) | (3, 3)) {
                    rest[..length.into()].fill(1);
                }
                length.into()
            }
            _ => {
                rest.fill(0);
                return packet;
            }
        };
        rest = &mut rest[length..];
    }
}

/// Source, destination, and the bytes from the TCP header on.
fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            let whole = packet.get(..total)?;
            // The flag "more fragments" and an offset: only whole packets are segments.
            let fragment = u16::from_be_bytes([*whole.get(6)?, *whole.get(7)?]) & 0x3fff;
            if header < 20 || fragment != 0 || *whole.get(9)? != TCP {
                return None;
            }
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 4] = whole.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            };
            Some((address(12)?, address(16)?, whole.get(header..)?))
        }
        6 => {
            let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
            let whole = packet.get(..40 + length)?;
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = whole.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            };
            let (mut next, mut at) = (whole[6], 40);
            // Hop-by-hop options, routing, destination options: each says how long it is.
            while matches!(next, 0 | 43 | 60) {
                let head = whole.get(at..at + 2)?;
                (next, at) = (head[0], at + (usize::from(head[1]) + 1) * 8);
            }
            (next == TCP).then_some((address(8)?, address(24)?, whole.get(at..)?))
        }
        _ => None,
    }
}

/// What a packet that is built here says.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// Who sends it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// See [`Segment::sequence`].
    pub sequence: u32,
    /// See [`Segment::acknowledgement`].
    pub acknowledgement: u32,
    /// See [`Segment::flags`].
    pub flags: u8,
    /// See [`Segment::window`].
    pub window: u16,
    /// The options, a multiple of four bytes.
    pub options: &'a [u8],
}

/// A packet without data, with all checksums. `out` is emptied first. IPv4 has no identification
/// and may not be cut, as Linux's answers; the hop limit is 64.
pub fn build(plain: &Plain<'_>, out: &mut Vec<u8>) {
    head(plain, 0, out);
    let at = out.len() - HEADER - plain.options.len();
    seal(out, at);
}

/// The headers of a packet with so much data, without checksums.
pub(crate) fn head(plain: &Plain<'_>, data: usize, out: &mut Vec<u8>) {
    out.clear();
    let header = HEADER + plain.options.len();
    let length = header + data;
    match (plain.source.ip(), plain.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend([0x45, 0]);
            out.extend((20 + length as u16).to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, TCP, 0, 0]);
            out.extend(source.octets());
            out.extend(destination.octets());
        }
        (source, destination) => {
            out.extend([0x60, 0, 0, 0]);
            out.extend((length as u16).to_be_bytes());
            out.extend([TCP, 64]);
            out.extend(sixteen(source));
            out.extend(sixteen(destination));
        }
    }
    out.extend(plain.source.port().to_be_bytes());
    out.extend(plain.destination.port().to_be_bytes());
    out.extend(plain.sequence.to_be_bytes());
    out.extend(plain.acknowledgement.to_be_bytes());
    out.extend([(header as u8 / 4) << 4, plain.flags]);
    out.extend(plain.window.to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(plain.options);
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Writes the checksums of a packet whose TCP header begins at `at`.
pub(crate) fn seal(packet: &mut [u8], at: usize) {
    if packet[0] >> 4 == 4 {
        smoltcp::wire::Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    }
    let (source, destination) = if packet[0] >> 4 == 4 {
        let octets = |from: usize| {
            Ipv4Addr::new(
                packet[from],
                packet[from + 1],
                packet[from + 2],
                packet[from + 3],
            )
        };
        (IpAddress::Ipv4(octets(12)), IpAddress::Ipv4(octets(16)))
    } else {
        let octets = |from: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&packet[from..from + 16]);
            IpAddress::Ipv6(Ipv6Addr::from(octets))
        };
        (octets(8), octets(24))
    };
    TcpPacket::new_unchecked(&mut packet[at..]).fill_checksum(&source, &destination);
}

/// What tcp_v4_send_reset answers to a segment that belongs to nothing. Returns whether there is
/// an answer: none to a RST, and none where an end is no single host's address.
pub fn reset_for(segment: &Segment<'_>, out: &mut Vec<u8>) -> bool {
    if segment.has(RST) || !is_host(segment.source.ip()) || !is_host(segment.destination.ip()) {
        return false;
    }
    let (sequence, acknowledgement, flags) = if segment.has(ACK) {
        (segment.acknowledgement, 0, RST)
    } else {
        (0, segment.sequence.wrapping_add(segment.len()), RST | ACK)
    };
    let plain = Plain {
        source: segment.destination,
        destination: segment.source,
        sequence,
        acknowledgement,
        flags,
        window: 0,
        options: &[],
    };
    build(&plain, out);
    true
}

/// Whether it is an address of one host.
pub(crate) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast()),
    }
}

/// Whether `a` comes before `b` in the sequence, which goes round.
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
