//! Writing one packet a line, in hexadecimal.
#![forbid(unsafe_code)]

use std::io::{self, Write};

/// Writes a packet as a line with two digits for each byte.
///
/// # Errors
///
/// The error of `output`.
pub fn write(output: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(output, "{digits}")
}
