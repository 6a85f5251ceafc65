//! Packets that programs have written to their tunnels.
#![forbid(unsafe_code)]
