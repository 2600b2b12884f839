//! The commands on what runs on a tier.

pub(crate) mod adopt;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod remove;
pub(crate) mod status;
pub(crate) mod unlock;
