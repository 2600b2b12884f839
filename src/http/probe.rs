//! Asking an HTTP address how it is.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Kind, Result, innermost};

/// How long one answer may take to come.
const LIMIT: Duration = Duration::from_secs(5);
/// More bytes of an answer are not read.
const READ: usize = 64 << 10;

/// Who asks.
pub(crate) struct HttpProbe {
    client: reqwest::Client,
    headers: HeaderMap,
}

/// What an address answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    /// Whether it is 2xx.
    pub is_good: bool,
    /// `answered 503 Service Unavailable`, `refused the connection`.
    pub sentence: String,
    /// The beginning of its text.
    pub text: String,
}

impl HttpProbe {
    /// Every request has these headers. Where an address leads elsewhere (3xx) nobody goes: that is its answer.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what cannot be a header.
    pub(crate) fn new(headers: &[(String, String)]) -> Result<Self> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let pair =
                HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
            let Some((name, value)) = pair else {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("the header `{name}` cannot have this name or value"),
                ));
            };
            map.insert(name, value);
        }
        Self::with(reqwest::Client::builder(), map)
    }

    /// Asks an address of this machine, past any proxy.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] where no client can be made.
    pub(crate) fn direct() -> Result<Self> {
        Self::with(reqwest::Client::builder().no_proxy(), HeaderMap::new())
    }

    fn with(builder: reqwest::ClientBuilder, headers: HeaderMap) -> Result<Self> {
        let client = builder
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0) // What answers may have been replaced since the answer before.
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(Kind::Unreachable, format!("TLS cannot be set up: {error}")))?;
        Ok(Self { client, headers })
    }

    /// Asks once.
    pub(crate) async fn ask(&self, address: &str) -> ProbeResult {
        match self.client.get(address).headers(self.headers.clone()).send().await {
            Ok(response) => {
                let status = response.status();
                let to = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
                let to = to.map(|to| format!(", and leads to {to}")).unwrap_or_default();
                let text = beginning(response).await;
                ProbeResult { is_good: status.is_success(), sentence: format!("answered {status}{to}"), text }
            }
            Err(error) => ProbeResult { is_good: false, sentence: trouble(&error), text: String::new() },
        }
    }
}

/// The first letters of an answer, however much comes.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut read = Vec::new();
    while read.len() < READ
        && let Ok(Some(piece)) = response.chunk().await
    {
        read.extend_from_slice(&piece[..piece.len().min(READ - read.len())]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Why there is no answer: the innermost reason says most.
fn trouble(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("did not respond within {} s", LIMIT.as_secs());
    }
    format!("cannot be asked: {}", innermost(error))
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn probe(headers: &[(String, String)]) -> HttpProbe {
        let _ = rustls::crypto::ring::default_provider().install_default();
        HttpProbe::new(headers).unwrap()
    }

    #[tokio::test]
    async fn of_a_long_answer_the_beginning_is_read() {
        let (host, pouring) = crate::http::fountain("200 OK\r\nContent-Type: text/plain");
        let answer = probe(&[]).ask(&format!("http://{host}/")).await;
        assert!(answer.is_good && answer.text.len() <= READ, "{answer:?}");
        let poured = tokio::task::spawn_blocking(move || pouring.join().unwrap()).await.unwrap();
        assert!(poured < 16 << 20, "{poured}");
    }

    #[tokio::test]
    async fn headers_go_to_the_address_and_nowhere_else() {
        let (server, login) = (MockServer::start().await, MockServer::start().await);
        let away = ResponseTemplate::new(302).insert_header("location", format!("{}/login", login.uri()));
        Mock::given(wiremock::matchers::header("x-key", "s3cret")).respond_with(away).mount(&server).await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&login).await;
        let probe = probe(&[("X-Key".to_owned(), "s3cret".to_owned())]);
        let answer = probe.ask(&server.uri()).await;
        assert!(!answer.is_good && answer.sentence.contains("and leads to"), "{answer:?}");
        assert_eq!(login.received_requests().await.unwrap().len(), 0);
    }
}
