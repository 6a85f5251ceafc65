//! Rules of policy routing (net/core/fib_rules.c).
#![forbid(unsafe_code)]
