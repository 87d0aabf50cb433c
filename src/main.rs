//! The program: arguments in, exit code out. Everything else is `ringway::app`.

use std::process::ExitCode;

use ringway::app;

/// Small blocks by the thousand, freed by the thread that took them: what this allocator is made for.
#[cfg(not(feature = "system-allocator"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::main(std::env::args_os())
}
