//! Neighbours (net/core/neighbour.c).
#![forbid(unsafe_code)]
