//! The kind of shared word that the protocol of turns is built on. Named here and nowhere else, so that a model checker can
//! put its own in its place; it refuses to know what a word holds.

pub(super) use std::sync::atomic::AtomicU64;
pub(super) use std::sync::atomic::Ordering;
