//! What came out, by kind of mutation.

use std::fmt;

use serde_json::Value;

use crate::Verdict;
use crate::corpus::name;
use crate::mutation::{Kind, Mutation};
use crate::server::Answer;

/// Of what the server refuses, so much must be found, in percent.
const LEAST: usize = 95;
/// Of all, so much may go unanswered or be refused for what else there is, in percent.
const MOST_OF_OTHERS: usize = 5;

/// One row.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    drawn: usize,
    accepted: usize,
    refused: usize,
    found: usize,
    wrongly_refused: usize,
    of_others: usize,
}

impl Row {
    fn add(&mut self, verdict: &Verdict) {
        self.drawn += 1;
        let is_found = usize::from(verdict.found.is_some());
        match verdict.answer {
            Answer::Accepted => {
                self.accepted += 1;
                self.wrongly_refused += is_found;
            }
            Answer::Refused(_) => {
                self.refused += 1;
                self.found += is_found;
            }
            Answer::OfOthers(_) => self.of_others += 1,
        }
    }

    /// In percent, of what the server refuses.
    fn share(&self) -> f64 {
        if self.refused == 0 {
            return 100.0;
        }
        let thousandths = u32::try_from(self.found * 1000 / self.refused).unwrap_or_default();
        f64::from(thousandths) / 10.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(Kind, Row)>,
    total: Row,
    /// Each is a line.
    disagreements: Vec<String>,
}

impl Table {
    pub(crate) fn of(objects: &[Value], verdicts: &[(Mutation, Verdict)]) -> Self {
        let mut table =
            Self { rows: Kind::ALL.map(|kind| (kind, Row::default())).to_vec(), ..Self::default() };
        for (mutation, verdict) in verdicts {
            table.total.add(verdict);
            for (_, row) in table.rows.iter_mut().filter(|(kind, _)| *kind == mutation.kind) {
                row.add(verdict);
            }
            table.disagreements.extend(disagreement(&objects[mutation.object], mutation, verdict));
        }
        table.disagreements.sort();
        table
    }

    /// What must not be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let Row { drawn, refused, found, wrongly_refused, of_others, .. } = self.total;
        if of_others * 100 > drawn * MOST_OF_OTHERS {
            failures.push(format!("{of_others} of {drawn} say nothing about the schemas"));
        }
        if wrongly_refused > 0 {
            failures.push(format!("{wrongly_refused} objects that the server accepts are refused"));
        }
        if found * 100 < refused * LEAST {
            failures.push(format!(
                "less than {LEAST} % of what the server refuses is found: {found} of {refused}"
            ));
        }
        failures
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>6} {:>9} {:>8} {:>7} {:>7} {:>16} {:>10}",
            "", "drawn", "accepted", "refused", "found", "", "wrongly refused", "of others"
        )?;
        let rows = self.rows.iter().map(|(kind, row)| (kind.to_string(), row));
        for (name, row) in rows.chain([("all".to_owned(), &self.total)]) {
            writeln!(
                f,
                "{name:<14} {:>6} {:>9} {:>8} {:>7} {:>5.1} % {:>16} {:>10}",
                row.drawn,
                row.accepted,
                row.refused,
                row.found,
                row.share(),
                row.wrongly_refused,
                row.of_others
            )?;
        }
        self.disagreements.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Where the two differ, in one line.
fn disagreement(object: &Value, mutation: &Mutation, verdict: &Verdict) -> Option<String> {
    let (what, why) = match (&verdict.answer, &verdict.found) {
        (Answer::Accepted, Some(finding)) => ("WRONGLY REFUSED", finding.to_string()),
        (Answer::Refused(message), None) => ("not found", message.replace('\n', " ")),
        _ => return None,
    };
    let Mutation { kind, pointer, what: now, .. } = mutation;
    let now: String = now.chars().take(120).collect();
    let why: String = why.chars().take(400).collect();
    Some(format!("{what}: {kind}: {}{pointer} → {now}\n    {why}", name(object)))
}
