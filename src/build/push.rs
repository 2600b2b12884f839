//! Layers to the registry, by the Engine; tags by one small request each.

use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::engine::fault::{self, Class};
use crate::error::{Error, Kind, Result};
use crate::http::retry;
use crate::model::{Credentials, Digest, Reference};
use crate::registry::Registry;
use crate::report::StepReport;
use crate::session::Session;

/// Tries of one push: the Engine itself tries a 5xx some times more, and 429 never.
const TRIES: u32 = 5;
/// The first pause between two tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A token that was good when the push began may have run out after this; then new credentials are worth a try.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// Pushes an image of the Engine under its tag and gives the digest that the registry has for it then.
///
/// # Errors
/// [`Kind::Push`], [`Kind::Denied`]; [`Kind::Unreachable`] where the Engine is gone.
pub(super) async fn push(
    session: &Session,
    engine: &Engine,
    registry: &Registry,
    step: &StepReport,
    image: &Reference,
) -> Result<Digest> {
    let mut tries = 0;
    let pushed = loop {
        tries += 1;
        let began = Instant::now();
        let credentials = session.unless_cancelled(registry.credentials(&image.registry)).await?;
        let text = match once(session, engine, credentials, step, image).await? {
            Ok(pushed) => break pushed,
            Err(text) => text,
        };
        let class = fault::classify(&text);
        let stale = class == Class::Denied && began.elapsed() > TOKEN_LIFE;
        if tries == TRIES || !(class == Class::Passing || stale) {
            return Err(refused(image, class, &text));
        }
        step.progress(format!("pushing again after: {text}"));
        session.pause(retry::backoff(tries - 1, FIRST_PAUSE, LONGEST_PAUSE)).await?;
    };
    session.unless_cancelled(verified(registry, image, pushed)).await
}

/// Registries and Engines have lost tags after a push that looked good, and somebody else may have pushed under the same
/// tag since: what counts is what the Engine pushed, and that it can be asked for.
async fn verified(registry: &Registry, image: &Reference, pushed: Option<Digest>) -> Result<Digest> {
    let there = registry.digest(image).await?;
    let Some(pushed) = pushed.filter(|pushed| there.as_ref() != Some(pushed)) else {
        return there.ok_or_else(|| lost(image));
    };
    let exact = Reference { digest: Some(pushed.clone()), tag: None, ..image.clone() };
    if registry.digest(&exact).await?.is_none() {
        return Err(lost(&exact));
    }
    if let Some(tag) = &image.tag {
        registry.tag(&exact, tag).await?;
    }
    Ok(pushed)
}

fn lost(image: &Reference) -> Error {
    Error::new(Kind::Push, format!("the push of {image} succeeded, but the registry does not have it"))
        .with_hint("run the command again; if that does not help, check the registry's log")
}

/// One try, as [`Engine::push`].
async fn once(
    session: &Session,
    engine: &Engine,
    known: Option<Credentials>,
    step: &StepReport,
    image: &Reference,
) -> Result<Result<Option<Digest>, String>> {
    if let Some(known) = &known {
        session.reporter.hide(known.secret());
    }
    let progress = |line| step.progress(line);
    session.unless_cancelled(engine.push(image, known.as_ref(), &progress)).await
}

fn refused(image: &Reference, class: Class, text: &str) -> Error {
    let host = &image.registry;
    let message = format!("the image could not be pushed to {}: {}", image.name(), text.trim());
    if class == Class::Denied {
        return Error::new(Kind::Denied, message)
            .with_hint(format!("`docker login {host}` with a user who may push there, or set CI_REGISTRY_USER and CI_REGISTRY_PASSWORD"));
    }
    let hint = if let Some(hint) = fault::quota(text) {
        hint.to_owned()
    } else if text.contains("server gave HTTP response to HTTPS client") {
        format!("the Engine expects TLS from {host}: add it to `insecure-registries` of its daemon.json")
    } else if text.contains("x509") {
        format!(
            "the Engine does not trust the certificate of {host}: put its CA into /etc/docker/certs.d/{host}/ca.crt"
        )
    } else {
        "the Engine does the push: check that it can reach the registry, then run the command again"
            .to_owned()
    };
    Error::new(Kind::Push, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_push_says_what_to_do() {
        let image: Reference = "r.test:5000/shop/web:t".parse().unwrap();
        let denied = refused(&image, Class::Denied, "denied: requested access to the resource is denied");
        assert_eq!(denied.kind(), Kind::Denied);
        assert!(denied.hint().is_some_and(|hint| hint.contains("docker login r.test:5000")), "{denied}");
        let plain = refused(&image, Class::Other, "http: server gave HTTP response to HTTPS client");
        assert_eq!(plain.kind(), Kind::Push);
        assert!(plain.hint().is_some_and(|hint| hint.contains("insecure-registries")), "{plain}");
    }
}
