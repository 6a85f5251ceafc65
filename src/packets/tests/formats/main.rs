//! The formats, as tools of others write them and as this crate does.

mod dump;
mod hex;
mod pcap;
mod pcapng;
mod random;
mod written;

use memtun_packets::{Frame, Reader};
use std::io::Cursor;

/// Returns all packets, or the sentence of the error.
fn frames(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let reader = Reader::new(Cursor::new(bytes.to_vec())).map_err(|e| e.to_string())?;
    reader
        .map(|frame| frame.map_err(|e| e.to_string()))
        .collect()
}

#[test]
fn an_empty_file_has_no_packets() {
    assert_eq!(frames(b"").unwrap(), []);
}

#[test]
fn an_unknown_magic_number_is_named() {
    for (magic, shown) in [
        (&[0x34, 0xcd, 0xb2, 0xa1][..], "begins with 0x34cdb2a1 "),
        (&[0xa1, 0xb2, 0xcd, 0x34], "begins with 0xa1b2cd34 "),
        (&[0xff; 300], "begins with 0xffffffff "),
        (b"snoop\0\0\0", "begins with 0x736e6f6f (\"snoo\")"),
        (&[0x45, 0, 0], "begins with 0x450000 "),
    ] {
        let text = frames(magic).unwrap_err();
        assert!(text.contains(shown) && text.contains("editcap"), "{text}");
    }
}

#[test]
fn compressed_files_are_named() {
    assert!(frames(&[0x1f, 0x8b, 8, 0, 0])
        .unwrap_err()
        .contains("gzip -dc"));
}
