//! A terminal on which the last lines move: indicatif behind two verbs.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::style;

/// So many lines move at most, so that what scrolled past can still be seen on a small screen.
const MOVING: usize = 12;

/// Permanent lines above, lines that move below.
pub(crate) trait Screen: Send {
    /// Prints something that stays, above the lines that move.
    fn print(&mut self, print: &mut dyn FnMut());
    /// Shows these lines below what stays, in the place of those shown before.
    fn show(&mut self, lines: &[String]);
    /// How many lines may move.
    fn room(&self) -> usize;
}

/// A real terminal on standard error.
pub(crate) struct ProgressScreen {
    bars: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl ProgressScreen {
    /// The terminal that standard error is.
    pub(crate) fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { bars, lines: Vec::new() }
    }

    fn add(&mut self) {
        let style = ProgressStyle::with_template("  {spinner} {wide_msg}")
            .expect("the template is a constant")
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ");
        // A bar must be part of the whole before it ticks, or it draws over the others.
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(style));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.lines.push(bar);
    }
}

impl Screen for ProgressScreen {
    fn print(&mut self, print: &mut dyn FnMut()) {
        self.bars.suspend(print);
    }

    fn show(&mut self, lines: &[String]) {
        while self.lines.len() > lines.len() {
            if let Some(bar) = self.lines.pop() {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
        }
        while self.lines.len() < lines.len() {
            self.add();
        }
        for (bar, line) in self.lines.iter().zip(lines) {
            let line = style::shown(line);
            if bar.message() != line {
                bar.set_message(line);
            }
        }
    }

    fn room(&self) -> usize {
        MOVING
    }
}
