//! What an API server says when it refuses: `metav1.Status`, read leniently.

use serde::Deserialize;

use crate::text::display;

/// A refusal as the API server words it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) details: Details,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) causes: Vec<StatusCause>,
    pub(crate) retry_after_seconds: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusCause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Status {
    /// Reads the body of an answer with this HTTP code; one that is no `Status` (a proxy's page, a plain
    /// text) becomes the message, cut to one line.
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
        let read = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .filter(|json| json["kind"] == "Status")
            .map(without_nulls)
            .and_then(|json| serde_json::from_value::<Self>(json).ok());
        let mut status = read.unwrap_or_else(|| Self { message: first_line(body), ..Self::default() });
        if status.code == 0 {
            status.code = code;
        }
        if status.message.is_empty() {
            status.message = format!("the server answered {}", http_words(code));
        }
        status
    }
}

/// `null` stands for "not there" in the API; serde wants it gone.
fn without_nulls(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(map) = json.as_object_mut() {
        map.retain(|_, value| !value.is_null());
        for value in map.values_mut() {
            *value = without_nulls(value.take());
        }
    }
    json
}

fn first_line(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.starts_with('<') { String::new() } else { display::clip(line, LONGEST) }
}

fn http_words(code: u16) -> String {
    let reason = http::StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
    reason.map_or_else(|| code.to_string(), |reason| format!("{code} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_anything_else_becomes_a_message() {
        let status = Status::read(
            409,
            br#"{"kind":"Status","status":"Failure","message":"m","reason":"Conflict","details":{"name":"web","causes":null},"code":409}"#,
        );
        assert_eq!(
            (status.code, status.reason.as_str(), status.details.name.as_str()),
            (409, "Conflict", "web")
        );
        assert_eq!(Status::read(503, b"<html>oops").message, "the server answered 503 Service Unavailable");
        assert_eq!(Status::read(502, b"\nbad gateway\nx").message, "bad gateway");
    }
}
