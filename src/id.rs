//! Names for places in tables: indexes, never strings, so that a request carries four bytes where a label would cost an
//! allocation. They refuse to know what they point at.
//!
//! A *slot* is stable: it belongs to a name for as long as the process lives and survives a reload, so counters and
//! balancer state may be kept by it. An *index* is only valid inside one snapshot.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The same number, as an index into a slice.
            #[inline]
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A core, counted from 0 in the order of the configuration; not the number of the CPU it is pinned to.
    CoreId;
    /// The slot of a listener, kept by its name.
    ListenerSlot;
    /// The slot of a route, kept by its label (host and path pattern).
    RouteSlot;
    /// The slot of an upstream, kept by its name.
    UpstreamSlot;
    /// The slot of an endpoint, kept by upstream name and address.
    EndpointSlot;
    /// An upstream's index in one snapshot.
    UpstreamIndex;
    /// A route's index in one snapshot.
    RouteIndex;
}
