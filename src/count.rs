//! Numbers that one thread changes and others read, and tables of them by slot. It refuses to know what is counted.
//!
//! Invariant: what is written here has one writing thread. That is why an increment is a relaxed load and a relaxed store
//! and never a locked instruction; a reader may see a sum a moment old, never a torn one.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::limits;

/// A number that one thread changes and others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. For the writing thread alone.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away. For the writing thread alone.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Puts `n` in place. For the writing thread alone.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The number as last written.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A table by slot that grows by pages of 64 without moving what it holds, so that a reader may walk it meanwhile.
#[derive(Debug)]
pub struct Table<T> {
    // Of known lengths: a place within bounds needs no second look.
    pages: Box<[OnceLock<Box<[T; PAGE]>>; limits::LABELS / PAGE]>,
}

const PAGE: usize = 64;

impl<T: Default> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Table<T> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { pages: Box::new(std::array::from_fn(|_| OnceLock::new())) }
    }

    /// The entry of a slot, made when it is first asked for. Slots at or over `limits::LABELS` share entry 0. For the
    /// writing thread alone.
    #[inline]
    pub fn at(&self, slot: usize) -> &T {
        let slot = if slot < limits::LABELS { slot } else { 0 };
        let page = self.pages[slot / PAGE].get_or_init(|| Box::new(std::array::from_fn(|_| T::default())));
        &page[slot % PAGE]
    }

    /// The entry of a slot, if its page was ever written.
    #[inline]
    #[must_use]
    pub fn peek(&self, slot: usize) -> Option<&T> {
        self.pages.get(slot / PAGE)?.get()?.get(slot % PAGE)
    }

    /// Every entry whose page was ever written.
    pub fn each(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().filter_map(OnceLock::get).flat_map(|page| page.iter())
    }
}
