//! Whether a lease may be taken: decided from what was seen of it and for how long, without a request.
//!
//! A holder is dead when its renewals stopped for as long as the lease lasts, by the monotonic clock of
//! whoever looks on: wall clocks are never compared for that. The API server's clock only says whether
//! looking on is worth it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::lease::process::Process;
use crate::model::{is_commit, labels};

/// How long a lease lasts without being renewed.
pub(crate) const DURATION: Duration = Duration::from_secs(15);

/// A look that took longer than this says nothing about the holder, who could not reach the server either.
const SLOW: Duration = Duration::from_secs(3);

/// What a lease says.
#[derive(Debug, Clone)]
pub(crate) struct LeaseState {
    /// Who holds it, in words; empty when it was given back.
    pub(crate) holder: String,
    /// Which run holds it.
    pub(crate) identity: String,
    /// Since when.
    pub(crate) since: Option<Timestamp>,
    /// When it was renewed last, by the API server's clock.
    renewed: Option<Timestamp>,
    /// How long it lasts from there.
    duration: Duration,
    /// Set where a person holds it, and no run.
    pub(crate) hold: Option<ManualLock>,
    /// What the run that holds it does.
    pub(crate) task: LeaseTask,
    /// Which process holds it.
    pub(crate) process: Option<Process>,
}

/// What a run does that holds a lease; empty where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseTask {
    /// `release`, `rollback`, `remove`.
    pub command: String,
    /// The commit that it releases, where there is one.
    pub commit: Option<String>,
    /// For whom: GitLab's user, or `ann@laptop`.
    pub by: String,
}

/// What the run of this identity says of itself. A version that does not know the annotation leaves it as it is when it takes
/// the lease: then it is of another identity, and says nothing.
fn read_run(notes: &Value, identity: &str) -> (LeaseTask, Option<Process>) {
    let run: Value =
        notes[labels::RUN].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if run["lock"] != identity {
        return (LeaseTask::default(), None);
    }
    let text = |key: &str| run[key].as_str().map(ToOwned::to_owned);
    let task = LeaseTask {
        command: text("command").unwrap_or_default(),
        commit: text("commit").filter(|commit| is_commit(commit)),
        by: text("by").unwrap_or_default(),
    };
    (task, text("process").and_then(|text| Process::read(&text)))
}

/// What [`read_run`] reads.
pub(crate) fn write_run(identity: &str, task: &LeaseTask, process: Option<&Process>) -> String {
    let process = process.map(ToString::to_string);
    json!({"lock": identity, "process": process, "command": task.command, "commit": task.commit, "by": task.by})
        .to_string()
}

/// Takes off what the holder before said.
pub(crate) fn without_holder(lease: &mut Value) {
    if let Some(annotations) = lease["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|key, _| ![labels::MESSAGE, labels::UNTIL, labels::RUN].contains(&key.as_str()));
    }
}

/// What a person says who locks a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualLock {
    /// Why.
    pub message: String,
    /// Until when, by the API server's clock; `None` means until it is unlocked.
    pub until: Option<Timestamp>,
}

impl LeaseState {
    pub(crate) fn read(lease: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let spec = &lease["spec"];
        let notes = &lease["metadata"]["annotations"];
        let hold = notes[labels::MESSAGE]
            .as_str()
            .map(|message| ManualLock { message: message.to_owned(), until: time(&notes[labels::UNTIL]) });
        let identity = text(&notes[labels::LOCK]);
        let (task, process) = read_run(notes, &identity);
        Self {
            process: process.filter(|_| hold.is_none()),
            task,
            hold,
            holder: text(&spec["holderIdentity"]),
            identity,
            since: time(&spec["acquireTime"]),
            renewed: time(&spec["renewTime"]),
            duration: spec["leaseDurationSeconds"].as_u64().map_or(DURATION, Duration::from_secs),
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.holder.is_empty()
    }

    /// How old the last renewal is.
    pub(crate) fn age(&self, now: Timestamp) -> SignedDuration {
        self.renewed.map_or(SignedDuration::MAX, |renewed| now.duration_since(renewed))
    }

    /// Whether the holder seems to be gone: half of the lease, which is more than the time between two
    /// renewals, went by without one. Only for words.
    pub(crate) fn seems_dead(&self, now: Timestamp) -> bool {
        self.hold.is_none() && self.age(now) > signed(self.duration) / 2
    }

    /// Whether the lease has run out by the API server's clock: good enough to be shown, and for what a person
    /// holds, whose end was said by the same clock; not to be acted on where a run holds it.
    pub(crate) fn has_run_out(&self, now: Timestamp) -> bool {
        match &self.hold {
            Some(hold) => hold.until.is_some_and(|until| until <= now),
            None => self.age(now) > signed(self.duration),
        }
    }

    /// Whether the process that holds it ran on this machine and has ended.
    pub(crate) fn has_died(&self) -> bool {
        self.process.as_ref().is_some_and(Process::has_ended)
    }

    /// What changes when the holder is alive.
    fn pulse(&self) -> (String, Option<Timestamp>) {
        (self.identity.clone() + "/" + &self.holder, self.renewed)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// What to do with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseStep {
    /// Nobody alive holds it.
    Take,
    /// Look again a little later.
    Wait,
    /// The holder is alive, and the patience is used up.
    GiveUp,
}

/// One look at a lease.
pub(crate) struct Observation<'a> {
    pub(crate) state: &'a LeaseState,
    /// When the request was sent, and when its answer was there.
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
    /// The API server's clock then.
    pub(crate) server: Timestamp,
    /// Whether the holder is known to be dead.
    pub(crate) died: bool,
}

/// How long to wait for another holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockWait {
    /// So long. Zero means only as long as it takes to see whether the holder lives, 15 s at the most.
    pub limit: Duration,
    /// Whether somebody asked for it: a default does not wait for a person, who may come back tomorrow.
    pub asked: bool,
}

