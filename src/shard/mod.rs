//! Everything one core owns.

pub mod mailbox;
