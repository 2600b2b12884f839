//! One pattern of a `.dockerignore`, compiled exactly as the matcher does that the docker command, BuildKit and the
//! Engine share (github.com/moby/patternmatcher): where its habits are odd, they are odd here in the same way.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// What a pattern matches.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// This path.
    Exact(String),
    /// Every path that begins like this: `dir/**`.
    Prefix(String),
    /// Every path that ends like this: `**.log`, `**/cache`.
    Suffix(String),
    /// Anything with a wildcard in the middle.
    Wild(Vec<Token>),
    /// With a class, an escape or an anchor: what these mean, only regular expressions know.
    Expression(Regex),
}

/// A part of a pattern. Each takes a few bytes and one look at the path, where a regular expression takes some 50 KB: a
/// file may have thousands of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// This letter.
    Letter(char),
    /// `?`: a letter, but for `/`.
    One,
    /// `*`: any number of letters, but for `/`.
    Many,
    /// `**/`: any number of directories.
    Directories,
    /// `**` at the end: all that follows.
    Rest,
}

impl Pattern {
    /// Compiles a pattern that [`clean`] has been through.
    ///
    /// # Errors
    /// What is wrong with a pattern that Docker would refuse.
    pub(crate) fn compile(pattern: &str) -> Result<Self, &'static str> {
        check(pattern)?;
        let mut reading =
            Reading { letters: pattern.chars().peekable(), kind: PatternKind::Exact, text: String::new() };
        reading.all();
        Ok(match reading.kind {
            PatternKind::Exact => Self::Exact(pattern.to_owned()),
            PatternKind::Prefix => {
                Self::Prefix(pattern.trim_end_matches('/').trim_end_matches("**").to_owned())
            }
            PatternKind::Suffix => Self::Suffix(pattern[2..].to_owned()),
            PatternKind::Expression if !pattern.contains(['[', ']', '^', '\\']) => {
                Self::Wild(tokens(pattern))
            }
            PatternKind::Expression => {
                let text = format!("^{}$", for_rust(&reading.text));
                Self::Expression(Regex::new(&text).map_err(|_| "is not a pattern")?)
            }
        })
    }

    /// Does it match this path, itself and not only something above it?
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(one) => path == one,
            Self::Prefix(begin) => path.starts_with(begin.as_str()),
            Self::Suffix(end) => path.ends_with(end.as_str()) || end.strip_prefix('/') == Some(path),
            Self::Wild(tokens) => fit(tokens, path),
            Self::Expression(expression) => expression.is_match(path),
        }
    }

    /// Whether it takes much memory.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(self, Self::Expression(_))
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut letters = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                letters.next_if_eq(&'/');
                if letters.peek().is_some() { Token::Directories } else { Token::Rest }
            }
            '*' => Token::Many,
            '?' => Token::One,
            letter => Token::Letter(letter),
        });
    }
    tokens
}

/// Whether the whole path is like this: token by token, up to where in the path they may have come.
fn fit(tokens: &[Token], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    let mut reached = vec![0];
    for token in tokens {
        reached = token.step(&reached, &path);
        if reached.is_empty() {
            return false;
        }
    }
    reached.last() == Some(&path.len())
}

impl Token {
    /// Where in the path it may end, beginning at one of these places; both in ascending order.
    fn step(self, from: &[usize], path: &[char]) -> Vec<usize> {
        let after = |fits: &dyn Fn(char) -> bool| {
            let fitting = from.iter().filter(|at| path.get(**at).is_some_and(|letter| fits(*letter)));
            fitting.map(|at| at + 1).collect()
        };
        match self {
            Self::Letter(one) => after(&|letter| letter == one),
            Self::One => after(&|letter| letter != '/'),
            Self::Many => Self::run(from, path, '/', |_, _| true),
            // A dot of a regular expression is no line break.
            Self::Rest => Self::run(from, path, '\n', |_, _| true),
            Self::Directories => {
                Self::run(from, path, '\n', |begins, at| begins || at > 0 && path[at - 1] == '/')
            }
        }
    }

    /// The places up to the letter that ends the run, at which it may end.
    fn run(from: &[usize], path: &[char], end: char, ends: impl Fn(bool, usize) -> bool) -> Vec<usize> {
        let (mut places, mut open, mut next) = (Vec::new(), false, from.iter().peekable());
        for at in from.first().copied().unwrap_or_default()..=path.len() {
            let begins = next.next_if_eq(&&at).is_some();
            open |= begins;
            if open && ends(begins, at) {
                places.push(at);
            }
            open &= path.get(at) != Some(&end);
        }
        places
    }
}

/// The path without `.`, `..`, doubled and outer slashes, as Go's `filepath.Clean`, and without the first slash.
pub(crate) fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    match (parts.is_empty(), pattern.starts_with('/')) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        (false, _) => parts.join("/"),
    }
}

