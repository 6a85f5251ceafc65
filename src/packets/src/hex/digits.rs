//! Bytes that are written as two hexadecimal digits each.
#![forbid(unsafe_code)]

/// Adds the bytes that a word of digits stands for to `found`.
pub(super) fn digits(word: &[u8], found: &mut Vec<u8>) -> Result<(), String> {
    for pair in word.chunks(2) {
        let value = |digit: &u8| (*digit as char).to_digit(16);
        match pair {
            [high, low] => match (value(high), value(low)) {
                (Some(high), Some(low)) => found.push((high << 4 | low) as u8),
                _ => return Err(not_hex(pair)),
            },
            _ => return Err("has an odd number of digits; write each byte with two".into()),
        }
    }
    Ok(())
}

fn not_hex(bytes: &[u8]) -> String {
    format!(
        "\"{}\" is not hexadecimal; give pcap, pcapng, one packet a line in hexadecimal, or a dump with offsets, as of xxd or \
         hexdump -C",
        bytes.escape_ascii()
    )
}
