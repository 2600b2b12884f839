//! Saying that the API server does not respond, and that it does again: not for every hiccup, and not once a
//! second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{self, WatchSubject};
use crate::error::Error;
use crate::text::display;

/// Trouble that is over sooner is nobody's business.
const WORTH_SAYING: Duration = Duration::from_secs(10);
/// How often it is said again.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Whether the API server answers.
#[derive(Debug, Default)]
pub(crate) struct Connectivity {
    with: BTreeSet<Arc<WatchSubject>>,
    since: Option<Instant>,
    last: Option<Error>,
    said: Option<Instant>,
}

impl Connectivity {
    /// A watch got no answer.
    pub(crate) fn begins(&mut self, with: Arc<WatchSubject>, error: Error, now: Instant) {
        self.with.insert(with);
        self.since.get_or_insert(now);
        self.last = Some(error);
    }

    /// A watch goes on. Returns what to say about it.
    pub(crate) fn ends(&mut self, with: &WatchSubject, now: Instant) -> Option<String> {
        self.with.remove(with);
        if !self.with.is_empty() {
            return None;
        }
        let over = std::mem::take(self);
        let (since, _) = over.since.zip(over.said)?;
        Some(format!("the API server responds again, after {}", display::whole(now - since)))
    }

    /// When there is something to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        let first = self.since? + WORTH_SAYING;
        Some(self.said.map_or(first, |said| said + SAID_AGAIN))
    }

    /// What to say now, if it is due.
    pub(crate) fn say(&mut self, now: Instant) -> Option<String> {
        if self.due()? > now {
            return None;
        }
        self.said = Some(now);
        self.sentence(now)
    }

    /// What the watch that got no answer last was told.
    pub(crate) fn why(&self) -> Option<&str> {
        self.since.and(self.last.as_ref()).map(Error::message)
    }

    /// How it is, if it is bad.
    pub(crate) fn sentence(&self, now: Instant) -> Option<String> {
        let (since, error) = self.since.zip(self.last.as_ref())?;
        let age = display::whole(now - since);
        let words = error.message();
        Some(if cluster::is_unreachable(error) {
            format!("the API server has not responded for {age}; continuing as soon as it does ({words})")
        } else {
            format!("the API server has refused requests for {age}; retrying ({words})")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ErrorClass;
    use crate::error::Kind;

    fn subject(kind: &str) -> Arc<WatchSubject> {
        Arc::new(WatchSubject {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: None,
            selector: None,
        })
    }

    #[test]
    fn it_is_said_after_a_while_and_when_it_is_over() {
        let (start, mut trouble) = (Instant::now(), Connectivity::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let error = || {
            let words = "the API server x refuses the connection";
            Error::new(Kind::Unreachable, words).with_source(ErrorClass::Unreachable)
        };
        trouble.begins(subject("Pod"), error(), at(0));
        trouble.begins(subject("Event"), error(), at(1));
        assert_eq!(trouble.say(at(9)), None);
        let said = trouble.say(at(12)).expect("it is due");
        assert!(
            said.starts_with("the API server has not responded for 12 s; continuing as soon as it does"),
            "{said}"
        );
        assert_eq!(trouble.say(at(13)), None, "once");
        assert_eq!(trouble.ends(&subject("Pod"), at(20)), None, "one is still in trouble");
        let over = trouble.ends(&subject("Event"), at(21));
        assert_eq!(over.as_deref(), Some("the API server responds again, after 21 s"));
        assert_eq!(trouble.due(), None);
    }

    #[test]
    fn a_hiccup_is_not_mentioned() {
        let mut trouble = Connectivity::default();
        trouble.begins(subject("Pod"), Error::new(Kind::Unreachable, "reset"), Instant::now());
        assert_eq!(trouble.ends(&subject("Pod"), Instant::now()), None);
    }
}
