//! The program: arguments in, exit code out. Everything else is `ringway::app`.
fn main() {}
