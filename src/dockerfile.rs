//! The instructions of a Dockerfile: comments left out, lines put together, here-documents skipped.
//!
//! A builder is the judge of the syntax; here nothing is refused.

use std::sync::LazyLock;

use regex::Regex;

/// One instruction: `RUN`, `COPY` …
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// The line it begins on, counted from 1.
    pub(crate) line: u32,
    /// The line it ends on.
    pub(crate) end: u32,
    /// In capitals.
    pub(crate) keyword: String,
    /// What follows, on one line.
    pub(crate) rest: String,
}

/// A whole word: `$((1<<N))` is none.
static HEREDOC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^[0-9]*<<(-?)["']?([A-Za-z_][A-Za-z0-9_.]*)["']?"#).expect("the pattern is a constant")
});

/// The instructions, in their order.
pub(crate) fn instructions(text: &str) -> Vec<Instruction> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        if is_blank(first) {
            continue;
        }
        let mut whole = String::new();
        let mut part = first;
        let mut end = line;
        loop {
            let Some(begun) = part.trim_end().strip_suffix(escape) else {
                whole += part.trim();
                break;
            };
            whole += begun.trim_start();
            // Comments and empty lines may stand between the lines of one instruction.
            match lines.find(|(_, next)| !is_blank(next)) {
                Some((number, next)) => (end, part) = (number, next),
                None => break,
            }
        }
        let end = skip_heredocs(&whole, &mut lines).unwrap_or(end);
        let (keyword, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        let (keyword, rest) = (keyword.to_uppercase(), rest.trim().to_owned());
        instructions.push(Instruction { line, end, keyword, rest });
    }
    instructions
}

/// The instructions of each stage, from its `FROM` on.
pub(crate) fn stages(instructions: &[Instruction]) -> Vec<&[Instruction]> {
    let is_from = |index: &usize| instructions[*index].keyword == "FROM";
    let starts: Vec<usize> = (0..instructions.len()).filter(is_from).collect();
    let ends = starts.iter().skip(1).copied().chain([instructions.len()]);
    starts.iter().zip(ends).map(|(start, end)| &instructions[*start..end]).collect()
}

/// Whether a text follows the instruction, as in `RUN <<END`.
pub(crate) fn has_heredoc(one: &Instruction) -> bool {
    one.rest.split_whitespace().any(is_heredoc)
}

/// Whether a word announces such a text: `<<END`.
pub(crate) fn is_heredoc(word: &str) -> bool {
    HEREDOC.is_match(word)
}

/// The directive `# escape=` at the very top changes the character that continues a line.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#'));
    let escapes =
        directives.filter_map(|line| line.trim().to_lowercase().strip_prefix("escape").map(str::to_owned));
    let mut values = escapes.filter_map(|rest| rest.trim_start().strip_prefix('=')?.trim().chars().next());
    values.next().unwrap_or('\\')
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Skips the texts that follow an instruction, and gives the line on which the last one ends.
fn skip_heredocs<'a>(instruction: &str, lines: &mut impl Iterator<Item = (u32, &'a str)>) -> Option<u32> {
    if !["RUN", "COPY", "ADD"].iter().any(|word| instruction.to_uppercase().starts_with(word)) {
        return None;
    }
    let mut last = None;
    for found in instruction.split_whitespace().filter_map(|word| HEREDOC.captures(word)) {
        let tabs = &found[1] == "-";
        let end = &found[2];
        let is_end = |line: &str| if tabs { line.trim_start_matches('\t') == end } else { line == end };
        last = lines.find(|(_, line)| is_end(line)).map(|(number, _)| number);
    }
    last
}
