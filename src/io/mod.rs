//! Sockets, the ring and the deadline wheel: the only folder that names the runtime. It refuses to know HTTP.

pub mod bell;
pub mod both;
pub mod deadline;
pub mod descriptors;
pub mod lead;
pub mod line;
pub mod listen;
pub mod memory;
pub mod queue;
pub mod ring;
pub mod room;
pub mod socket;
pub mod socket_file;
pub mod task;
pub mod veil;
