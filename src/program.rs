//! The user's own programs, run for what they print: `kubectl kustomize`, `helm template`, the commands of `secrets:`.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a program may take: one that asks a person for a passphrase would wait for ever.
const LIMIT: Duration = Duration::from_secs(120);
/// So many of the last lines that a program wrote to standard error are shown.
const LINES: usize = 6;

/// Why a program printed nothing of use.
#[derive(Debug)]
pub enum Fault {
    /// It is not installed.
    Missing,
    /// It cannot be started.
    Unstartable(String),
    /// It ended otherwise than with 0: how, and what it said last.
    Failed {
        /// `exit status: 1`
        how: String,
        /// The last lines of its standard error.
        said: String,
    },
    /// It did not end in time.
    Late,
}

impl Fault {
    /// One sentence; `program` is how a person calls it.
    pub fn sentence(&self, program: &str) -> String {
        match self {
            Self::Missing => format!("`{program}` is not installed"),
            Self::Unstartable(why) => format!("`{program}` cannot be started: {why}"),
            Self::Failed { how, said } if said.is_empty() => format!("`{program}` failed ({how})"),
            Self::Failed { how, said } => format!("`{program}` failed ({how}): {said}"),
            Self::Late => format!("`{program}` did not end within {} s", LIMIT.as_secs()),
        }
    }
}

/// What a program prints to standard output. It gets no input, so that it cannot ask.
///
/// # Errors
/// Whatever keeps it from ending with 0.
pub fn output<'a>(
    directory: &Path,
    words: &[String],
    environment: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<u8>, Fault> {
    let (program, arguments) = words.split_first().ok_or(Fault::Missing)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::Missing,
            _ => Fault::Unstartable(error.to_string()),
        })?;
    let (printed, said) = (reading(child.stdout.take()), reading(child.stderr.take()));
    let status = wait(&mut child)?;
    let printed = printed.join().unwrap_or_default();
    if status.success() {
        return Ok(printed);
    }
    let said = String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned();
    Err(Fault::Failed { how: status.to_string(), said: last_lines(&said) })
}

/// Reads a pipe to its end beside the program, which would stop when it is full.
fn reading(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child) -> Result<std::process::ExitStatus, Fault> {
    let end = Instant::now() + LIMIT;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < end => thread::sleep(pause),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Fault::Late);
            }
            Err(error) => return Err(Fault::Unstartable(error.to_string())),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<Vec<u8>, Fault> {
        let words = ["sh", "-c", script].map(str::to_owned);
        output(Path::new("/"), &words, [(&"GREETING".to_owned(), &"hello".to_owned())])
    }

    #[test]
    fn what_is_printed_comes_back_and_a_failure_says_why() {
        assert_eq!(run("printf $GREETING; echo aside >&2").expect("it ends well"), b"hello");
        let fault = run("echo one; echo no key >&2; exit 3").expect_err("it fails");
        assert_eq!(fault.sentence("sops"), "`sops` failed (exit status: 3): no key");
        let missing = output(Path::new("/"), &["no-such-program".to_owned()], []).expect_err("it is missing");
        assert_eq!(missing.sentence("helm"), "`helm` is not installed");
    }

    #[test]
    fn a_program_that_prints_much_does_not_stop() {
        let printed = run("yes | head -c 1000000; yes | head -c 1000000 >&2").expect("it ends well");
        assert_eq!(printed.len(), 1_000_000);
    }
}
