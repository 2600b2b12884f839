//! HTTP as several clients use it.

#[cfg(test)]
mod fountain;
pub(crate) mod probe;
pub(crate) mod retry;

#[cfg(test)]
pub(crate) use fountain::fountain;
