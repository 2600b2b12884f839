//! What a program took: time, processor, memory; and tables of it.

use std::process::Command;
use std::time::Instant;

use crate::tap::Passed;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Seconds from start to end.
    pub(crate) seconds: f64,
    /// Seconds of the processor, in the program and in the kernel for it.
    pub(crate) cpu: f64,
    /// The most memory that one of its processes had in use, in MB.
    pub(crate) memory: f64,
    /// What went over the network, where that was counted.
    pub(crate) passed: Option<Passed>,
}

impl Taken {
    /// One after the other.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            seconds: self.seconds + next.seconds,
            cpu: self.cpu + next.cpu,
            memory: self.memory.max(next.memory),
            passed: self.passed.or(next.passed),
        }
    }
}

/// Runs a program that must succeed, by GNU time.
pub(crate) fn taken(command: &Command) -> Taken {
    let figures = tempfile::NamedTempFile::new().unwrap();
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["-f", "%U %S %M", "-o"])
        .arg(figures.path())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        timed.current_dir(directory);
    }
    let began = Instant::now();
    let output = timed.output().expect("GNU time: tests/bench installs it");
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    let text = std::fs::read_to_string(figures.path()).unwrap();
    let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [user, system, kilobytes] = figures.as_slice() else { panic!("{text}") };
    Taken { seconds, cpu: user + system, memory: kilobytes / 1000.0, passed: None }
}

/// The middle of the rounds, figure by figure.
pub(crate) fn median(rounds: &[Taken]) -> Taken {
    let middle = |figure: fn(&Taken) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Taken {
        seconds: middle(|taken| taken.seconds),
        cpu: middle(|taken| taken.cpu),
        memory: middle(|taken| taken.memory),
        passed: rounds.iter().find_map(|taken| taken.passed),
    }
}

/// Rows of words, as Markdown whose columns are aligned for whoever reads the terminal.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows[0].len();
        let wide =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = wide(column);
                // Words to the left, figures to the right.
                if column < 2 { write!(f, "| {cell:width$} ")? } else { write!(f, "| {cell:>width$} ")? }
            }
            writeln!(f, "|")?;
            if index == 0 {
                let line: Vec<&str> =
                    (0..columns).map(|column| if column < 2 { "---" } else { "--:" }).collect();
                writeln!(f, "| {} |", line.join(" | "))?;
            }
        }
        Ok(())
    }
}
