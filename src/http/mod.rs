//! HTTP as several clients use it.

#[cfg(test)]
mod fountain;
pub(crate) mod probe;
pub(crate) mod retry;

#[cfg(test)]
pub(crate) use fountain::fountain;

/// How many requests to one server are under way at once: enough that a hundred answers of 100 ms take less than a second, few
/// enough that a small registry does not refuse them (429) and an API server's Priority and Fairness does not queue them.
pub(crate) const CONCURRENCY: usize = 16;
