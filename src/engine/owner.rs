//! Whose is it: the labels on everything a run starts, and whether that run still lives.
//!
//! A killed run cannot clean up; the next one finds what it left by these labels. It must never take something of a
//! run that is still alive: on the same machine (same boot, same process namespace) the process id with its start
//! time decides, elsewhere only the time after which that run cannot be alive any more, by the clock of the Engine or the API server that
//! has it: those of two machines may be an hour apart.

use crate::model::labels;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

/// A run that starts things in an Engine.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    run: String,
    project: String,
    place: String,
    process: String,
    longest: Duration,
    kept: bool,
}

impl Owner {
    /// This process, which will have ended after `longest` at the latest.
    pub(crate) fn new(project: &str, longest: Duration, kept: bool) -> Self {
        let process = process(std::process::id());
        let run = format!("{:x}-{}", Timestamp::now().as_microsecond(), std::process::id());
        Self { run, project: project.to_owned(), place: place(), process, longest, kept }
    }

    /// Unique among all runs: usable in names.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// When what it starts now may be taken for left behind.
    pub(crate) fn expires(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.longest).unwrap_or(Timestamp::MAX)
    }

    /// The labels of something that plays this role and is started now, by the clock of where it is started: whoever finds
    /// it later asks the same clock.
    pub(crate) fn labels(&self, role: &str, now: Timestamp) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> = [
            (labels::RUN, self.run.as_str()),
            (labels::PROJECT, &self.project),
            (labels::ROLE, role),
            (labels::PLACE, &self.place),
            (labels::PROCESS, &self.process),
            (labels::EXPIRES, &self.expires(now).as_second().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if self.kept {
            labels.insert(labels::KEPT.to_owned(), "true".to_owned());
        }
        labels
    }
}

/// Has the run that put these labels ended? `false` whenever that is not certain. `now` is by the clock of where they are.
pub(crate) fn is_over(labels: &HashMap<String, String>, now: Option<Timestamp>) -> bool {
    judge(labels, &place(), now, &|number| process(number))
}

fn judge(
    labels: &HashMap<String, String>,
    here: &str,
    now: Option<Timestamp>,
    look: &dyn Fn(u32) -> String,
) -> bool {
    let Some(expires) = labels.get(labels::EXPIRES).and_then(|text| text.parse::<i64>().ok()) else {
        return false;
    };
    if now.is_some_and(|now| now.as_second() > expires) {
        return true;
    }
    if labels.contains_key(labels::KEPT) || labels.get(labels::PLACE).map(String::as_str) != Some(here) {
        return false;
    }
    let Some(process) = labels.get(labels::PROCESS) else { return false };
    let Some(number) = process.split('@').next().and_then(|number| number.parse().ok()) else { return false };
    look(number) != *process
}

/// `pid@start time`, so that a process id used again is not taken for the old one; start 0 means no such process.
fn process(number: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    format!("{number}@{}", start(&stat).unwrap_or("0"))
}

/// The start time in a line of `/proc/<pid>/stat`; none of a process that is dead and only waits to be fetched.
fn start(stat: &str) -> Option<&str> {
    // The second field, the command's name, may hold spaces and parentheses: counted is from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.nth(18).filter(|_| !matches!(state, "Z" | "X"))
}

/// This boot of this machine, seen from this process namespace.
fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace =
        std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {} {}", name.trim(), boot.trim(), namespace.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of an Engine, an hour from that of this machine.
    fn engine() -> Timestamp {
        Timestamp::now() + jiff::SignedDuration::from_hours(1)
    }

    fn over(labels: &HashMap<String, String>, here: &str, now: Option<Timestamp>, alive: bool) -> bool {
        let process = labels[labels::PROCESS].clone();
        judge(labels, here, now, &|number| if alive { process.clone() } else { format!("{number}@0") })
    }

    fn later(seconds: i64) -> Timestamp {
        engine() + jiff::SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_live_run_keeps_what_is_its_own() {
        let labels = Owner::new("shop", Duration::from_secs(600), false).labels("test unit", engine());
        assert!(!is_over(&labels, Some(later(0))), "this very process is alive");
        let here = labels[labels::PLACE].clone();
        assert!(!over(&labels, &here, Some(later(0)), true));
        assert!(over(&labels, &here, Some(later(0)), false), "its process is gone");
        assert!(!over(&labels, "elsewhere", Some(later(590)), false), "of another machine nothing is known");
        assert!(over(&labels, "elsewhere", Some(later(601)), true), "until its time is over");
        assert!(!over(&labels, "elsewhere", None, false), "which nobody knows without the Engine's clock");
        assert!(over(&labels, &here, None, false));
    }

    #[test]
    fn what_was_kept_on_purpose_stays_until_it_expires() {
        let labels = Owner::new("shop", Duration::from_secs(600), true).labels("test unit", engine());
        let here = labels[labels::PLACE].clone();
        assert!(!over(&labels, &here, Some(later(0)), false));
        assert!(over(&labels, &here, Some(later(601)), false));
    }

    #[test]
    fn no_time_is_too_long() {
        let labels = Owner::new("shop", Duration::MAX, false).labels("test unit", engine());
        assert!(!over(&labels, "elsewhere", Some(later(0)), false));
    }

    #[test]
    fn a_dead_process_that_nobody_fetched_is_dead() {
        let stat = |state| format!("7 (a) b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20");
        assert_eq!(start(&stat("S")), Some("4242"));
        assert_eq!(start(&stat("Z")), None);
        assert_eq!(start(""), None);
    }

    #[test]
    fn foreign_labels_are_never_over() {
        assert!(!is_over(&HashMap::from([(labels::RUN.to_owned(), "x".to_owned())]), Some(later(0))));
    }
}
