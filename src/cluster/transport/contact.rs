//! Whether the API server answers, and how long it is waited for once the time for the work is over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request that waits for longer than this while nothing else comes is not answered. While there is a lock to renew,
/// something is asked every 5 s.
const SILENT: Duration = Duration::from_secs(5);
/// How long a request may take after the end, of a server that answers: admission webhooks may need some of it.
const LATE: Duration = Duration::from_secs(10);
/// The same, of a server that does not: it may be back.
const LATE_AND_SILENT: Duration = Duration::from_secs(2);

/// What is known of the way to the API server. Shared by all that use it.
pub(crate) struct Contact(Mutex<State>);

struct State {
    /// When something came last.
    heard: Instant,
    /// When the first request was sent that nothing has come since.
    unanswered: Option<Instant>,
    /// When the work ends.
    end: Option<Instant>,
}

impl Default for Contact {
    fn default() -> Self {
        Self(Mutex::new(State { heard: Instant::now(), unanswered: None, end: None }))
    }
}

impl Contact {
    /// A request is sent.
    pub(crate) fn asked(&self, now: Instant) {
        self.state().unanswered.get_or_insert(now);
    }

    /// Something came from the server itself.
    pub(crate) fn heard(&self, now: Instant) {
        let mut state = self.state();
        state.heard = now;
        state.unanswered = None;
    }

    /// How long ago something came.
    pub(crate) fn heard_ago(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.state().heard)
    }

    /// As [`Contact::heard_ago`], where what was asked is not answered.
    pub(crate) fn silence(&self, now: Instant) -> Option<Duration> {
        let unanswered = self.state().unanswered?;
        (now.saturating_duration_since(unanswered) >= SILENT).then(|| self.heard_ago(now))
    }

    /// When the work ends for which requests are made.
    pub(crate) fn end_at(&self, end: Option<Instant>) {
        self.state().end = end;
    }

    /// Until when a request that is sent now waits for its answer, which by itself would wait for so long.
    pub(crate) fn deadline(&self, now: Instant, patience: Duration) -> Instant {
        let own = now + patience;
        let late = if self.silence(now).is_some() { LATE_AND_SILENT } else { LATE };
        let end = self.state().end;
        end.map_or(own, |end| own.min(end.max(now + late)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_silent_when_what_was_asked_stays_without_an_answer() {
        let (contact, start) = (Contact::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        contact.heard(start);
        assert_eq!(contact.silence(at(60)), None, "nobody asked");
        contact.asked(at(60));
        assert_eq!(contact.silence(at(64)), None);
        contact.asked(at(64));
        assert_eq!(contact.silence(at(65)), Some(Duration::from_secs(65)));
        contact.heard(at(66));
        assert_eq!(contact.silence(at(80)), None);
        assert_eq!(contact.heard_ago(at(80)), Duration::from_secs(14));
    }

    #[test]
    fn after_the_end_nobody_waits_for_long() {
        let (contact, start) = (Contact::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let minute = Duration::from_secs(60);
        assert_eq!(contact.deadline(start, minute), at(60));
        contact.end_at(Some(at(90)));
        assert_eq!(contact.deadline(start, minute), at(60));
        assert_eq!(contact.deadline(at(50), minute), at(90));
        assert_eq!(contact.deadline(at(95), minute), at(105), "it answers, and may take its time");
        contact.asked(at(85));
        assert_eq!(contact.deadline(at(95), minute), at(97), "it does not respond");
        contact.end_at(None);
        assert_eq!(contact.deadline(at(95), minute), at(155));
    }
}
