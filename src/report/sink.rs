//! The way out to one stream: colour taken out where it is not wanted, and a closed pipe is not an accident.

use std::io::{ErrorKind, Write};

use anstream::adapter::strip_str;

use crate::report::style;

/// A stream that lines are written to.
pub(crate) struct Sink {
    out: Box<dyn Write + Send>,
    color: bool,
    closed: bool,
    /// Why it could not be written to, where nobody closed it.
    fault: Option<String>,
}

impl Sink {
    /// Writes to this stream, with colour or without.
    pub(super) fn new(out: impl Write + Send + 'static, color: bool) -> Self {
        Self { out: Box::new(out), color, closed: false, fault: None }
    }

    /// Whether anybody reads.
    pub(super) fn is_open(&self) -> bool {
        !self.closed
    }

    /// Why what was written is not there: a full disk. A reader who had enough is no fault.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &str) {
        if self.color {
            self.raw(&format!("{line}\n"));
        } else {
            self.raw(&format!("{}\n", strip_str(line)));
        }
    }

    /// Writes lines.
    pub(super) fn lines<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        lines.into_iter().for_each(|line| self.line(line.as_ref()));
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
