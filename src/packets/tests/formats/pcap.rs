//! pcap files as others write them.

use super::frames;
use memtun_packets::LinkType;

fn file(magic: u32, big: bool) -> Vec<u8> {
    let u32 = |n: u32| {
        if big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let u16 = |n: u16| {
        if big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let mut bytes = u32(magic).to_vec();
    bytes.extend([u16(2), u16(4)].concat());
    bytes.extend([0, 0, 65535, 101].map(u32).concat());
    bytes.extend([1, 2, 3, 4].map(u32).concat());
    bytes.extend([0x45, 1, 2]);
    bytes
}

#[test]
fn both_byte_orders_and_resolutions() {
    for (magic, time) in [(0xa1b2_c3d4, 1_000_002_000), (0xa1b2_3c4d, 1_000_000_002)] {
        for big in [false, true] {
            let found = frames(&file(magic, big)).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].time_ns, Some(time));
            assert_eq!((found[0].link, found[0].cut_short), (LinkType::RAW, true));
            assert_eq!(found[0].data, [0x45, 1, 2]);
        }
    }
}

#[test]
fn a_file_that_ends_too_early_is_an_error() {
    let whole = file(0xa1b2_c3d4, false);
    for (length, what) in [
        (30, "packet 1"),
        (whole.len() - 1, "packet 1"),
        (10, "pcap's header"),
        (4, "pcap's header"),
    ] {
        let text = frames(&whole[..length]).unwrap_err();
        assert!(text.contains(what), "{length}: {text}");
    }
}

#[test]
fn absurd_lengths_are_not_believed() {
    let mut bytes = file(0xa1b2_c3d4, false);
    bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(frames(&bytes).unwrap_err().contains("4294967295 bytes"));
}
