//! `windlass help [TOPIC…]`: the help of a command as clap prints it, or a page of docs/ for a cause or another topic.

mod terminal;
mod topics;

#[cfg(test)]
mod tests;

use clap::{Args, CommandFactory};
use serde_json::{Value, json};

use crate::cli::{Arguments, Run, complete};
use crate::error::{Error, Kind, Result};
use crate::report::style;
use crate::text::nearest;

use topics::{GROUPS, Page, REFERENCE};

/// The topic that lists all others.
const TOPICS: &str = "topics";

/// Explain a command, a cause or another topic
///
/// `windlass help topics` lists the topics.
#[derive(Debug, Args)]
pub(crate) struct Help {
    /// A command, a cause (image-not-found), or another topic (exit-codes, secrets)
    #[arg(value_name = "TOPIC", add = complete::words(topics))]
    words: Vec<String>,
}

impl Help {
    /// The command line whose help is asked for, where it is that of a command.
    pub(crate) fn of_command(&self) -> Option<Vec<String>> {
        let is_command = |word: &String| command_names().contains(word);
        if !self.words.first().is_none_or(is_command) {
            return None;
        }
        let words = ["windlass"].into_iter().chain(self.words.iter().map(String::as_str)).chain(["--help"]);
        Some(words.map(str::to_owned).collect())
    }

    pub(crate) fn run(self, run: &Run) -> Result<()> {
        let (json, text) = match self.words.as_slice() {
            [topic] if topic == TOPICS => list(),
            [topic] => {
                let page = page(topic).ok_or_else(|| unknown(topic))?;
                (page.to_json(), terminal::plain(page.text))
            }
            words => return Err(unknown(&words.join(" "))),
        };
        run.session.reporter.answer(Some(&json), &text);
        Ok(())
    }
}

/// The page on a topic, or the one that has it in a table.
fn page(topic: &str) -> Option<&'static Page> {
    pages().find(|page| page.name == topic).or_else(|| REFERENCE.iter().find(|page| page.defines(topic)))
}

fn pages() -> impl Iterator<Item = &'static Page> {
    GROUPS.iter().flat_map(|(_, pages)| pages.iter())
}

/// The exit codes, each in a line: the beginning of what their page says.
pub(crate) fn exit_codes() -> String {
    let page = pages().find(|page| page.name == "exit-codes").map_or("", |page| page.text);
    let rows = page.lines().filter_map(|line| {
        let (code, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let code: u8 = code.parse().ok()?;
        let meaning = terminal::without_links(&meaning.split("; ").next()?.replace('`', ""));
        Some(format!("  {code:>3}  {meaning}\n"))
    });
    rows.fold("Exit codes:\n".to_owned(), |text, row| text + &row)
}

/// The names of the commands that have help of their own.
fn command_names() -> Vec<String> {
    Arguments::command().get_subcommands().map(|one| one.get_name().to_owned()).collect()
}

/// What help there is on: commands, and pages.
fn topics() -> Vec<String> {
    let pages = pages().map(|page| page.name).chain([TOPICS]);
    command_names().into_iter().chain(pages.map(str::to_owned)).collect()
}

fn unknown(topic: &str) -> Error {
    let known = topics();
    let hint = match (nearest(topic, known.iter().map(String::as_str)), about(topic).as_slice()) {
        (Some(near), _) => format!("did you mean `windlass help {near}`?"),
        (None, []) => format!("`windlass help {TOPICS}` lists the topics"),
        (None, pages) => format!("it is mentioned by {}", pages.join(", ")),
    };
    Error::new(Kind::Usage, format!("there is no help on `{topic}`")).with_hint(hint)
}

/// The commands that show the pages that mention a word most often, at most three.
fn about(word: &str) -> Vec<String> {
    let word = word.trim().to_lowercase();
    if word.is_empty() {
        return Vec::new();
    }
    let mentions = |page: &Page| page.text.to_lowercase().matches(&word).count();
    let mut pages: Vec<(usize, &str)> = pages().map(|page| (mentions(page), page.name)).collect();
    pages.retain(|(mentions, _)| *mentions > 0);
    pages.sort_by_key(|(mentions, _)| std::cmp::Reverse(*mentions));
    pages.into_iter().take(3).map(|(_, name)| format!("`windlass help {name}`")).collect()
}

/// All topics, and what each is about.
fn list() -> (Value, String) {
    let topics: Vec<Value> =
        pages().map(|page| json!({"topic": page.name, "title": page.summary()})).collect();
    let width = pages().map(|page| page.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (group, pages) in &GROUPS {
        text += &format!("{}\n", style::strong(group));
        for page in *pages {
            text += &format!("  {:<width$}  {}\n", page.name, page.summary());
        }
        text += "\n";
    }
    text += "`windlass help TOPIC` prints one of them, `windlass help COMMAND` the help of a command.\n";
    (Value::Array(topics), text)
}
