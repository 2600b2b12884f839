//! Where a watch is and what it does next: decided without a request.

use std::time::Duration;

use crate::cluster::transport::backoff;
use crate::cluster::transport::request_error::RequestError;

/// A server that refused a position so often may never know it (it was restored from a backup): list again.
const LIST_AGAIN_AFTER: u32 = 3;
/// What was allowed once may be refused for a moment by a server that just started and does not know the
/// rights yet.
const DENIED_AFTER: u32 = 6;

/// Where a watch is.
#[derive(Debug, Default)]
pub(crate) struct WatchState {
    /// The `resourceVersion` that a watch can resume from; without one it lists.
    position: Option<String>,
    /// How often it stumbled since it last got further.
    stumbles: u32,
    /// Whether it ever got through.
    served: bool,
    /// Whether the server was said to be in trouble.
    troubled: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask again.
    Again {
        /// After so long.
        pause: Duration,
    },
    /// There is nothing more to come.
    End,
}

/// What a fault means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reaction {
    pub(crate) next: Next,
    /// The listener is to know that the server does not respond.
    pub(crate) trouble: bool,
    /// The listener is to know that it may not.
    pub(crate) denied: bool,
}

impl WatchState {
    pub(crate) fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// A change, or a bookmark, came: from here it can be resumed.
    pub(crate) fn moved(&mut self, position: &str) {
        self.position = Some(position.to_owned());
        self.stumbles = 0;
    }

    /// The server answered a list (with its position) or began a watch. Returns whether it was in trouble.
    pub(crate) fn answered(&mut self, position: Option<String>) -> bool {
        if let Some(position) = position {
            self.position = Some(position).filter(|position| !position.is_empty());
            self.stumbles = 0;
        }
        self.served = true;
        std::mem::take(&mut self.troubled)
    }

    /// A watch went on for a while: whatever went wrong before is over.
    pub(crate) fn lasted(&mut self) {
        self.stumbles = 0;
    }

    pub(crate) fn on_error(&mut self, fault: &RequestError) -> Reaction {
        self.stumbles += 1;
        let pause = backoff(self.stumbles - 1);
        match fault {
            RequestError::Interrupted => return END,
            // It would be as long the next time.
            RequestError::TooLong(_) => return DENIED,
            RequestError::Credentials(_) if self.is_denied() => return DENIED,
            RequestError::Status(status) => match status.code {
                410 => return self.list_again(),
                401 | 403 if self.is_denied() => return DENIED,
                // The kind cannot be watched at all.
                405 => return DENIED,
                code => {
                    if code != 429 && self.stumbles >= LIST_AGAIN_AFTER {
                        self.position = None;
                    }
                    let asked = Duration::from_secs(status.details.retry_after_seconds);
                    return self.again(pause.max(asked));
                }
            },
            _ => {}
        }
        self.again(pause)
    }

    fn is_denied(&self) -> bool {
        !self.served || self.stumbles >= DENIED_AFTER
    }

    fn again(&mut self, pause: Duration) -> Reaction {
        self.troubled = true;
        Reaction { next: Next::Again { pause }, trouble: true, denied: false }
    }

    /// The position is too old, which happens to every watch that was away for some minutes.
    fn list_again(&mut self) -> Reaction {
        self.position = None;
        let pause = if self.stumbles > 1 { backoff(self.stumbles) } else { Duration::ZERO };
        Reaction { next: Next::Again { pause }, trouble: false, denied: false }
    }
}

const END: Reaction = Reaction { next: Next::End, trouble: false, denied: false };
const DENIED: Reaction = Reaction { next: Next::End, trouble: false, denied: true };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::transport::status::Status;

    fn refused(code: u16) -> RequestError {
        RequestError::Status(Box::new(Status { code, ..Status::default() }))
    }

    fn watching() -> WatchState {
        let mut course = WatchState::default();
        course.answered(Some("7".into()));
        course
    }

    #[test]
    fn a_broken_connection_resumes_where_it_was() {
        let mut course = watching();
        course.moved("9");
        for _ in 0..50 {
            let stumble = course.on_error(&RequestError::Broken("reset".into()));
            assert!(
                stumble.trouble
                    && matches!(stumble.next, Next::Again { pause } if pause <= Duration::from_secs(5))
            );
        }
        assert_eq!(course.position(), Some("9"));
        assert!(course.answered(None), "back");
        assert!(!course.answered(None), "said once");
    }

    #[test]
    fn a_position_that_is_too_old_is_no_trouble() {
        let mut course = watching();
        let stumble = course.on_error(&refused(410));
        assert_eq!(
            stumble,
            Reaction { next: Next::Again { pause: Duration::ZERO }, trouble: false, denied: false }
        );
        assert_eq!(course.position(), None);
    }

    #[test]
    fn a_position_from_before_a_restored_backup_is_given_up() {
        let mut course = watching();
        course.on_error(&refused(504));
        course.on_error(&refused(504));
        assert_eq!(course.position(), Some("7"));
        course.on_error(&refused(504));
        assert_eq!(course.position(), None);
    }

    #[test]
    fn a_right_that_was_never_there_is_denied_at_once_and_one_that_was_is_asked_for_again() {
        assert!(WatchState::default().on_error(&refused(403)).denied);
        let mut course = watching();
        assert!(course.on_error(&refused(403)).trouble, "a server that just started");
        let ends = (0..DENIED_AFTER).any(|_| course.on_error(&refused(403)).denied);
        assert!(ends);
    }

    #[test]
    fn the_server_decides_when_to_come_back() {
        let mut status = Status { code: 429, ..Status::default() };
        status.details.retry_after_seconds = 9;
        let stumble = watching().on_error(&RequestError::Status(Box::new(status)));
        assert_eq!(stumble.next, Next::Again { pause: Duration::from_secs(9) });
    }
}
