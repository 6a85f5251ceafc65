//! What one user can do to another on the same machine is nothing. See [`shim_tests::users`] for
//! the machine with several users.
//!
//! | module | subject |
//! |---|---|
//! | `dying` | nets whose makers were killed, nets that containers share |
//! | `files` | nets whose files are something else than they should be |
//! | `host` | the netlink sockets of programs, the host process and the view of /sys |
//! | `joining` | whose net is joined, what is said when it is not, in every language |
//! | `root` | root in a user's net, by accident and on purpose |
//! | `sockets` | sockets of a net on the machine's loopback, and the host process's ports there |
//! | `sweeping` | nets that nobody named: what is swept, what is not looked at, what survives |

mod dying;
mod files;
mod host;
mod joining;
mod root;
mod sockets;
mod sweeping;

use shim_tests::users::answer_in_rust;

#[test]
#[ignore = "a part of other tests, as another user"]
fn a_driver_in_rust() {
    answer_in_rust();
}
