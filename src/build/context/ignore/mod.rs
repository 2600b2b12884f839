//! `.dockerignore`, read the way Docker reads it.
//!
//! It is not `.gitignore`: every pattern is anchored at the context's root, `*` does not cross a `/`, `**` does, a
//! pattern also matches what lies below what it matches, the last match wins, and `!` can bring something back from
//! an ignored directory. The rules are those of Docker's documentation and of the matcher that the Engine and
//! BuildKit share; a file that is left out here is one that Docker would leave out.

pub(crate) mod pattern;

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Place, Result};

use crate::build::context::ignore::pattern::Pattern;

/// So many bytes may the patterns take that need a regular expression, each with [`EXPRESSION`] for itself: some hundreds,
/// for compiled each takes a thousand times as much.
const MOST_EXPRESSIONS: usize = 32 << 10;
const EXPRESSION: usize = 64;
/// No path of a file system has more bytes (Linux: `PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// The rules of one file.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    file: PathBuf,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// `!pattern`: brings back.
    back: bool,
    pattern: Pattern,
    /// The directories before the first part with a wildcard: where the search for what it brings back begins.
    literal: String,
    line: u32,
    /// As it stands in the file.
    written: String,
}

/// Which rules a directory matched: its children match them too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matched(Vec<bool>);

/// The line that decided about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `.dockerignore:3`.
    pub(crate) place: Place,
    /// As it stands in the file.
    pub(crate) written: String,
}

/// What the rules say of a path.
#[derive(Debug)]
pub(crate) struct RuleMatch {
    pub(crate) ignored: bool,
    /// For what lies below, where the path is a directory.
    pub(crate) matched: Matched,
    /// The last rule that matched.
    by: Option<usize>,
}

impl Ignore {
    /// Reads the rules; `file` is for messages only.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the line of a pattern that Docker would refuse.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        let mut room = MOST_EXPRESSIONS;
        for (number, line) in (1..).zip(text.lines()) {
            let pattern = line.trim();
            // A comment's `#` stands in the first column; further right it is part of a name.
            if line.starts_with('#') || pattern.is_empty() {
                continue;
            }
            let wrong = |why: &str| {
                Error::new(Kind::Invalid, format!("the pattern `{pattern}` {why}"))
                    .at(Place::at(file, number, 1))
            };
            let rule = Rule::parse(pattern, number).map_err(wrong)?;
            if rule.pattern.is_costly() {
                let cost = pattern.len() + EXPRESSION;
                room = room.checked_sub(cost).ok_or_else(|| {
                    let limit = MOST_EXPRESSIONS >> 10;
                    Error::new(
                        Kind::Invalid,
                        format!("patterns with `[`, `]`, `^` or `\\` take more than {limit} KiB"),
                    )
                    .at(Place::at(file, number, 1))
                    .with_hint("write them with `*` and `?`, whose number is not limited")
                })?;
            }
            rules.push(rule);
        }
        Ok(Self { file: file.to_path_buf(), rules })
    }

    /// Is the path (from the context's root, with `/`) ignored? `parent` is the answer for its directory, the
    /// default for what lies at the root. A path must be asked for after the directories above it.
    pub(crate) fn check(&self, path: &str, parent: &Matched) -> RuleMatch {
        let mut answer =
            RuleMatch { ignored: false, matched: Matched(vec![false; self.rules.len()]), by: None };
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.0.get(index).copied().unwrap_or(false);
            // A rule that could not change the answer is not asked: whether its children inherit it depends on that.
            let matches = inherited || (rule.back == answer.ignored && rule.pattern.matches(path));
            answer.matched.0[index] = matches;
            if matches {
                (answer.ignored, answer.by) = (!rule.back, Some(index));
            }
        }
        answer
    }

    /// Is the path ignored, whatever lies there and whether anything does? One that is longer than paths can be is not:
    /// nothing lies there, and it would take the square of its length.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        if path.len() > LONGEST_PATH {
            return false;
        }
        let (mut matched, mut ignored) = (Matched::default(), false);
        for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
            let answer = self.check(&path[..end], &matched);
            (ignored, matched) = (answer.ignored, answer.matched);
        }
        ignored
    }

    /// The line behind an answer, where there is one.
    pub(crate) fn line(&self, answer: &RuleMatch) -> Option<Line> {
        let rule = &self.rules[answer.by?];
        let place = Place { file: self.file.clone(), line: Some(rule.line), column: None };
        Some(Line { place, written: rule.written.clone() })
    }

    /// May something below this ignored directory be brought back? `false` saves a walk through `node_modules`.
    pub(crate) fn brings_back_below(&self, directory: &str) -> bool {
        self.rules.iter().filter(|rule| rule.back).any(|rule| {
            let literal = rule.literal.as_str();
            literal.is_empty() || is_within(literal, directory) || is_within(directory, literal)
        })
    }
}

