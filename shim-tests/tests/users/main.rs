//! What one user can do to another: nothing. Several users on one machine, see [`shim_tests::users`].
//!
//! | module | subject |
//! |---|---|
//! | `joining` | whose net is joined, what is said when it is not, in every language |

mod joining;

use shim_tests::users::answer_in_rust;

#[test]
#[ignore = "a part of other tests, as another user"]
fn a_driver_in_rust() {
    answer_in_rust();
}
