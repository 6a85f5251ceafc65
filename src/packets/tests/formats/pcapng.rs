//! pcapng files as others write them.

use super::frames;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

type Options<'a> = &'a [(u16, &'a [u8])];

/// Writes blocks in either byte order.
struct Blocks {
    big: bool,
    bytes: Vec<u8>,
}

impl Blocks {
    fn new(big: bool) -> Blocks {
        let mut blocks = Blocks {
            big,
            bytes: Vec::new(),
        };
        let body = [
            blocks.u32(0x1a2b_3c4d),
            blocks.u32(if big { 0x0001_0000 } else { 1 }),
            [0xff; 4],
            [0xff; 4],
        ];
        blocks.block(SECTION, &body.concat());
        blocks
    }
    fn u32(&self, n: u32) -> [u8; 4] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }
    fn u16(&self, n: u16) -> [u8; 2] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }
    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = self.u32(12 + body.len() as u32);
        let kind = self.u32(kind);
        self.bytes.extend([&kind, &length, body, &length].concat());
    }
    fn interface(&mut self, options: Options) {
        let mut body = [&self.u16(101)[..], &[0; 2], &self.u32(0)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(value.len() as u16)].concat());
            body.extend(*value);
            body.resize(body.len().div_ceil(4) * 4, 0);
        }
        self.block(INTERFACE, &body);
    }
    fn packet(&mut self, ticks: u64) {
        let words = [0, (ticks >> 32) as u32, ticks as u32, 3, 3]
            .map(|n| self.u32(n))
            .concat();
        self.block(ENHANCED_PACKET, &[&words[..], &[0x45, 1, 2, 0]].concat());
    }
}

#[test]
fn both_byte_orders_and_any_resolution() {
    for big in [false, true] {
        let minute = if big {
            60i64.to_be_bytes()
        } else {
            60i64.to_le_bytes()
        };
        let cases: [(Options, u64, i128); 9] = [
            (&[], 1_500_000, 1_500_000_000),
            (&[(9, &[9])], 7, 7),
            (&[(9, &[0x80 | 10])], 1536, 1_500_000_000),
            (&[(9, &[3]), (14, &minute)], 1500, 61_500_000_000),
            (&[(9, &[0])], u64::MAX, i128::from(u64::MAX) * 1_000_000_000),
            (&[(9, &[38])], u64::MAX, 0),
            (&[(9, &[0x7f])], u64::MAX, 0),
            (&[(9, &[0xff])], u64::MAX, 0),
            (&[(9, &[]), (14, &[1])], 1_500_000, 1_500_000_000),
        ];
        for (options, ticks, time) in cases {
            let mut blocks = Blocks::new(big);
            blocks.interface(options);
            blocks.packet(ticks);
            let found = frames(&blocks.bytes).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(
                (found[0].time_ns, &found[0].data[..]),
                (Some(time), &[0x45, 1, 2][..])
            );
        }
    }
}

#[test]
fn sections_of_different_byte_orders_and_unknown_blocks() {
    let mut bytes = Vec::new();
    for big in [true, false] {
        let mut blocks = Blocks::new(big);
        blocks.block(0x0bad, &[0; 400]);
        blocks.interface(&[]);
        blocks.packet(1);
        let simple = [&blocks.u32(2)[..], &[0x60, 0, 0, 0]].concat();
        blocks.block(SIMPLE_PACKET, &simple);
        bytes.extend(blocks.bytes);
    }
    let found = frames(&bytes).unwrap();
    assert_eq!(
        found.iter().map(|f| f.data.len()).collect::<Vec<_>>(),
        [3, 2, 3, 2]
    );
    assert_eq!(found[1].time_ns, None);
}

#[test]
fn a_packet_of_an_interface_that_was_not_described_is_damage() {
    let mut blocks = Blocks::new(false);
    blocks.packet(1);
    assert!(frames(&blocks.bytes).unwrap_err().contains("block 2"));
}

#[test]
fn a_file_that_ends_too_early_is_an_error() {
    let mut blocks = Blocks::new(false);
    blocks.interface(&[]);
    blocks.packet(1);
    assert!(frames(&blocks.bytes[..blocks.bytes.len() - 2])
        .unwrap_err()
        .contains("middle of block 3"));
}
