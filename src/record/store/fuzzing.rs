//! The entrance of the fuzzer: the objects of the store, read without a cluster.

use serde_json::Value;

use crate::error::Result;
use crate::record::store::{attempts, history_store};
use crate::record::{Record, RefusedAttempt, Summary};

pub(crate) fn history(map: &Value) -> Result<Vec<Summary>> {
    history_store::read(map)
}

pub(crate) fn attempts(map: &Value) -> Result<Vec<RefusedAttempt>> {
    attempts::read(map)
}

pub(crate) fn record(head: &Value, bytes: &[u8]) -> Result<Record> {
    crate::record::store::unpack(head, bytes)
}
