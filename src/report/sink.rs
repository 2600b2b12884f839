//! Writes to one stream: removes colours that are not wanted, and accepts a closed pipe.

use std::io::{ErrorKind, Write};

use anstream::adapter::strip_str;

use crate::report::style;
use crate::text::workflow;

/// A stream that lines are written to.
pub(crate) struct Sink {
    out: Box<dyn Write + Send>,
    color: bool,
    closed: bool,
    /// Whether GitHub's runner reads along, who must find no command in what others wrote.
    inert: bool,
    /// Why it could not be written to, where nobody closed it.
    fault: Option<String>,
}

impl Sink {
    /// Writes to this stream, with colour or without.
    pub(super) fn new(out: impl Write + Send + 'static, color: bool) -> Self {
        Self { out: Box::new(out), color, closed: false, inert: false, fault: None }
    }

    /// The same for a log that GitHub's runner reads.
    pub(super) fn for_github(self, inert: bool) -> Self {
        Self { inert, ..self }
    }

    /// Whether anybody reads.
    pub(super) fn is_open(&self) -> bool {
        !self.closed
    }

    /// Why what was written is missing: a full disk. A reader who had enough is no fault.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &str) {
        let line = if self.inert { workflow::inert(line) } else { line.into() };
        if self.color {
            self.raw(&format!("{line}\n"));
        } else {
            self.raw(&format!("{}\n", strip_str(&line)));
        }
    }

    /// Writes lines.
    pub(super) fn lines<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        lines.into_iter().for_each(|line| self.line(line.as_ref()));
    }

    /// Writes commands of our own to GitHub's runner.
    pub(super) fn commands(&mut self, commands: &[String]) {
        for command in commands {
            self.raw(&format!("{command}\n"));
        }
    }

    /// Writes a text that may have several lines; the last one ends with a line break afterwards.
    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.line(text.strip_suffix('\n').unwrap_or(text));
        }
    }

    /// Writes it exactly as it is.
    pub(super) fn raw(&mut self, text: &str) {
        if self.closed {
            return;
        }
        // Whoever reads may stop reading (`| head`): the work goes on, nobody is told.
        let written = self.out.write_all(style::shown(text).as_bytes()).and_then(|()| self.out.flush());
        if let Err(error) = written {
            match error.kind() {
                ErrorKind::BrokenPipe => self.closed = true,
                _ => self.fault = Some(error.to_string()),
            }
        }
    }
}
