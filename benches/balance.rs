//! Picks by the nanosecond, and the rows of the board against shared counters.

fn main() {}
