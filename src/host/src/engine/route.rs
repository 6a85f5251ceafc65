//! Routes (net/ipv4/fib_frontend.c, fib_semantics.c, fib_trie.c, net/ipv6/route.c).
#![forbid(unsafe_code)]
