//! The program: passes the arguments to the library and exits with its exit code.

use std::process::ExitCode;

/// Faster than the allocator of musl, which release binaries are linked with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    windlass::cli::main(std::env::args_os())
}
