//! The entrance of the fuzzer: what registries answer, and Docker's configuration.

use serde_json::Value;

use super::{Keychain, challenge, index, next_page, record, transport};
use crate::error::Result;
use crate::model::{Credentials, Reference};

/// Everything that is made of a body and of a header.
pub(crate) fn answer(body: &[u8], header: &str) -> String {
    let image: Reference = format!("r.test/shop/web@sha256:{}", "0".repeat(64)).parse().expect("it is one");
    let record = record::read(image.digest.as_ref().expect("it has one"), "tag", body);
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let members = (index::images(&json).len(), index::members(&json).len());
    let text = String::from_utf8_lossy(body);
    let parsed = text.lines().filter(|line| line.parse::<Reference>().is_ok()).count();
    let said = transport::message(body).is_some();
    let record =
        record.map_or_else(|error| error.message().to_owned(), |record| record.is_object().to_string());
    let header = (challenge::parse([header]).is_some(), next_page(header).is_some());
    format!("{members:?} {parsed} {said} {record} {header:?}")
}

/// The credentials for a host out of the text of a `config.json`.
///
/// # Errors
/// Those of the configuration.
pub(crate) async fn docker_config(text: &str, host: &str) -> Result<Option<Credentials>> {
    Keychain::new(|name| (name == "DOCKER_AUTH_CONFIG").then(|| text.to_owned())).find(host).await
}
