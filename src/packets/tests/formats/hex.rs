//! Text with one packet a line.

use super::frames;

#[test]
fn one_packet_a_line() {
    let found = frames(b"# two\n45 00:001c\n\n0x60 0x00 # six\n").unwrap();
    let data: Vec<_> = found.iter().map(|f| f.data.as_slice()).collect();
    assert_eq!(data, [&[0x45, 0, 0, 0x1c][..], &[0x60, 0]]);
    // An Ethernet address that begins with zeros is not taken for an offset.
    for line in [
        "0000 5e00 0101",
        "00:00:5e:00:01:01",
        "00005e000101",
        "00 00 5e 00 01 01",
    ] {
        let found = frames(format!("{line}\n{line}").as_bytes()).unwrap();
        assert_eq!(found.len(), 2, "{line}");
        assert_eq!(found[1].data, [0, 0, 0x5e, 0, 1, 1], "{line}");
    }
}

#[test]
fn garbage_is_named_with_its_line() {
    assert!(frames(b"45\nhello\n")
        .unwrap_err()
        .contains("line 2: \"he\" is not hexadecimal"));
    assert!(frames(b"450\n")
        .unwrap_err()
        .contains("line 1: has an odd number of digits"));
    assert!(frames(b"0000000 0045 1c00\n0000004\n")
        .unwrap_err()
        .contains("line 1: is a dump of words"));
    let bits =
        b"00000000: 01000101 00000000 00000000 00100001 00000000 00000001  E..!..\n00000006: 00000000 01000000  .@\n";
    assert!(frames(bits)
        .unwrap_err()
        .contains("line 1: is a dump of bits (xxd -b)"));
    let words =
        b"00000000: 21000045 00000100 c2661140 0900000a  E..!....@.f.....\n00000010: 6f  o\n";
    assert!(frames(words).unwrap_err().contains("(xxd -e)"));
    let groups =
        b"00000000: 45000021 00010000 401166c2 0a000009  E..!....@.f.....\n00000010: 6f  o\n";
    assert_eq!(frames(groups).unwrap()[0].data.len(), 17);
    assert!(frames(b"hello\nworld\n")
        .unwrap_err()
        .contains("line 1: \"he\" is not hexadecimal"));
}
