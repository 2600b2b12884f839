//! The map of the crate, and a check that the code keeps to it: no module uses one that lies above it or beside it, each
//! library has one owner, and no directory grows without end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// From top to bottom. A module may use those of the lines below its own, and no other of its line.
const LEVELS: &[&[&str]] = &[
    &["cli", "fuzzing"],
    &["pipeline"],
    &["tier"],
    &["build", "test", "release", "cleanup", "init", "doctor"],
    &["manifest", "rollout", "record", "proof"],
    &["schema"],
    &["cluster", "engine", "registry", "git", "gitlab"],
    &["http"],
    &["secret"],
    &["project"],
    &["session"],
    &["report"],
    &["program"],
    &["graph", "expression", "dockerfile"],
    &["error"],
    &["model"],
    &["text"],
];

/// Where each library is at home: no other module may name it.
const OWNERS: &[(&str, &[&str])] = &[
    ("kube", &["cluster"]),
    ("bollard", &["engine"]),
    ("reqwest", &["registry", "http"]),
    ("git2", &["git"]),
    ("clap", &["cli"]),
    ("indicatif", &["report"]),
    ("getrandom", &["text"]),
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

/// More files than this, and nobody finds anything in a directory.
const MOST_FILES: usize = 13;

/// One path in the code: `crate::report::Event` in line 7 of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    file: PathBuf,
    line: usize,
    /// As it stands there, `super` included.
    path: Vec<String>,
    /// The module in which it stands, `["release", "plan", "tests"]`.
    within: Vec<String>,
}

impl Mention {
    /// The path from the root of the crate; `None` where it is not one of this crate, or begins at a child.
    fn resolve(&self) -> Option<Vec<String>> {
        let mut base = match self.path.first()?.as_str() {
            "crate" => return Some(self.path[1..].to_vec()),
            "self" | "super" => self.within.clone(),
            _ => return None,
        };
        let ups = self.path.iter().filter(|name| *name == "super").count();
        base.truncate(base.len().checked_sub(ups)?);
        base.extend(self.path.iter().filter(|name| *name != "super" && *name != "self").cloned());
        Some(base)
    }
}

impl fmt::Display for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.path.join("::"))
    }
}

/// All paths of a source file, each once for each line; comments and texts have none.
fn mentions(file: &Path, source: &str) -> Vec<Mention> {
    let tokens = TokenStream::from_str(source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut found = BTreeSet::new();
    Reader { file, found: &mut found }.read(tokens, &module_of(file));
    found.into_iter().collect()
}

/// `release/plan/mod.rs` → `["release", "plan"]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        file.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

struct Reader<'a> {
    file: &'a Path,
    found: &'a mut BTreeSet<Mention>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream, within: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word)
                    if word == "mod"
                        && let Some((name, body)) = inline_module(&tokens[at..]) =>
                {
                    self.read(body, &[within, &[name]].concat());
                    at += 3;
                }
                TokenTree::Ident(_) => at += self.path(&tokens[at..], &[], within),
                TokenTree::Group(group) => {
                    self.read(group.stream(), within);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Takes the path at the beginning of these tokens, a tree of `use` with all its leaves; how many tokens it has.
    fn path(&mut self, tokens: &[TokenTree], prefix: &[String], within: &[String]) -> usize {
        let mut path = prefix.to_vec();
        let mut at = 0;
        let line = tokens[0].span().start().line;
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(name)) => path.push(name.to_string()),
                Some(TokenTree::Group(group)) if at > 0 && group.delimiter() == Delimiter::Brace => {
                    self.branches(group.stream(), &path, within);
                    return at + 1;
                }
                // `::<T>` and `::*`: the path ends here, what follows is read as anything else is.
                _ => break,
            }
            at += 1;
            if !(is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))) {
                break;
            }
            at += 2;
        }
        if path.len() > 1 {
            let file = self.file.to_path_buf();
            self.found.insert(Mention { file, line, path, within: within.to_vec() });
        }
        at.max(1)
    }

    /// `{a::B, c::{D, E}}` of a `use`.
    fn branches(&mut self, tokens: TokenStream, prefix: &[String], within: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',')) {
            match branch.first() {
                Some(TokenTree::Ident(_)) => {
                    self.path(branch, prefix, within);
                }
                // `use crate::{self}` is nobody's habit, `*` is: the module itself.
                Some(other) => {
                    let line = other.span().start().line;
                    let (file, path) = (self.file.to_path_buf(), prefix.to_vec());
                    self.found.insert(Mention { file, line, path, within: within.to_vec() });
                }
                None => {}
            }
        }
    }
}

