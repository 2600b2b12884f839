//! The entry point of the fuzzer: the records of earlier releases in a cluster.

use serde_json::Value;

use super::{Record, store};
use crate::error::Result;

/// Reads the bytes of a record.
///
/// # Errors
/// Those of the store.
pub(crate) fn record(head: &Value, bytes: &[u8]) -> Result<Record> {
    store::fuzzing::record(head, bytes)
}
