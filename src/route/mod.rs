//! Which route takes a request: the most specific host, then the most specific path, whatever the order in the file.
//! Pure: a table and two byte strings in, an index out. It refuses to know what a route does.
//!
//! - Hosts: exact, then the longest wildcard, then `*`. The host table found is the only one asked: a path it does not
//!   take is not looked for in a less specific one, so that a name never answers with another name's routes.
//! - Paths: exact, then the longest prefix, segment by segment: `/orders/*` takes `/orders` and `/orders/7`, not
//!   `/ordersX`.
//!
//! The cost of a look-up does not grow with the number of routes: one probe for the host and one for each segment.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use crate::id::RouteIndex;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::PathPattern;

/// All hosts of one snapshot.
#[derive(Debug, Default)]
pub struct Table {
    exact: Map<usize>,
    wildcard: Map<usize>,
    any: Option<usize>,
    hosts: Vec<Paths>,
}

#[derive(Debug, Default)]
struct Paths {
    exact: Map<RouteIndex>,
    prefix: Map<RouteIndex>,
    /// Bytes of the longest prefix: no longer one is probed.
    longest: usize,
}

type Map<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<Fnv>>;

/// Longest host name that can match; longer ones are nobody's (RFC 1035 §2.3.4 allows 255).
const HOST_BYTES: usize = 255;

impl Table {
    /// Compiles the hosts of a model; routes are counted in their order, host by host.
    #[must_use]
    pub fn compile(hosts: &[Host]) -> Self {
        let mut table = Self::default();
        let mut next = 0;
        for (index, host) in hosts.iter().enumerate() {
            match &host.pattern {
                HostPattern::Exact(name) => drop(table.exact.insert(name.as_bytes().into(), index)),
                HostPattern::Wildcard(suffix) => drop(table.wildcard.insert(suffix.as_bytes().into(), index)),
                HostPattern::Any => table.any = Some(index),
            }
            let mut paths = Paths::default();
            for route in &host.routes {
                let id = RouteIndex(next);
                next += 1;
                match &route.path {
                    PathPattern::Exact(path) => drop(paths.exact.insert(path.as_bytes().into(), id)),
                    PathPattern::Prefix(path) => {
                        paths.longest = paths.longest.max(path.len());
                        paths.prefix.insert(path.as_bytes().into(), id);
                    }
                }
            }
            table.hosts.push(paths);
        }
        table
    }

    /// The route of a host name (without port, any case) and a path (without query).
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<RouteIndex> {
        self.hosts.get(self.host(host)?)?.find(path)
    }

    /// The place of the host, in the model's order, that takes a name.
    #[must_use]
    pub fn host(&self, host: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return self.any;
        }
        let mut lower = [0; HOST_BYTES];
        let Some(lower) = lower.get_mut(..host.len()) else { return self.any };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        // One trailing dot names the same host (RFC 1034 §3.1).
        let name = lower.strip_suffix(b".").unwrap_or(lower);
        if let Some(index) = self.exact.get(name) {
            return Some(*index);
        }
        if !self.wildcard.is_empty() {
            let mut rest = name;
            while let Some(dot) = memchr::memchr(b'.', rest) {
                rest = &rest[dot + 1..];
                if let Some(index) = self.wildcard.get(rest) {
                    return Some(*index);
                }
            }
        }
        self.any
    }
}

impl Paths {
    fn find(&self, path: &[u8]) -> Option<RouteIndex> {
        if !self.exact.is_empty()
            && let Some(index) = self.exact.get(path)
        {
            return Some(*index);
        }
        if self.prefix.is_empty() {
            return None;
        }
        // `/*` is held as the empty prefix and takes whatever is left, `*` of OPTIONS included.
        let mut end = path.len();
        loop {
            if end <= self.longest
                && let Some(index) = self.prefix.get(&path[..end])
            {
                return Some(*index);
            }
            if end == 0 {
                return None;
            }
            end = memchr::memrchr(b'/', &path[..end]).unwrap_or(0);
        }
    }
}

/// FNV-1a. The keys come from the configuration, so nobody outside can choose them to collide.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