/// `mod name { … }`
fn inline_module(tokens: &[TokenTree]) -> Option<(String, TokenStream)> {
    match tokens {
        [_, TokenTree::Ident(name), TokenTree::Group(body), ..] if body.delimiter() == Delimiter::Brace => {
            Some((name.to_string(), body.stream()))
        }
        _ => None,
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

/// The line of [`LEVELS`] that has this module.
fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|line| line.contains(&module))
}

/// From which module of the crate's root to which other this leads; `None` within one.
fn arrow<'a>(mention: &'a Mention, target: &'a [String]) -> Option<(&'a str, &'a str)> {
    let (from, to) = (mention.within.first()?, target.first()?);
    (from != to).then_some((from.as_str(), to.as_str()))
}

/// What is wrong with the arrows: `(from, to)` and where it stands.
fn arrows_against(mentions: &[Mention]) -> BTreeMap<(String, String), Vec<String>> {
    let mut against: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for mention in mentions {
        let Some(target) = mention.resolve() else { continue };
        let Some((from, to)) = arrow(mention, &target) else { continue };
        let (Some(upper), Some(lower)) = (level(from), level(to)) else { continue };
        if upper >= lower {
            against.entry((from.to_owned(), to.to_owned())).or_default().push(mention.to_string());
        }
    }
    against
}

/// Which modules of one parent lead to which other, and where: tests left out, which may look at everything.
fn arrows_between_siblings(mentions: &[Mention]) -> BTreeMap<Vec<String>, Arrows> {
    let modules: BTreeSet<&[String]> = mentions.iter().map(|mention| mention.within.as_slice()).collect();
    let is_module = |path: &[String]| modules.iter().any(|module| module.starts_with(path));
    let mut between: BTreeMap<Vec<String>, Arrows> = BTreeMap::new();
    for mention in mentions.iter().filter(|mention| !mention.within.iter().any(|name| name == "tests")) {
        let Some(target) = mention.resolve() else { continue };
        let shared = mention.within.iter().zip(&target).take_while(|(one, other)| one == other).count();
        let (Some(from), Some(to)) = (mention.within.get(shared), target.get(shared)) else { continue };
        if shared > 0 && is_module(&target[..=shared]) {
            let arrows = between.entry(target[..shared].to_vec()).or_default();
            arrows.entry((from.clone(), to.clone())).or_default().push(mention.to_string());
        }
    }
    between
}

/// From one module to another, and where.
type Arrows = BTreeMap<(String, String), Vec<String>>;

/// The arrows that lie on a circle.
fn circular(arrows: &Arrows) -> Arrows {
    let leads = |from: &str, to: &str| {
        let (mut seen, mut ahead) = (BTreeSet::from([from]), vec![from]);
        while let Some(here) = ahead.pop() {
            let next = arrows.keys().filter(|(one, _)| one == here).map(|(_, other)| other.as_str());
            ahead.extend(next.filter(|other| seen.insert(other)));
        }
        seen.contains(to)
    };
    let on_circle = arrows.iter().filter(|((from, to), _)| leads(to, from));
    on_circle.map(|(arrow, places)| (arrow.clone(), places.clone())).collect()
}

