//! `--report DIR`: the run in files, for other programs and for people who come later; and the files of a step of GitHub.
//!
//! `events.jsonl` grows line by line. The other files tell the run as a whole; they are written at its beginning
//! (so that nothing of a former run is taken for this one), now and then (so that little is lost when the process
//! is killed), and at its end. A file is replaced at once, never half written.

mod annotations;
pub(crate) mod dotenv;
pub(crate) mod github;
pub(crate) mod html;
pub(crate) mod junit;
pub(crate) mod run_log;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstream::adapter::strip_str;
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::report::event::{Event, Warning};
use crate::report::files::annotations::annotations;
use crate::report::files::dotenv::dotenv;
use crate::report::files::html::page;
use crate::report::files::junit::junit;
use crate::report::files::run_log::RunLog;
use crate::report::json::Json;
use crate::report::live::format;
use crate::report::sink::Sink;
use crate::report::{Moment, Renderer};

/// So much of a run may be missing from the files after a kill; `events.jsonl` misses nothing.
const STALE: Duration = Duration::from_secs(10);

/// Fills a directory.
pub(crate) struct Directory {
    path: PathBuf,
    events: Json,
    run_log: RunLog,
    /// Where it is said that something could not be written.
    people: Sink,
    /// What went wrong first with `events.jsonl`.
    trouble: WriteError,
    written: Duration,
    changed: bool,
}

type WriteError = Arc<Mutex<Option<io::Error>>>;

impl Directory {
    /// Makes the directory and the files.
    ///
    /// # Errors
    /// [`Kind::Usage`] where that is not possible: nobody should learn at the end of a long run that its report
    /// could not be kept.
    pub(crate) fn open(path: &Path, answering: bool, people: Sink) -> Result<Self> {
        let trouble = WriteError::default();
        let file = make(path).and_then(|()| File::create(path.join("events.jsonl")));
        let file = file.map_err(|error| refused(path, &error))?;
        let lines = Watched { file, trouble: trouble.clone() };
        let directory = Self {
            path: path.to_owned(),
            events: Json::new(Sink::new(lines, true), Sink::new(io::sink(), false), answering),
            run_log: RunLog::default(),
            people,
            trouble,
            written: Duration::ZERO,
            changed: false,
        };
        directory.write().map_err(|error| refused(path, &error))?;
        Ok(directory)
    }

    fn write(&self) -> io::Result<()> {
        let variables = self.run_log.end.as_ref().map(|end| dotenv(end).0).unwrap_or_default();
        self.replace("windlass.env", &variables)?;
        self.replace("annotations.json", &annotations(self.run_log.end.as_ref()))?;
        self.replace("junit.xml", &junit(&self.run_log))?;
        self.replace("report.html", &page(&self.run_log))
    }

    fn replace(&self, name: &str, content: &str) -> io::Result<()> {
        let new = self.path.join(format!(".{name}.new"));
        fs::write(&new, content).and_then(|()| fs::rename(&new, self.path.join(name))).inspect_err(|_| {
            // It may not even exist.
            let _ = fs::remove_file(&new);
        })
    }

    /// Writes the last word, and says what is missing.
    fn end(&mut self) {
        let written = self.write();
        let lines = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = lines.or(written.err()) {
            self.complain(&format!("the report in `{}` is not complete: {error}", self.path.display()));
        }
        for left_out in self.run_log.end.as_ref().map(|end| dotenv(end).1).unwrap_or_default() {
            self.complain(&left_out);
        }
    }

    /// The other renderers have told the end already: nothing but a line on standard error is left.
    fn complain(&mut self, message: &str) {
        self.people.lines(format::warning(&Warning { message: message.to_owned(), ..Warning::default() }));
    }
}

impl Renderer for Directory {
    fn event(&mut self, at: Moment, event: &Event) {
        self.events.event(at, event);
        self.run_log.note(at, event);
        self.changed = true;
        if matches!(event, Event::Finished(_)) {
            self.end();
            self.changed = false;
        }
    }

    fn answer(&mut self, json: Option<&Value>, text: &str) {
        self.events.answer(json, text);
        // An answer for people only is a document for standard output (`render --show-secrets`): not kept.
        if json.is_some() {
            self.run_log.answer = Some(strip_str(text).to_string());
            self.changed = true;
        }
    }

    fn tick(&mut self, at: Moment) {
        if self.changed && at.age.saturating_sub(self.written) >= STALE {
            self.written = at.age;
            // Whether it works is said at the end.
            self.changed = self.write().is_err();
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.changed {
            // A run that ends without its last event has nobody to tell.
            let _ = self.write();
        }
    }
}

/// A file whose first failure is remembered.
struct Watched {
    file: File,
    trouble: WriteError,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes the directory. A new one is ignored by Git: in the work tree, where CI must have it, it would make every
/// commit look changed. In one that others have put something into, that is their decision.
pub fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    match fs::read_dir(path)?.next() {
        None => fs::write(path.join(".gitignore"), IGNORED),
        Some(_) => Ok(()),
    }
}

/// Whether [`make`] made this directory, so that all in it is a former run's.
pub fn is_ours(path: &Path) -> bool {
    fs::read(path.join(".gitignore")).is_ok_and(|text| text == IGNORED.as_bytes())
}

/// The files that a run writes into a directory that is not its own.
pub const FILES: [&str; 5] = ["events.jsonl", "junit.xml", "report.html", "windlass.env", "annotations.json"];

const IGNORED: &str = "*\n";

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::Usage, format!("the report cannot be written into `{}`: {error}", path.display()))
        .with_hint("give --report a directory that exists or can be made, and that this user may write to")
}