/// What one waiter has seen of a lease so far.
pub(crate) struct LeaseWaiter {
    patience: LockWait,
    began: Instant,
    /// The last pulse, and since when it has not changed.
    last: Option<((String, Option<Timestamp>), Instant)>,
    /// Whether the pulse changed before our eyes.
    alive: bool,
}

impl LeaseWaiter {
    pub(crate) fn new(patience: LockWait, now: Instant) -> Self {
        Self { patience, began: now, last: None, alive: false }
    }

    pub(crate) fn observe(&mut self, observe: &Observation<'_>) -> LeaseStep {
        if observe.state.is_free() {
            return LeaseStep::Take;
        }
        if let Some(hold) = &observe.state.hold {
            return self.observe_person(observe, hold);
        }
        if observe.died || self.still_for(observe) >= observe.state.duration {
            return LeaseStep::Take;
        }
        if self.rest(observe) > Duration::ZERO || self.is_worth_waiting(observe) {
            LeaseStep::Wait
        } else {
            LeaseStep::GiveUp
        }
    }

    /// A person's lock ends when they said, or when they give it back.
    fn observe_person(&self, observe: &Observation<'_>, hold: &ManualLock) -> LeaseStep {
        if observe.state.has_run_out(observe.server) {
            return LeaseStep::Take;
        }
        let rest = self.rest(observe);
        let ends_in_time =
            hold.until.is_some_and(|until| until.duration_since(observe.server) <= signed(rest));
        if rest > Duration::ZERO && (self.patience.asked || ends_in_time) {
            LeaseStep::Wait
        } else {
            LeaseStep::GiveUp
        }
    }

    /// What is left of the patience.
    fn rest(&self, observe: &Observation<'_>) -> Duration {
        self.patience.limit.saturating_sub(observe.answered.duration_since(self.began))
    }

    /// Whether the holder lives shows in one lease's time at the most, and that much is waited whatever the
    /// patience: what a killed run left must not turn the next one away.
    fn is_worth_waiting(&self, observe: &Observation<'_>) -> bool {
        !self.alive && observe.state.duration <= DURATION
    }