/// The libraries that modules name which are not their owners: `(module, library)` and the files.
fn libraries_abroad(mentions: &[Mention]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut abroad: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for mention in mentions {
        let Some((library, owners)) = OWNERS.iter().find(|(library, _)| mention.path[0] == *library) else {
            continue;
        };
        let Some(module) = mention.within.first() else { continue };
        if !owners.contains(&module.as_str()) {
            let files = abroad.entry((module.clone(), (*library).to_owned())).or_default();
            files.insert(mention.file.display().to_string());
        }
    }
    abroad
}

/// The names of labels that are spelled out in these tokens, those in the module `tests` left out.
fn spelled_labels(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let is_tests = at > 0 && matches!(&tokens[at - 1], TokenTree::Ident(name) if name == "tests");
        match token {
            TokenTree::Group(group) if !is_tests => spelled_labels(group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let name = text.strip_prefix("\"windlass.dev/").and_then(|rest| rest.strip_suffix('"'));
                if name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
                {
                    found.push(format!("line {}: {text}", literal.span().start().line));
                }
            }
            _ => {}
        }
    }
}

/// Fails with the places where something is that must not be.
fn must_be_none(what: &str, there: impl IntoIterator<Item = (String, Vec<String>)>) {
    let told =
        |(name, places): (String, Vec<String>)| format!("{what}: {name}:\n    {}", places.join("\n    "));
    let told: Vec<String> = there.into_iter().map(told).collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

/// Every source file below `src`, with its path from there.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut sources, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                sources.push((path.strip_prefix(&root).expect("it lies below it").to_path_buf(), text));
            }
        }
    }
    sources.sort();
    sources
}

fn all_mentions() -> Vec<Mention> {
    sources().iter().flat_map(|(file, text)| mentions(file, text)).collect()
}

#[test]
fn no_module_uses_one_above_or_beside_it() {
    let there = arrows_against(&all_mentions())
        .into_iter()
        .map(|((from, to), places)| (format!("{from} → {to}"), places));
    must_be_none("against the layers", there);
}

#[test]
fn no_two_modules_of_one_parent_need_each_other() {
    let there = arrows_between_siblings(&all_mentions()).into_iter().flat_map(|(parent, arrows)| {
        let named = move |((from, to), places): ((String, String), Vec<String>)| {
            (format!("{}: {from} → {to}", parent.join("::")), places)
        };
        circular(&arrows).into_iter().map(named)
    });
    must_be_none("on a circle", there);
}

#[test]
fn a_circle_of_modules_is_seen() {
    let files = [
        ("engine/a.rs", "use crate::engine::b::B;"),
        ("engine/b/mod.rs", "use super::c;"),
        ("engine/c.rs", "fn f() { crate::engine::a::f() } mod tests { use crate::engine::d; }"),
        ("engine/d.rs", "use super::a;"),
    ];
    let all: Vec<Mention> =
        files.iter().flat_map(|(file, source)| mentions(Path::new(file), source)).collect();
    let between = arrows_between_siblings(&all);
    let found: Vec<_> = circular(&between[&vec!["engine".to_owned()]]).into_keys().collect();
    let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(found, [arrow("a", "b"), arrow("b", "c"), arrow("c", "a")]);
}

#[test]
fn every_module_of_the_root_has_its_layer() {
    let modules: BTreeSet<String> =
        sources().iter().filter_map(|(file, _)| module_of(file).first().cloned()).collect();
    for module in &modules {
        assert!(level(module).is_some(), "`{module}` stands in no line of LEVELS in tests/layers.rs");
    }
}

#[test]
fn every_library_has_one_owner() {
    let there = libraries_abroad(&all_mentions())
        .into_iter()
        .map(|((module, library), files)| (format!("{module} names {library}"), files.into_iter().collect()));
    must_be_none("a library away from home", there);
}

#[test]
fn directories_stay_small() {
    let mut directories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, _) in sources() {
        let directory = file.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
        directories.entry(directory).or_default().push(file.display().to_string());
    }
    let full = directories.into_iter().filter(|(name, files)| !name.is_empty() && files.len() > MOST_FILES);
    must_be_none("too full", full);
}

