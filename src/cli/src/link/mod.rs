//! `ls`, `show`, `set`, `delete`: what is known about interfaces, and what an administrator
//! changes.
#![forbid(unsafe_code)]

pub mod change;
pub mod ls;
pub mod show;
