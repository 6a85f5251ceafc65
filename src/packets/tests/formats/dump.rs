//! Dumps with offsets, as the tools write them.

use super::frames;

/// A packet of 40 bytes, whose text beside them looks like bytes.
fn packet() -> Vec<u8> {
    (0..40).map(|n| b"ab cdef 00  12 3"[n % 16]).collect()
}

fn one(text: &str) -> Vec<u8> {
    let found = frames(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(found.len(), 1, "{text}");
    found[0].data.clone()
}

/// Makes a dump as the tool `style` writes it: offset, bytes in groups, spaces, text.
fn dump(data: &[u8], line: usize, group: usize, style: &str) -> String {
    let mut text = String::new();
    for (number, row) in data.chunks(line).enumerate() {
        let offset = number * line;
        let words: Vec<String> = row
            .chunks(group)
            .map(|g| g.iter().map(|b| format!("{b:02x}")).collect())
            .collect();
        let columns = line * 2 + line / group - 1;
        let shown: String = row.iter().map(|b| *b as char).collect();
        let words = words.join(" ");
        text += &match style {
            "xxd" => format!("{offset:08x}: {words:columns$}  {shown}\n"),
            "tcpdump" => format!("\t0x{offset:04x}:  {words:columns$}  {shown}\n"),
            "tshark" => format!("{offset:04x}  {words:columns$}   {shown}\n"),
            "od" => format!("{offset:07o} {words}\n"),
            "odd" => format!("{offset:07} {words}\n"),
            _ => panic!("{style}"),
        };
    }
    text
}

#[test]
fn every_tools_dump_is_the_packet() {
    for data in [
        packet(),
        packet()[..8].to_vec(),
        packet()[..24].to_vec(),
        packet()[..33].to_vec(),
    ] {
        for group in [1, 2, 4, 8] {
            assert_eq!(one(&dump(&data, 16, group, "xxd")), data, "{group}");
            assert_eq!(one(&dump(&data, 16, group, "tcpdump")), data, "{group}");
        }
        for style in ["tshark", "od", "odd"] {
            assert_eq!(one(&dump(&data, 16, 1, style)), data, "{style}");
        }
        // od writes the length behind the last line.
        let od = dump(&data, 16, 1, "od") + &format!("{:07o}\n", data.len());
        assert_eq!(one(&od), data);
    }
}

#[test]
fn hexdump_has_a_gap_in_the_middle_and_stars() {
    let text = "00000000  45 00 00 1c 00 00 00 00  40 11 66 9d 0a 09 00 01  |E.......@.f.....|\n\
                00000010  aa aa aa aa aa aa aa aa  aa aa aa aa aa aa aa aa  |................|\n\
                *\n\
                00000040  00 07 00 08                                       |....|\n\
                00000044\n";
    let data = one(text);
    assert_eq!(data.len(), 0x44);
    assert_eq!(data[..2], [0x45, 0]);
    assert!(data[16..64].iter().all(|b| *b == 0xaa));
    assert_eq!(data[64..], [0, 7, 0, 8]);
}

#[test]
fn offset_zero_begins_a_packet_and_words_between_them_are_passed_over() {
    let text = "12:00:00.1 IP 10.0.0.1 > 10.0.0.2: ICMP echo request\n\
                \t0x0000:  4500 001c\n\
                \t0x0004:  0001\n\
                12:00:00.2 IP 10.0.0.2 > 10.0.0.1: ICMP echo reply\n\
                \n\
                \t0x0000:  6000\n";
    let found = frames(text.as_bytes()).unwrap();
    let data: Vec<_> = found.iter().map(|f| f.data.as_slice()).collect();
    assert_eq!(data, [&[0x45, 0, 0, 0x1c, 0, 1][..], &[0x60, 0]]);
}

#[test]
fn a_line_that_is_missing_is_an_error() {
    let whole = dump(&packet(), 16, 2, "xxd");
    let without: Vec<&str> = whole
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 1)
        .map(|(_, l)| l)
        .collect();
    let text = frames(without.join("\n").as_bytes()).unwrap_err();
    assert!(
        text.contains("line 2: has the offset 00000020, and 16 (0x10) bytes"),
        "{text}"
    );
    assert!(frames(b"0000: 45\n*\nffffffff: 45\n").is_err());
    assert!(frames(b"0000: 45\n*\n3ffff: 45\n*\nfffff: 45").is_err());
}

#[test]
fn damage_anywhere_is_survived() {
    let good = dump(&packet(), 16, 2, "xxd") + "*\n00000040 00\n00000000: 45\n";
    for at in 0..good.len() {
        for value in *b"\0 \n0af:*x|\xff" {
            let mut bad = good.clone().into_bytes();
            bad[at] = value;
            let _ = frames(&bad);
        }
        let _ = frames(&good.as_bytes()[..at]);
    }
}
