//! What all cores have done at the endpoints of one upstream, folded into what is known of each.

/// Words of an endpoint.
pub(super) const WORDS: usize = 18;
/// Words of an upstream.
pub(super) const FLEET_WORDS: usize = 4;
/// The mean latency to a response head, in microseconds; 0: none is known.
pub(super) const MEAN: usize = 0;
/// When it was last put out.
pub(super) const EJECTED_AT: usize = 4;
