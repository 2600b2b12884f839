//! Small functions on text: durations, hexadecimal digits, JSON pointers, lines, near names, addresses of Git remotes, random words, slugs, words for people,
//! commands to the runner of GitHub.

pub(crate) mod display;
pub(crate) mod duration;
pub(crate) mod hex;
pub(crate) mod lines;
mod malformed;
pub(crate) mod nearest;
pub(crate) mod pointer;
mod quote;
pub(crate) mod random;
pub(crate) mod remote;
pub(crate) mod slug;
pub(crate) mod workflow;

pub(crate) use duration::duration;
pub(crate) use malformed::Malformed;
pub(crate) use nearest::nearest;
pub(crate) use quote::shell_word;
pub(crate) use slug::slug;
