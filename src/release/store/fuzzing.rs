//! The entrance of the fuzzer: the objects of the store, read without a cluster.

use serde_json::Value;

use super::super::record::{Record, RefusedAttempt, Summary};
use super::{attempts, chronicle};
use crate::error::Result;

pub(in crate::release) fn history(map: &Value) -> Result<Vec<Summary>> {
    chronicle::read(map)
}

pub(in crate::release) fn attempts(map: &Value) -> Result<Vec<RefusedAttempt>> {
    attempts::read(map)
}

pub(in crate::release) fn record(head: &Value, bytes: &[u8]) -> Result<Record> {
    super::unpack(head, bytes)
}
