//! Sockets, the ring and the deadline wheel: the only folder that names the runtime. It refuses to know HTTP.

pub mod bell;