    /// How long the lease certainly has not been renewed.
    fn still_for(&mut self, observe: &Observation<'_>) -> Duration {
        let pulse = observe.state.pulse();
        let slow = observe.answered.duration_since(observe.asked) > SLOW;
        match &self.last {
            Some((last, since)) if *last == pulse && !slow => observe.asked.saturating_duration_since(*since),
            last => {
                self.alive |= last.as_ref().is_some_and(|(last, _)| *last != pulse);
                self.last = Some((pulse, observe.answered));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENEWED: &str = "2026-11-23T09:05:00.000000Z";

    fn state(holder: &str, renewed: &str) -> LeaseState {
        LeaseState::read(&json!({
            "metadata": {"annotations": {labels::LOCK: "a1"}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
        }))
    }

    /// Looks at second `at` of the waiter's clock, while the server's says `server` seconds after 09:05:00.
    fn observe(waiter: &mut LeaseWaiter, state: &LeaseState, at: u64, server: i64) -> LeaseStep {
        let answered = waiter.began + Duration::from_secs(at);
        let server = RENEWED.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(server);
        waiter.observe(&Observation { state, asked: answered, answered, server, died: false })
    }

    fn waiter(patience: u64) -> LeaseWaiter {
        LeaseWaiter::new(LockWait { limit: Duration::from_secs(patience), asked: false }, Instant::now())
    }

    fn locked_by(person: &str, until: Option<&str>) -> LeaseState {
        let mut annotations = json!({labels::LOCK: "a1", labels::MESSAGE: "audit"});
        if let Some(until) = until {
            annotations[labels::UNTIL] = json!(until);
        }
        LeaseState::read(
            &json!({"metadata": {"annotations": annotations}, "spec": {"holderIdentity": person, "renewTime": RENEWED}}),
        )
    }

    #[test]
    fn a_persons_lock_does_not_die_and_a_default_does_not_wait_for_it() {
        assert_eq!(observe(&mut waiter(0), &locked_by("ann", None), 0, 3600), LeaseStep::GiveUp);
        assert_eq!(observe(&mut waiter(600), &locked_by("ann", None), 0, 3600), LeaseStep::GiveUp);
        let mut asked =
            LeaseWaiter::new(LockWait { limit: Duration::from_secs(60), asked: true }, Instant::now());
        assert_eq!(observe(&mut asked, &locked_by("ann", None), 0, 0), LeaseStep::Wait);
        assert_eq!(
            observe(&mut asked, &locked_by("ann", None), 59, 59),
            LeaseStep::Wait,
            "longer than a lease"
        );
        assert_eq!(observe(&mut asked, &locked_by("ann", None), 60, 60), LeaseStep::GiveUp);
    }

    #[test]
    fn a_persons_lock_ends_when_it_was_said_to() {
        let lock = locked_by("ann", Some("2026-11-23T09:15:00Z"));
        assert_eq!(observe(&mut waiter(0), &lock, 0, 599), LeaseStep::GiveUp);
        assert_eq!(observe(&mut waiter(0), &lock, 0, 600), LeaseStep::Take);
        assert_eq!(observe(&mut waiter(60), &lock, 0, 560), LeaseStep::Wait, "it ends within the patience");
        assert_eq!(observe(&mut waiter(60), &lock, 0, 500), LeaseStep::GiveUp);
    }

    #[test]
    fn a_lease_given_back_is_taken_at_once() {
        assert_eq!(observe(&mut waiter(0), &state("", RENEWED), 0, 1), LeaseStep::Take);
        assert_eq!(
            observe(&mut waiter(0), &LeaseState::read(&json!({"metadata": {}})), 0, 1),
            LeaseStep::Take
        );
    }

    #[test]
    fn a_living_holder_is_not_waited_for_without_patience() {
        let mut waiter = waiter(0);
        assert_eq!(
            observe(&mut waiter, &state("ann", RENEWED), 0, 4),
            LeaseStep::Wait,
            "it may have died just now"
        );
        assert_eq!(observe(&mut waiter, &state("ann", "2026-11-23T09:05:05Z"), 1, 5), LeaseStep::GiveUp);
    }

    #[test]
    fn a_dead_holder_is_recognised_without_patience_after_watching_one_lease() {
        let mut waiter = waiter(0);
        let dead = state("ann", RENEWED);
        assert_eq!(
            observe(&mut waiter, &dead, 0, 3600),
            LeaseStep::Wait,
            "an old renewal alone proves nothing"
        );
        assert_eq!(observe(&mut waiter, &dead, 14, 3614), LeaseStep::Wait);
        assert_eq!(observe(&mut waiter, &dead, 15, 3615), LeaseStep::Take);
    }

    #[test]
    fn a_holder_that_is_known_to_be_dead_is_not_waited_for_but_a_person_has_no_process() {
        let dead = |state: &LeaseState| {
            let now = Instant::now();
            let server = RENEWED.parse::<Timestamp>().expect("a time");
            waiter(0).observe(&Observation { state, asked: now, answered: now, server, died: true })
        };
        assert_eq!(dead(&state("ann", RENEWED)), LeaseStep::Take);
        assert_eq!(dead(&locked_by("ann", None)), LeaseStep::GiveUp);
    }

    #[test]
    fn a_holder_with_a_wrong_clock_is_seen_to_be_alive() {
        let mut waiter = waiter(0);
        assert_eq!(observe(&mut waiter, &state("ann", RENEWED), 0, 3600), LeaseStep::Wait);
        let renewed = state("ann", "2026-11-23T09:05:05Z");
        assert_eq!(observe(&mut waiter, &renewed, 5, 3605), LeaseStep::GiveUp);
    }

    #[test]
    fn patience_waits_through_renewals_and_takes_over_when_they_stop() {
        let mut waiter = waiter(60);
        assert_eq!(observe(&mut waiter, &state("ann", RENEWED), 0, 0), LeaseStep::Wait);
        let renewed = state("ann", "2026-11-23T09:05:05Z");
        assert_eq!(observe(&mut waiter, &renewed, 5, 5), LeaseStep::Wait);
        assert_eq!(observe(&mut waiter, &renewed, 19, 19), LeaseStep::Wait);
        assert_eq!(observe(&mut waiter, &renewed, 20, 20), LeaseStep::Take);
    }

    #[test]
    fn patience_ends() {
        let mut waiter = waiter(10);
        assert_eq!(observe(&mut waiter, &state("ann", RENEWED), 0, 0), LeaseStep::Wait);
        assert_eq!(observe(&mut waiter, &state("ann", "2026-11-23T09:05:10Z"), 10, 10), LeaseStep::GiveUp);
    }

    #[test]
    fn while_the_server_was_away_nobody_could_renew() {
        let mut waiter = waiter(600);
        let state = state("ann", RENEWED);
        observe(&mut waiter, &state, 0, 0);
        let (asked, answered) =
            (waiter.began + Duration::from_secs(1), waiter.began + Duration::from_secs(31));
        let server = Timestamp::now();
        assert_eq!(
            waiter.observe(&Observation { state: &state, asked, answered, server, died: false }),
            LeaseStep::Wait
        );
        assert_eq!(observe(&mut waiter, &state, 32, 32), LeaseStep::Wait, "the span begins anew");
    }
}
