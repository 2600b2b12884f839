//! Markdown as a terminal shows it: headings in bold, code as it is, paragraphs and tables in lines of readable length.

use std::sync::LazyLock;

use regex::Regex;

use crate::report::style;

/// So many characters has a line of prose at most; code is not wrapped.
const WIDTH: usize = 80;

/// The page, for people.
pub(super) fn plain(markdown: &str) -> String {
    let mut page = Page::default();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            page.end_paragraph();
            for code in lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")) {
                page.line(&format!("    {code}"));
            }
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            page.end_paragraph();
            page.table(&rows);
        } else {
            page.prose(line);
        }
    }
    page.end_paragraph();
    format!("{}\n", page.text.trim_end())
}

/// What is written of a page, and the paragraph that is being read.
#[derive(Default)]
struct Page {
    text: String,
    paragraph: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += line.trim_end();
        self.text.push('\n');
    }

    fn prose(&mut self, line: &str) {
        let words = line.trim();
        if words.is_empty() {
            self.end_paragraph();
            self.line("");
        } else if line.starts_with('#') {
            self.end_paragraph();
            self.line(&style::strong(&without_links(words.trim_start_matches('#').trim())));
        } else if begins_item(words) {
            self.end_paragraph();
            words.clone_into(&mut self.paragraph);
        } else {
            let gap = if self.paragraph.is_empty() { "" } else { " " };
            self.paragraph += &format!("{gap}{words}");
        }
    }

    /// Writes the paragraph. Further lines of an item stand below its text.
    fn end_paragraph(&mut self) {
        let paragraph = without_links(&std::mem::take(&mut self.paragraph));
        let indent = if begins_item(&paragraph) { paragraph.find(' ').map_or(0, |at| at + 1) } else { 0 };
        for (index, line) in wrapped(&paragraph, WIDTH - indent).into_iter().enumerate() {
            let begin = " ".repeat(if index == 0 { 0 } else { indent });
            self.line(&format!("{begin}{line}"));
        }
    }

    /// A table of two columns is a list of terms; of more, each row is its first cell and what the other columns say of it.
    fn table(&mut self, rows: &[Vec<String>]) {
        let Some((titles, rows)) = rows.split_first() else { return };
        let rows = || rows.iter().filter(|row| !is_rule(row));
        let width = rows().map(|row| row.first().map_or(0, |term| term.chars().count())).max().unwrap_or(0);
        for row in rows() {
            match row.as_slice() {
                [term, text] if width <= WIDTH / 3 => self.term(term, text, width),
                [term, others @ ..] => {
                    for line in wrapped(term, WIDTH - 2) {
                        self.line(&format!("  {line}"));
                    }
                    let told = titles.iter().skip(1).zip(others).filter(|(_, text)| !text.is_empty());
                    for (title, text) in told {
                        let is_plain = title.is_empty() || others.len() == 1;
                        let text = if is_plain { text.clone() } else { format!("{title}: {text}") };
                        for line in wrapped(&text, WIDTH - 6) {
                            self.line(&format!("      {line}"));
                        }
                    }
                }
                [] => {}
            }
        }
    }

    /// A term and what is said of it, in a column beside it.
    fn term(&mut self, term: &str, text: &str, width: usize) {
        let indent = width + 4;
        let mut begin = format!("  {term}{}", " ".repeat(indent - 2 - term.chars().count()));
        for line in wrapped(text, WIDTH - indent) {
            self.line(&format!("{begin}{line}"));
            begin = " ".repeat(indent);
        }
    }
}

/// `- text` or `1. text`
fn begins_item(words: &str) -> bool {
    let number = words.trim_start_matches(|letter: char| letter.is_ascii_digit());
    words.starts_with("- ") || (number.len() < words.len() && number.starts_with(". "))
}

/// The cells of a row; a bar in a cell is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let kept = line.trim().trim_matches('|').replace("\\|", "\u{0}");
    kept.split('|').map(|cell| without_links(&cell.trim().replace('\u{0}', "|"))).collect()
}

/// `--- | ---:`
fn is_rule(row: &[String]) -> bool {
    row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|letter| letter == '-' || letter == ':'))
}

/// A link is its text.
pub(super) fn without_links(text: &str) -> String {
    static LINK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[([^\[\]]+)\]\([^()\s]+\)").expect("the pattern is a constant"));
    LINK.replace_all(text, "$1").replace("**", "")
}

/// Lines of so many characters at most, unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn shown(markdown: &str) -> String {
        strip_str(&style::shown(&plain(markdown))).to_string()
    }

    #[test]
    fn headings_and_code_are_readable_as_they_are() {
        let page = "# Exit codes\n\nRead [the page](a.md)\nof `web`.\n\n```yaml\nversion: 1\n  a: 1\n```\n\n- one\n  and more\n- two\n";
        let expected =
            "Exit codes\n\nRead the page of `web`.\n\n    version: 1\n      a: 1\n\n- one and more\n- two\n";
        assert_eq!(shown(page), expected);
    }

    #[test]
    fn prose_is_wrapped_and_code_is_not() {
        let long = "word ".repeat(40);
        let page = shown(&format!("- {long}\n\n```\n{long}\n```\n"));
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines[0].starts_with("- word") && lines[1].starts_with("  word") && lines[0].len() <= WIDTH);
        assert_eq!(lines.last().unwrap().trim(), long.trim());
    }

    #[test]
    fn tables_are_lists() {
        let page = "| code | meaning |\n| --- | --- |\n| 0 | good \\| fine |\n| 143 | bad |\n";
        assert_eq!(shown(page), "  0    good | fine\n  143  bad\n");
        let page = "| key | values | what for |\n| --- | --- | --- |\n| `a` | on | more |\n";
        assert_eq!(shown(page), "  `a`\n      values: on\n      what for: more\n");
    }
}
