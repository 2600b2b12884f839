//! Questions to the user at the terminal. Nothing moves on the screen while one waits for its answer, and whoever asks
//! may stop waiting: a question that is dropped is taken back.

use std::io::IsTerminal;

use crate::report::Reporter;

/// Whether there is anybody who can be asked.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks a question that is answered with yes or no; whatever is not yes is no.
pub(crate) async fn yes_or_no(reporter: &Reporter, question: &str) -> bool {
    let _paused = Paused::new(reporter);
    reporter.warn(format!("{question} [y/N]"));
    is_yes(&read(typed).await)
}

/// Asks for a name to be typed, with `question` as the beginning of the line; whether it was that name.
pub(crate) async fn type_name(reporter: &Reporter, question: &str, name: &str) -> bool {
    let _paused = Paused::new(reporter);
    reporter.answer(None, question);
    read(typed).await.trim() == name
}

/// Asks with `question` as the beginning of the line; what was typed, without spaces around it.
pub(crate) async fn line(reporter: &Reporter, question: &str) -> String {
    let _paused = Paused::new(reporter);
    reporter.answer(None, question);
    read(typed).await.trim().to_owned()
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// A line of standard input; empty where there is none.
fn typed() -> String {
    std::io::stdin().lines().next().and_then(Result::ok).unwrap_or_default()
}

/// Waits for a line in a thread of its own: a person may think for long, and signals are obeyed meanwhile.
async fn read(line: impl FnOnce() -> String + Send + 'static) -> String {
    tokio::task::spawn_blocking(line).await.unwrap_or_default()
}

/// While this lives, spinners and heartbeats rest.
struct Paused<'a>(&'a Reporter);

impl<'a> Paused<'a> {
    fn new(reporter: &'a Reporter) -> Self {
        reporter.pause(true);
        Self(reporter)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.pause(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::report::event::Event;
    use crate::report::{Moment, Renderer};

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" YES ") && is_yes("yes"));
        assert!(!is_yes("") && !is_yes("n") && !is_yes("yess") && !is_yes("yes please"));
    }

    struct Spinner(Arc<AtomicU32>);

    impl Renderer for Spinner {
        fn event(&mut self, _: Moment, _: &Event) {}

        fn answer(&mut self, _: Option<&serde_json::Value>, _: &str) {}

        fn tick(&mut self, _: Moment) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn nothing_moves_until_there_is_an_answer_or_nobody_waits_for_it() {
        let turned = Arc::new(AtomicU32::new(0));
        let reporter = Reporter::new(vec![Box::new(Spinner(turned.clone()))]);
        let (answer, comes) = std::sync::mpsc::channel();
        let asked = async {
            let _paused = Paused::new(&reporter);
            read(move || comes.recv().unwrap_or_default()).await
        };
        let dropped = tokio::time::timeout(Duration::from_millis(20), async {
            reporter.tick();
            tokio::join!(asked, async { reporter.tick() })
        });
        assert!(dropped.await.is_err(), "nobody answered");
        assert_eq!(turned.load(Ordering::Relaxed), 1, "once before the question, and not while it stood");
        reporter.tick();
        assert_eq!(turned.load(Ordering::Relaxed), 2);
        answer.send("late".to_owned()).unwrap();
        assert_eq!(read(|| "web".to_owned()).await, "web");
    }
}
