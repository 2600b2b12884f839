//! A builder without output: is it busy or unreachable? A connection to a dead machine stays open for hours.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

/// After so much silence the Engine is asked whether it is still there, and again and again.
const QUIET: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// After so many questions without an answer it is gone.
const QUESTIONS: u32 = 3;
/// Then a person is told, too; a builder that has never said a word has not begun, and will not.
const LONG: Duration = Duration::from_secs(300);

/// The silence since a builder's last words.
#[derive(Debug)]
pub(crate) struct Watchdog {
    since: Instant,
    next: Instant,
    unanswered: u32,
    told: bool,
    /// Whether it has said anything yet.
    spoke: bool,
}

/// What a silence means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It works, for so long without a word.
    Busy(Duration),
    /// As [`Liveness::Busy`], and long enough to be told once.
    Long(Duration),
    /// It does not respond; asked again soon.
    Doubtful,
    /// It is gone.
    Gone,
    /// It is there, and has not said a word in so long.
    NotBegun(Duration),
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { since: now, next: now + QUIET, unanswered: 0, told: false, spoke: false }
    }

    /// It takes something, at least.
    pub(crate) fn broken(&mut self) {
        *self = Self { told: self.told, spoke: self.spoke, ..Self::new() };
    }

    /// It said something.
    pub(crate) fn spoke(&mut self) {
        self.broken();
        self.spoke = true;
    }

    /// Ends when it is time to ask.
    pub(crate) async fn lasting(&self) {
        sleep_until(self.next).await;
    }

    /// Asks; `alive` is the answer to "are you there?".
    pub(crate) async fn ask(&mut self, alive: impl Future<Output = bool>) -> Liveness {
        let answered = timeout(ANSWER, alive).await.unwrap_or(false);
        self.judge(Instant::now(), answered)
    }

    fn judge(&mut self, now: Instant, answered: bool) -> Liveness {
        self.unanswered = if answered { 0 } else { self.unanswered + 1 };
        self.next = now + if answered { QUIET } else { ANSWER };
        let length = now - self.since;
        match (self.unanswered, length >= LONG && !self.told) {
            (0, true) if !self.spoke => Liveness::NotBegun(length),
            (0, true) => {
                self.told = true;
                Liveness::Long(length)
            }
            (0, false) => Liveness::Busy(length),
            (QUESTIONS.., _) => Liveness::Gone,
            _ => Liveness::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it means when the Engine is asked after these seconds, and answers or not.
    fn meanings(looks: &[(u64, bool)]) -> Vec<Liveness> {
        let mut silence = Watchdog::new();
        silence.spoke();
        let since = silence.since;
        let judge = |(seconds, answered): &(u64, bool)| {
            silence.judge(since + Duration::from_secs(*seconds), *answered)
        };
        looks.iter().map(judge).collect()
    }

    #[test]
    fn a_busy_builder_is_told_from_one_that_is_gone() {
        let busy = |seconds| Liveness::Busy(Duration::from_secs(seconds));
        assert_eq!(
            meanings(&[(30, true), (70, false), (90, true)]),
            [busy(30), Liveness::Doubtful, busy(90)]
        );
        let gone = meanings(&[(30, false), (50, false), (70, false)]);
        assert_eq!(gone, [Liveness::Doubtful, Liveness::Doubtful, Liveness::Gone]);
    }

    #[test]
    fn a_long_silence_is_told_once() {
        let looks: Vec<_> = (1..30).map(|number| (number * 30, true)).collect();
        let long = |one: &&Liveness| matches!(one, Liveness::Long(_));
        assert_eq!(meanings(&looks).iter().filter(long).count(), 1);
    }

    #[test]
    fn a_builder_that_never_begins_is_given_up_though_it_is_there() {
        let mut silence = Watchdog::new();
        let since = silence.since;
        let judged = [30, 299, 300].map(|seconds| silence.judge(since + Duration::from_secs(seconds), true));
        assert!(
            matches!(judged[..], [Liveness::Busy(_), Liveness::Busy(_), Liveness::NotBegun(_)]),
            "{judged:?}"
        );
    }

    #[tokio::test]
    async fn an_engine_that_answers_is_there() {
        let mut silence = Watchdog::new();
        assert!(matches!(silence.ask(async { true }).await, Liveness::Busy(_)));
        assert_eq!(silence.ask(async { false }).await, Liveness::Doubtful);
        silence.broken();
        assert_eq!(silence.unanswered, 0);
    }
}
