//! HTTP as several clients use it.

#[cfg(test)]
mod fountain;
pub(crate) mod probe;

#[cfg(test)]
pub(crate) use fountain::fountain;