fn is_within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Rule {
    fn parse(written: &str, line: u32) -> Result<Self, &'static str> {
        let (back, pattern) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, written),
        };
        let pattern = if pattern.is_empty() { String::new() } else { pattern::clean(pattern) };
        if back && matches!(pattern.as_str(), "" | "/") {
            return Err("negates nothing: a path must follow the `!`");
        }
        Ok(Self {
            back,
            literal: pattern::literal(&pattern),
            pattern: Pattern::compile(&pattern)?,
            line,
            written: written.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore::parse(text, Path::new(".dockerignore")).unwrap()
    }

    fn ignored(text: &str, path: &str) -> bool {
        ignore(text).ignores(path)
    }

    #[test]
    fn a_path_that_cannot_be_takes_no_time() {
        let began = std::time::Instant::now();
        for path in [format!("a{}", "/".repeat(40_000)), "a/".repeat(20_000)] {
            assert!(!ignored("a**/*\n\"**/*\n", &path));
        }
        assert!(began.elapsed() < std::time::Duration::from_millis(500), "which took seconds");
        assert!(ignored("a*", &format!("a{}", "/b".repeat(2000))), "one that can be");
    }

    #[test]
    fn patterns_are_anchored_and_match_what_lies_below() {
        for (text, path, expected) in [
            ("docs", "docs", true),
            ("docs", "docs/a/b.md", true),
            ("docs", "src/docs", false),
            ("/docs/", "docs/a", true),
            ("./docs//x/..", "docs/a", true),
            ("*.md", "a.md", true),
            ("*.md", "docs/a.md", false),
            ("*/a.md", "docs/a.md", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a?c", "a\u{263a}c", true),
            ("**/*.md", "a.md", true),
            ("**/*.md", "x/y/a.md", true),
            ("**.md", "x/y/a.md", true),
            ("**/cache", "x/cache/file", true),
            ("**/cache", "x/mycache", false),
            ("dir/**", "dir", false),
            ("dir/**", "dir/a/b", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**", "anything", true),
            ("v[0-9].[!a]", "v1.a", true),
            ("v[^0-9]", "va", true),
            ("v[^0-9]", "v1", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a.b+c(d)$", "a.b+c(d)$", true),
            ("a.b", "axb", false),
            (" # not a comment", "# not a comment", true),
            ("# a comment", "# a comment", false),
            (".", "a", false),
        ] {
            assert_eq!(ignored(text, path), expected, "`{text}` and `{path}`");
        }
    }

    #[test]
    fn the_last_match_wins_and_things_come_back() {
        for (text, path, expected) in [
            ("*\n!src", "src/main.rs", false),
            ("*\n!src", "target/x", true),
            ("*\n!src\nsrc/generated", "src/generated/a.rs", true),
            ("!a\n*", "a", true),
            ("docs\n!docs/README.md", "docs/README.md", false),
            ("docs\n!docs/README.md", "docs/other.md", true),
            ("**\n!**/keep/*.txt", "a/keep/x.txt", false),
            ("**\n! a/b ", "a/b/c", false),
            ("\u{feff}secret", "secret", true),
        ] {
            assert_eq!(ignored(text, path), expected, "`{text}` and `{path}`");
        }
    }

    #[test]
    fn a_directory_is_only_walked_where_something_may_come_back() {
        let rules = ignore("node_modules\nbuild\n!build/out/*.js");
        assert!(rules.brings_back_below("build") && rules.brings_back_below("build/out"));
        assert!(!rules.brings_back_below("build/tmp") && !rules.brings_back_below("node_modules"));
        assert!(ignore("*\n!**/x").brings_back_below("node_modules"));
    }

    #[test]
    fn a_broken_pattern_is_shown_with_its_line() {
        for (text, line) in [("a\n!", 2), ("[", 1), ("[]a]", 1), ("[a-]", 1), ("x\ny\nz\\", 3)] {
            let error = Ignore::parse(text, Path::new(".dockerignore")).unwrap_err();
            assert_eq!(error.place().and_then(|place| place.line), Some(line), "{text}: {error}");
        }
    }

    #[test]
    fn many_patterns_and_many_stars_cost_little() {
        let began = std::time::Instant::now();
        let rules = ignore(&"?a*\n".repeat(20_000));
        assert!(rules.ignores("bab") && !rules.ignores("bb"));
        let stars = ignore(&format!("{}b", "*a".repeat(2_000)));
        assert!(!stars.ignores(&"a".repeat(4_000)));
        assert!(began.elapsed().as_secs() < 20, "no star is tried again for each place of another");
    }

    #[test]
    fn of_patterns_that_need_a_regular_expression_there_are_some_hundreds() {
        assert!(ignored(&"*.py[co]\n".repeat(400), "a.pyc"));
        let error = Ignore::parse(&"a[bc]\n".repeat(1000), Path::new(".dockerignore")).unwrap_err();
        let said = ".dockerignore:475:1: patterns with `[`, `]`, `^` or `\\` take more than 32 KiB";
        assert_eq!(error.to_string(), said);
    }

    proptest! {
        #[test]
        fn not_walking_an_ignored_directory_loses_nothing(
            lines in proptest::collection::vec("!?[ab*]{1,3}(/[ab*]{1,2}){0,2}", 1..5),
            path in "[ab](/[ab]{1,2}){1,3}",
        ) {
            let text = lines.join("\n");
            let rules = ignore(&text);
            let (directory, _) = path.rsplit_once('/').unwrap();
            if ignored(&text, directory) && !rules.brings_back_below(directory) {
                prop_assert!(ignored(&text, &path));
            }
        }
    }
}
