//! Asking an HTTP address how it is.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Kind, Result};

/// How long one answer may take to come.
const LIMIT: Duration = Duration::from_secs(5);
/// More of an answer's text is not shown.
const SHOWN: usize = 500;

/// Who asks.
pub struct Asker {
    client: reqwest::Client,
    headers: HeaderMap,
}

/// What an address answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is 2xx.
    pub is_good: bool,
    /// `answered 503 Service Unavailable`, `refused the connection`.
    pub sentence: String,
    /// The first lines of its text.
    pub lines: Vec<String>,
}

impl Asker {
    /// Every request has these headers. Where an address leads elsewhere (3xx) nobody goes: that is its answer.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what cannot be a header.
    pub fn new(headers: &[(String, String)]) -> Result<Self> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let pair =
                HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
            let Some((name, value)) = pair else {
                return Err(Error::new(Kind::Invalid, format!("`{name}: {value}` cannot be a header")));
            };
            map.insert(name, value);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0) // What answers may have been replaced since the answer before.
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(Kind::Unreachable, format!("TLS cannot be set up: {error}")))?;
        Ok(Self { client, headers: map })
    }

    /// Asks once.
    pub async fn ask(&self, address: &str) -> Answer {
        match self.client.get(address).headers(self.headers.clone()).send().await {
            Ok(response) => {
                let status = response.status();
                let to = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
                let to = to.map(|to| format!(", and leads to {to}")).unwrap_or_default();
                let text = response.text().await.unwrap_or_default();
                let text: String = text.chars().take(SHOWN).collect();
                Answer {
                    is_good: status.is_success(),
                    sentence: format!("answered {status}{to}"),
                    lines: text
                        .lines()
                        .map(str::trim_end)
                        .filter(|line| !line.is_empty())
                        .map(str::to_owned)
                        .collect(),
                }
            }
            Err(error) => Answer { is_good: false, sentence: trouble(&error), lines: Vec::new() },
        }
    }
}

/// Why there is no answer: the innermost reason says most.
fn trouble(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("did not answer within {} s", LIMIT.as_secs());
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    format!("cannot be asked: {inner}")
}
