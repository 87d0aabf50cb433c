//! What may be done for a request beside choosing its endpoint: may it be sent again, how long may it wait, who is refused
//! first, what part of it is hashed. Pure: values in, a verdict out; no socket, no clock, no core. It refuses to know who
//! asks and what becomes of the verdict.

pub mod class;
pub mod deadline;
pub mod gradient;
pub mod key;
pub mod quantile;
pub mod retry;