/// The leading directories that have no wildcard.
pub(crate) fn literal(pattern: &str) -> String {
    let parts: Vec<&str> =
        pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', ']', '^', '\\'])).collect();
    parts.join("/")
}

#[derive(Clone, Copy, PartialEq)]
enum PatternKind {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// A pattern on its way to a regular expression.
struct Reading<'a> {
    letters: Peekable<Chars<'a>>,
    kind: PatternKind,
    text: String,
}

impl Reading<'_> {
    fn all(&mut self) {
        let mut first = true;
        while let Some(letter) = self.letters.next() {
            match letter {
                '*' if self.letters.next_if_eq(&'*').is_some() => self.deep(first),
                '*' => self.wild("[^/]*"),
                '?' => self.wild("[^/]"),
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => self.text.extend(['\\', letter]),
                '\\' => match self.letters.next() {
                    Some(next) => {
                        self.text.extend(['\\', next]);
                        self.kind = PatternKind::Expression;
                    }
                    None => self.text.push('\\'),
                },
                '[' | ']' => self.wild(letter.encode_utf8(&mut [0; 4])),
                letter => self.text.push(letter),
            }
            first = false;
        }
    }

    /// `**`, with the `/` after it: any number of directories, none included.
    fn deep(&mut self, first: bool) {
        self.letters.next_if_eq(&'/');
        if self.letters.peek().is_some() {
            self.wild("(.*/)?");
        } else if self.kind == PatternKind::Exact {
            self.kind = PatternKind::Prefix;
        } else {
            self.wild(".*");
        }
        if first {
            self.kind = PatternKind::Suffix;
        }
    }

    fn wild(&mut self, expression: &str) {
        self.text += expression;
        self.kind = PatternKind::Expression;
    }
}

/// The same expression for Rust's engine: Go's knows no classes within classes and no `&&`, `--`, `~~` in them.
fn for_rust(expression: &str) -> String {
    let mut text = String::new();
    let mut letters = expression.chars().peekable();
    let mut class = 0;
    while let Some(letter) = letters.next() {
        match (letter, class) {
            ('\\', _) => {
                match letters.next() {
                    Some(next) if next.is_alphanumeric() => text.extend([letter, next]),
                    Some(next) => text += &regex::escape(next.encode_utf8(&mut [0; 4])),
                    None => text.push(letter),
                }
                class += usize::from(class > 0);
            }
            ('[', 0) => {
                text.push(letter);
                text.extend(letters.next_if_eq(&'^'));
                class = 1;
            }
            (']', 0) => text += "\\]",
            // The first member may be a `]`.
            (']', 2..) => {
                text.push(letter);
                class = 0;
            }
            ('[' | ']' | '&' | '~', 1..) => {
                text.extend(['\\', letter]);
                class += 1;
            }
            (letter, _) => {
                text.push(letter);
                class += usize::from(class > 0);
            }
        }
    }
    text
}

/// What Go's `filepath.Match` refuses when it is asked about `.`, as Docker does: it stops at the first star behind
/// which the answer is known, and never sees the mistakes further on.
fn check(pattern: &str) -> Result<(), &'static str> {
    let mut letters = pattern.chars().peekable();
    let mut seen = String::new();
    while let Some(letter) = letters.next() {
        seen.push(letter);
        match letter {
            '*' if !matches!(seen.trim_matches('*'), "" | "." | "?" | "\\.") => return Ok(()),
            '[' => class(&mut letters)?,
            '\\' => seen.push(letters.next().ok_or("ends in a backslash")?),
            _ => {}
        }
    }
    Ok(())
}

/// The rest of a class after its `[`.
fn class(letters: &mut Peekable<Chars<'_>>) -> Result<(), &'static str> {
    letters.next_if_eq(&'^');
    let mut empty = true;
    while empty || letters.next_if_eq(&']').is_none() {
        member(letters)?;
        if letters.next_if_eq(&'-').is_some() {
            member(letters)?;
        }
        empty = false;
    }
    Ok(())
}

fn member(letters: &mut Peekable<Chars<'_>>) -> Result<(), &'static str> {
    const OPEN: &str = "has a `[` without its `]`";
    match letters.next() {
        Some('-' | ']') => Err("has an empty `[]` or a `-` without its end"),
        Some('\\') => letters.next().map(drop).ok_or(OPEN),
        Some(_) => Ok(()),
        None => Err(OPEN),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn without_a_regular_expression_the_same_paths_fit(
            pattern in "[ab*?/.é\n]{1,8}",
            path in "[ab/.é\n]{0,8}",
        ) {
            let mut reading =
                Reading { letters: pattern.chars().peekable(), kind: PatternKind::Exact, text: String::new() };
            reading.all();
            // Of other kinds the expression is not whole.
            prop_assume!(reading.kind == PatternKind::Expression);
            let expression = Regex::new(&format!("^{}$", for_rust(&reading.text))).unwrap();
            prop_assert_eq!(fit(&tokens(&pattern), &path), expression.is_match(&path), "{}", reading.text);
        }
    }
}
