//! Images that cannot be pulled: because of the name, the credentials, or only the network.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::Cause;
use crate::rollout::pod::container::Container;
use crate::rollout::snapshot::event::Event;

/// What a registry's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such image: the next attempt will not find it either.
    NotFound,
    /// The registry wants other credentials.
    Denied,
    /// Anything else: the next attempt may succeed.
    Other,
}

impl Refusal {
    pub(crate) const ALL: [Self; 3] = [Self::NotFound, Self::Denied, Self::Other];

    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::NotFound => Cause::ImageNotFound,
            Self::Denied => Cause::ImagePullDenied,
            Self::Other => Cause::ImagePullFailed,
        }
    }
}

/// Whether a container waits because its image was not pulled.
pub(crate) fn is_pull_reason(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed"
    )
}

/// The kubelet's last message about the pull: from the status, else from an event. In older kubelets,
/// `ImagePullBackOff` has no reason in its message.
pub(crate) fn explanation<'a>(container: &Container<'a>, events: &[Event<'a>]) -> Option<&'a str> {
    let status = container.waiting_message();
    if let Some((_, said)) = status.split_once("ErrImagePull: ") {
        return Some(said);
    }
    if !status.is_empty() && container.waits() != "ImagePullBackOff" {
        return Some(status);
    }
    let image = container.image();
    let of_image = |event: &&Event<'a>| {
        event.reason == "Failed"
            && event.is_about(container.name)
            && event.message.contains("Failed to pull image")
            && event.message.contains(image)
    };
    events.iter().rev().find(of_image).map(|event| event.message)
}

/// Whether the kubelet waits after a failed pull, or has failed more than once. Its event `Back-off pulling image`
/// proves neither: it appears in the same second as the first failure.
pub(crate) fn was_tried_again(container: &Container, events: &[Event]) -> bool {
    let failed = |event: &Event| {
        event.reason == "Failed"
            && event.is_about(container.name)
            && event.message.contains("Failed to pull image")
            && event.message.contains(container.image())
    };
    let failures: i64 = events.iter().filter(|event| failed(event)).map(|event| event.count).sum();
    container.waits() == "ImagePullBackOff" || failures > 1
}

/// What the message means. The image's own name is removed first: it may contain any word.
pub(crate) fn refusal(explanation: &str, image: &str) -> Refusal {
    static LINK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"https?://[^\s"]+"#).expect("the pattern is a constant"));
    static NETWORK: LazyLock<Regex> = LazyLock::new(|| {
        let words = "dial tcp|no such host|i/o timeout|connection re(fused|set)|tls: |x509: |handshake|\
            too ?many ?requests|rate limit|server misbehaving|unexpected eof|deadline exceeded|\\b(429|5[0-9]{2})\\b";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    static DENIED: LazyLock<Regex> = LazyLock::new(|| {
        let words = "unauthorized|denied|no basic auth|authentication required|authorization failed|forbidden|\
            insufficient_scope|\\b(401|403)\\b";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    static NOT_FOUND: LazyLock<Regex> = LazyLock::new(|| {
        let words = "not ?found|manifest[ _]unknown|name[ _]unknown|not known to registry|does not exist|not present with pull policy|\
            no match for platform|\\b404\\b";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    let words = without_name(explanation, image);
    let words = LINK.replace_all(&words, "");
    if NETWORK.is_match(&words) {
        Refusal::Other
    } else if DENIED.is_match(&words) {
        Refusal::Denied
    } else if NOT_FOUND.is_match(&words) {
        Refusal::NotFound
    } else {
        Refusal::Other
    }
}

/// `image registry/x/web:nope of container web does not exist in its registry`.
pub(super) fn sentence(refusal: Refusal, container: &Container, explanation: Option<&str>) -> String {
    let what = format!("image {} of {}", container.image(), container.title());
    match refusal {
        Refusal::NotFound if container.waits() == "ErrImageNeverPull" => {
            format!("{what} is not on the node, and imagePullPolicy Never forbids pulling it")
        }
        Refusal::NotFound if explanation.is_some_and(|text| text.contains("no match for platform")) => {
            format!("{what} does not exist for the platform of the node")
        }
        Refusal::NotFound => format!("{what} does not exist in its registry"),
        Refusal::Denied => format!("{what} may not be pulled: {}", reason(explanation, container)),
        Refusal::Other => format!("{what} cannot be pulled: {}", reason(explanation, container)),
    }
}

/// The end of the kubelet's message, which wraps the registry's answer several times.
fn reason(explanation: Option<&str>, container: &Container) -> String {
    let Some(explanation) = explanation else { return "the kubelet does not say why".to_owned() };
    let (repository, _) = name_and_tag(container.image());
    let after = explanation.rfind(repository).map_or(explanation, |at| &explanation[at + repository.len()..]);
    let after = after.split_once(": ").map_or(after, |(_, rest)| rest).trim();
    if after.is_empty() { explanation.trim().to_owned() } else { after.to_owned() }
}

fn without_name(text: &str, image: &str) -> String {
    if image.is_empty() {
        return text.to_owned();
    }
    let (repository, tag) = name_and_tag(image);
    let path = repository.split_once('/').map_or(repository, |(_, path)| path);
    let text = [image, repository, path].iter().fold(text.to_owned(), |text, name| without_word(&text, name));
    if tag.is_empty() {
        return text;
    }
    // CRI-O names the tag alone: `reading manifest v500 in registry.example.com/shop/web`.
    text.replace(&format!(":{tag}:"), ":").replace(&format!("manifest {tag} in"), "manifest in")
}

/// Removes a word wherever it stands alone: an image named `e` must not match within `denied`.
fn without_word(text: &str, word: &str) -> String {
    let is_edge = |letter: Option<char>| !letter.is_some_and(char::is_alphanumeric);
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word).filter(|_| !word.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        kept.push_str(before);
        if !is_edge(before.chars().next_back().or(kept.chars().next_back())) || !is_edge(after.chars().next())
        {
            kept.push_str(word);
        }
        rest = after;
    }
    kept + rest
}

/// `registry:5000/x/web` and `nope` of `registry:5000/x/web:nope@sha256:…`.
fn name_and_tag(image: &str) -> (&str, &str) {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_answer_means_one_of_three_things() {
        let image = "registry.example.com/denied/not-found:401";
        let pull = |answer: &str| {
            refusal(
                &format!(
                    "Failed to pull image \"{image}\": failed to resolve reference \"{image}\": {answer}"
                ),
                image,
            )
        };
        assert_eq!(pull("registry.example.com/denied/not-found:401: not found"), Refusal::NotFound);
        assert_eq!(pull("manifest unknown"), Refusal::NotFound);
        assert_eq!(
            pull(
                "pulling from host registry.example.com failed with status code [manifests 401]: 401 Unauthorized"
            ),
            Refusal::Denied
        );
        assert_eq!(
            pull(
                "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
            ),
            Refusal::Denied
        );
        assert_eq!(
            pull(
                "failed to do request: Head \"https://registry.example.com/v2/denied/not-found/manifests/401\": dial tcp: lookup registry.example.com: no such host"
            ),
            Refusal::Other
        );
        assert_eq!(
            pull("unexpected status code 429 Too Many Requests: toomanyrequests: denied"),
            Refusal::Other
        );
        assert_eq!(pull("503 Service Unavailable"), Refusal::Other);
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(name_and_tag("127.0.0.1:5000/web"), ("127.0.0.1:5000/web", ""));
        assert_eq!(name_and_tag("127.0.0.1:5000/web:1@sha256:ab"), ("127.0.0.1:5000/web", "1"));
    }
}
