//! The program: hand the arguments to the library, end with the contract's exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass::cli::main(std::env::args_os())
}