#[test]
fn every_file_says_why_it_exists_and_has_a_name_that_says_what() {
    for (file, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not begin with `//!`", file.display());
        let module = module_of(&file);
        let empty = module.iter().find(|name| EMPTY_NAMES.contains(&name.as_str()));
        assert!(empty.is_none(), "{}: `{}` says nothing", file.display(), empty.map_or("", String::as_str));
    }
}

#[test]
fn labels_are_spelled_in_one_place() {
    let sources = sources().into_iter().filter(|(file, _)| {
        !file.ends_with("model/labels.rs") && !file.iter().any(|name| name == "tests" || name == "tests.rs")
    });
    let there = sources.filter_map(|(file, text)| {
        let mut found = Vec::new();
        spelled_labels(TokenStream::from_str(&text).expect("the crate compiles"), &mut found);
        (!found.is_empty()).then(|| (file.display().to_string(), found))
    });
    must_be_none("a label spelled out instead of model::labels::…", there);
}

#[test]
fn a_label_that_is_spelled_out_is_seen() {
    let count = |source: &str| {
        let mut found = Vec::new();
        spelled_labels(TokenStream::from_str(source).expect("tokens"), &mut found);
        found.len()
    };
    assert_eq!(count("fn f() { json!({\"windlass.dev/tier\": 1}) }"), 1);
    assert_eq!(count("const A: &str = \"set windlass.dev/prune: never\";"), 0);
    assert_eq!(count("mod tests { const A: &str = \"windlass.dev/tier\"; }"), 0);
}

/// The arrows of a file against the layers, as `line path`.
fn against(file: &str, source: &str) -> Vec<String> {
    let places = arrows_against(&mentions(Path::new(file), source)).into_values().flatten();
    places.map(|place| place.split_once(':').expect("file and line").1.to_owned()).collect()
}

#[test]
fn an_arrow_up_is_seen_however_it_is_written() {
    assert_eq!(against("error.rs", "use crate::report::Event;"), ["1: crate::report::Event"]);
    assert_eq!(against("error.rs", "use crate::{model::Verdict,\n report::{Event, Sink}};").len(), 2);
    assert_eq!(against("error.rs", "use crate::report::*;"), ["1: crate::report"]);
    assert_eq!(against("error.rs", "fn f() -> crate::report::Event { todo!() }").len(), 1);
    assert_eq!(against("error.rs", "fn f() { println!(\"{}\", crate::report::NAME) }").len(), 1);
    assert_eq!(against("error.rs", "pub use crate::report as r;").len(), 1);
    assert_eq!(against("cluster/watch.rs", "use super::super::rollout::Cause;").len(), 1);
    assert_eq!(against("error.rs", "#[cfg(test)] mod tests { use super::super::report::Event; }").len(), 1);
    assert_eq!(against("error.rs", "use crate::{report};"), ["1: crate::report"]);
}

#[test]
fn an_arrow_across_is_seen_and_one_down_is_right() {
    assert_eq!(against("engine/mod.rs", "use crate::registry::Digest;").len(), 1);
    assert_eq!(against("engine/mod.rs", "use crate::{model::Digest, error::Error};"), Vec::<String>::new());
    assert_eq!(
        against("engine/mod.rs", "use super::engine::Engine; use self::pull::Pull;"),
        Vec::<String>::new()
    );
}

#[test]
fn comments_and_texts_are_no_arrows() {
    assert_eq!(
        against(
            "error.rs",
            "//! [`crate::report`]\n/* crate::report::A */ const A: &str = \"crate::report::B\";"
        )
        .len(),
        0
    );
}

#[test]
fn a_library_away_from_home_is_seen() {
    let abroad = |file: &str, source: &str| libraries_abroad(&mentions(Path::new(file), source)).len();
    assert_eq!(abroad("build/push.rs", "use bollard::Docker;"), 1);
    assert_eq!(abroad("build/push.rs", "fn f(d: &bollard::Docker) {}"), 1);
    assert_eq!(abroad("engine/mod.rs", "use bollard::Docker;"), 0);
}
