//! Names of the files in a net's directory. The documentation of [`super`] lists them together.
#![forbid(unsafe_code)]

use std::ffi::CStr;

/// The state file of the net itself.
pub(super) const STATE: &CStr = c".memtun-net-state";
/// The mark of a private net, which goes with its last member.
pub(super) const PRIVATE: &CStr = c".memtun-net-private";
/// The file whose lock the capturer holds.
pub(super) const CAPTURER: &CStr = c".memtun-capturer";
/// What programs have set on sockets about interfaces of the net.
pub(super) const SOCKETS: &CStr = c".memtun-sockets";
/// The table of the net's sockets.
pub(super) const INET: &CStr = c".memtun-inet";
/// Begins the name of a tunnel's state; its inode follows.
pub(super) const TUNNEL: &[u8] = b".memtun-tunnel-";
/// Begins the name of a bell; its inode follows.
pub(super) const BELL: &[u8] = b".memtun-bell-";
/// Begins the name of a link's FIFO; the index of the interface follows.
pub(super) const LINK: &[u8] = b".memtun-link-";
/// Begins the name of a tunnel's packet filter; a number follows.
pub(super) const FILTER: &[u8] = b".memtun-filter-";
/// Begins the name of a file that is being made.
pub(super) const NEW: &[u8] = b".memtun-new-";
/// Begins the name of a deleted interface's state; a number follows.
pub(super) const GONE: &[u8] = b".memtun-gone-";
/// Begins the name of a file that says that a program was reported; the program's number follows.
pub(super) const SAID: &[u8] = b".memtun-said-";
/// Begins the name of the host process's socket; its epoch follows.
pub(super) const HOST: &[u8] = b".memtun-host-";
/// What the programs' packet sockets and raw ones are for.
pub(super) const PACKETS: &CStr = c".memtun-packets";
/// The multicast groups that the programs' sockets have joined.
pub(super) const GROUPS: &CStr = c".memtun-groups";
/// The name of a packet socket or a raw one.
pub(super) const PACKET: &[u8] = b".memtun-packet-";
/// Names of sockets by which the host process tells such a one of errors.
pub(super) const ERRORS: &[u8] = b".memtun-errors-";
/// Begins the name of the host's state; the epoch of the host process follows.
pub(super) const STACK: &[u8] = b".memtun-stack-";
/// The directory in which the directories of the net's view are made, see [`NetDir::view_path`].
///
/// [`NetDir::view_path`]: super::NetDir::view_path
pub(super) const VIEW: &CStr = c".memtun-view";
