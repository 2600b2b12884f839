//! The program: hand the arguments to the library, end with the contract's exit code.

use std::process::ExitCode;

/// Faster than the allocator of musl, with which the binary is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    windlass::cli::main(std::env::args_os())
}
