//! Commands for what runs on a tier: status, history, logs, lock, adopt, remove.

pub(crate) mod adopt;
pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod fuzzing;
pub(crate) mod history;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod remove;
pub(crate) mod rollback_outlook;
pub(crate) mod rules;
pub(crate) mod status;

pub(crate) use adopt::adopt;
pub(crate) use explain::explain;
pub(crate) use history::history;
pub(crate) use lock::{lock, unlock};
pub(crate) use logs::{LogRequest, logs};
pub(crate) use remove::{Removal, RemoveRequest, remove};
pub(crate) use rules::recorded_rules;
pub(crate) use status::status;
