//! The program: start the rooms of the library, end with the contract's exit code.

fn main() {}
