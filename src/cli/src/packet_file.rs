//! A file of packets by its path, whose errors name it.
#![forbid(unsafe_code)]

use crate::failure::{plain, Failure};
use memtun_packets::{Error, Frame, Reader};
use std::fs::File;
use std::io;
use std::path::Path;

/// A file of packets in any format.
pub struct PacketFile {
    shown: String,
    packets: Reader,
    /// Length of the file in bytes; None for a pipe.
    pub size: Option<u64>,
}

impl PacketFile {
    /// Opens a file, or standard input for "-".
    pub fn open(path: &Path) -> Result<PacketFile, Failure> {
        let (shown, packets, size) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), Reader::new(io::stdin()), None)
        } else {
            let shown = path.display().to_string();
            let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
            let (meta, file) =
                opened.map_err(|e| Failure::io(format!("{shown}: cannot read"), &e))?;
            let size = meta.is_file().then_some(meta.len());
            (shown, Reader::new(file), size)
        };
        Ok(PacketFile {
            packets: packets.map_err(|e| complain(&shown, &e))?,
            shown,
            size,
        })
    }

    /// Returns the next packet, or None at the end.
    pub fn next(&mut self) -> Result<Option<Frame>, Failure> {
        let frame = self.packets.next().transpose();
        frame.map_err(|e| complain(&self.shown, &e))
    }
}

fn complain(shown: &str, e: &Error) -> Failure {
    let text = match e {
        Error::Io(e) => plain(e),
        e => e.to_string(),
    };
    Failure::bad_input(format!("{shown}: {text}"))
}
