//! Is it ready, has it failed, and why: verdict and cause as pure functions, and the watch that feeds them.

pub mod verdict;
