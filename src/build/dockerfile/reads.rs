//! What of its context a Dockerfile can read: the sources of `COPY` and `ADD`, and what `RUN --mount=type=bind` mounts. A file
//! that none of them can reach makes no other image.
//!
//! In doubt it is everything: variables in a path, quotes and escapes, links on the way, instructions and frontends that are not
//! known here. What a base image's `ONBUILD` reads cannot be seen here at all: the builder asks for it, and then it is known.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dockerfile, copied_from, expand, flags, mounts, stage_name};
use crate::build::context::ignore::pattern::Pattern;
use crate::dockerfile::{Instruction, is_heredoc, stages};

/// What a build can read of its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// All of it.
    Everything,
    /// What these paths lead to, and all that lies below.
    Only(BTreeSet<ContextPath>),
}

/// A path in a context, as a Dockerfile names it: `src`, `package*.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContextPath(Vec<String>);

/// How a path of a context lies to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Outside,
    /// The source may lie below it.
    Above,
    /// It is what the source names.
    At,
    /// What the source names holds it.
    Below,
}

/// What every builder knows.
const KNOWN: [&str; 18] = [
    "FROM",
    "RUN",
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ADD",
    "COPY",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "ARG",
    "ONBUILD",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
];

impl Reads {
    /// Whether the build can read this path, or something below it where it is a directory.
    pub(crate) fn includes(&self, path: &str) -> bool {
        self.any(path, |position| matches!(position, Position::At | Position::Below))
    }

    /// Whether the path must be there for the build to read something: it is read, or lies above what is.
    pub(crate) fn needs(&self, path: &str) -> bool {
        self.any(path, |position| position != Position::Outside)
    }

    /// Whether a link at this path would be followed: what it leads to is read, and nobody knows yet what that is.
    pub(crate) fn follows(&self, link: &str) -> bool {
        self.any(link, |position| matches!(position, Position::Above | Position::At))
    }

    /// Whether a path that a builder asks for is among what can be read.
    pub(crate) fn covers(&self, asked: &str) -> bool {
        match (self, ContextPath::parse(asked)) {
            (Self::Everything, _) => true,
            (Self::Only(_), None) => false,
            (Self::Only(sources), Some(asked)) => sources.iter().any(|source| asked.0.starts_with(&source.0)),
        }
    }

    fn any(&self, path: &str, fits: impl Fn(Position) -> bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(sources) => sources.iter().any(|source| fits(source.position(path))),
        }
    }
}

impl ContextPath {
    /// A path as a Dockerfile writes it; `None` for the whole context, and for what only the builder understands.
    fn parse(path: &str) -> Option<Self> {
        if path.contains(['$', '"', '\'', '\\', '`']) {
            return None;
        }
        let mut parts: Vec<String> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                // Any number of directories: what lies above decides.
                part if part.contains("**") => break,
                part => parts.push(part.to_owned()),
            }
        }
        (!parts.is_empty()).then_some(Self(parts))
    }

    fn position(&self, path: &str) -> Position {
        let mut names = path.split('/');
        for part in &self.0 {
            match names.next() {
                None => return Position::Above,
                Some(name) if fits(part, name) => {}
                Some(_) => return Position::Outside,
            }
        }
        if names.next().is_some() { Position::Below } else { Position::At }
    }
}

/// Whether the name of a file is what one part of a source means.
fn fits(part: &str, name: &str) -> bool {
    if part.contains('[') {
        // A class of letters is rare, and whatever it is, it is one name.
        return true;
    }
    if part.contains(['*', '?']) {
        Pattern::compile(part).map_or(true, |one| one.matches(name))
    } else {
        part == name
    }
}

impl Dockerfile {
    /// What a build of this target, or of the last stage, can read of its context with these arguments.
    pub(crate) fn reads(
        &self,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
        platform: &str,
    ) -> Reads {
        let is_known = |one: &Instruction| KNOWN.contains(&one.keyword.as_str());
        if !self.has_plain_syntax()
            || args.contains_key("BUILDKIT_SYNTAX")
            || !self.instructions.iter().all(is_known)
        {
            return Reads::Everything;
        }
        let mut sources = BTreeSet::new();
        let reached = self.reached(target, args, platform);
        let is_reached = |stage: usize| reached.as_ref().is_none_or(|stages| stages.contains(&stage));
        let used = stages(&self.instructions).into_iter().enumerate().filter(|(stage, _)| is_reached(*stage));
        for one in used.flat_map(|(_, stage)| stage) {
            let Some(found) = sources_of(&one.keyword, &one.rest) else { return Reads::Everything };
            sources.extend(found);
        }
        Reads::Only(sources)
    }

    /// Whether Docker's own frontend reads it.
    fn has_plain_syntax(&self) -> bool {
        let Some(syntax) = &self.syntax else { return true };
        let name = syntax.split('@').next().unwrap_or(syntax);
        let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
        ["docker/dockerfile", "docker/dockerfile-upstream"]
            .iter()
            .any(|own| name == *own || name.strip_suffix(own).is_some_and(|before| before.ends_with('/')))
    }

    /// The named stages that the target is made of besides its own, by their numbers; none where that is not known. A stage without a
    /// name is no target for every builder.
    pub(crate) fn other_stages(
        &self,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
        platform: &str,
    ) -> Vec<(usize, &str)> {
        let own = match target {
            Some(target) => self.number_of(target),
            None => self.froms().count().checked_sub(1),
        };
        let reached = self.reached(target, args, platform).unwrap_or_default();
        let others =
            self.froms().enumerate().filter(|(stage, _)| Some(*stage) != own && reached.contains(stage));
        others.filter_map(|(stage, from)| Some((stage, stage_name(from)?))).collect()
    }

    /// The last stage of this name or number.
    fn number_of(&self, name: &str) -> Option<usize> {
        let is_it = |(number, from): &(usize, &Instruction)| {
            stage_name(from).is_some_and(|own| own.eq_ignore_ascii_case(name)) || number.to_string() == name
        };
        self.froms().enumerate().filter(is_it).last().map(|(number, _)| number)
    }

    /// The stages that the target is made of, by their numbers; `None` where a name is not known.
    fn reached(
        &self,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
        platform: &str,
    ) -> Option<BTreeSet<usize>> {
        let values = self.global_values(args, platform);
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, from) in self.froms().enumerate() {
            places.entry(number.to_string()).or_default().push(number);
            if let Some(name) = stage_name(from) {
                places.entry(name.to_ascii_lowercase()).or_default().push(number);
            }
        }
        let stages = stages(&self.instructions);
        let last = stages.len().checked_sub(1);
        let target = target.and_then(|target| places.remove(&target.to_ascii_lowercase()));
        let mut waiting: Vec<usize> = target.unwrap_or_else(|| last.into_iter().collect());
        let mut seen = BTreeSet::new();
        while let Some(at) = waiting.pop() {
            if !seen.insert(at) {
                continue;
            }
            for one in stages[at] {
                for name in stages_of(one).into_iter().map(|name| expand(name, &values)) {
                    if name.is_empty() {
                        return None;
                    }
                    // Each name is followed once.
                    waiting.extend(places.remove(&name.to_ascii_lowercase()).into_iter().flatten());
                }
            }
        }
        Some(seen)
    }
}

/// The stages that an instruction may be about.
fn stages_of(one: &Instruction) -> Vec<&str> {
    if one.keyword == "FROM" {
        return one.rest.split_whitespace().find(|word| !word.starts_with("--")).into_iter().collect();
    }
    if one.keyword == "RUN" {
        let mounts = mounts(&one.rest);
        return mounts
            .flat_map(|mount| mount.split(','))
            .filter_map(|part| part.strip_prefix("from="))
            .collect();
    }
    copied_from(one).into_iter().collect()
}

/// What an instruction reads of the context; `None` for everything.
fn sources_of(keyword: &str, rest: &str) -> Option<Vec<ContextPath>> {
    match keyword {
        "COPY" | "ADD" => copied(rest),
        "RUN" => mounted(rest),
        // It runs where another stage begins with this one, and is never itself another `ONBUILD`.
        "ONBUILD" => {
            let (keyword, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let keyword = keyword.to_uppercase();
            if keyword == "ONBUILD" { None } else { sources_of(&keyword, rest.trim()) }
        }
        _ => Some(Vec::new()),
    }
}

fn copied(rest: &str) -> Option<Vec<ContextPath>> {
    if flags(rest).any(|flag| flag.starts_with("--from=")) {
        return Some(Vec::new());
    }
    let mut plain = rest;
    while let Some(flag) = flags(plain).next() {
        plain = plain[flag.len()..].trim_start();
    }
    let paths: Vec<String> = match serde_json::from_str(plain) {
        Ok(paths) => paths,
        Err(_) => plain.split_whitespace().map(str::to_owned).collect(),
    };
    // The last one is where to. A text in the Dockerfile is no file, and an address is none either.
    let sources = paths.split_last().map_or(&[][..], |(_, sources)| sources);
    let files = sources.iter().filter(|path| !is_heredoc(path) && !path.contains("://"));
    files.map(|path| ContextPath::parse(path)).collect()
}

fn mounted(rest: &str) -> Option<Vec<ContextPath>> {
    let mut sources = Vec::new();
    for mount in mounts(rest) {
        let value = |names: &[&str]| {
            let pairs = mount.split(',').filter_map(|part| part.split_once('='));
            pairs
                .filter(|(name, _)| names.contains(&name.to_lowercase().as_str()))
                .map(|(_, value)| value)
                .next_back()
        };
        match value(&["type"]).unwrap_or("bind") {
            "cache" | "tmpfs" | "secret" | "ssh" => {}
            // An empty name is the context, as none is.
            "bind" if value(&["from"]).is_some_and(|from| !from.is_empty()) => {}
            "bind" => sources.push(ContextPath::parse(value(&["source", "src"]).unwrap_or("."))?),
            _ => return None,
        }
    }
    Some(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, target: Option<&str>) -> Reads {
        Dockerfile::parse(text).reads(target, &BTreeMap::new(), "linux/amd64")
    }

    /// The sources, or `*` for everything.
    fn shown(text: &str) -> Vec<String> {
        match reads(text, None) {
            Reads::Everything => vec!["*".to_owned()],
            Reads::Only(sources) => sources.iter().map(|source| source.0.join("/")).collect(),
        }
    }

    #[test]
    fn what_is_copied_and_mounted_is_read() {
        for (text, sources) in [
            ("FROM a\nRUN make", &[][..]),
            ("FROM a\nCOPY a ./b/ /c/../d e/", &["a", "b", "d"]),
            ("FROM a\nCOPY --chown=1:1 --link [\"a b\", \"/x\"]", &["a b"]),
            ("FROM a\nADD x https://example.com/y /z/", &["x"]),
            ("FROM a\nCOPY package*.json src/**/x /z/", &["package*.json", "src"]),
            ("FROM a\nCOPY <<EOF file /etc/\ntext\nEOF\n", &["file"]),
            (
                "FROM a\nRUN --mount=type=bind,source=go.mod,target=go.mod --mount=type=cache,target=/c x",
                &["go.mod"],
            ),
            (
                "FROM a\nRUN --mount=source=src,target=/s --mount=type=secret,id=a x --mount=target=/y",
                &["src"],
            ),
            ("FROM a\nRUN --mount=type=bind,from=b,target=/b x", &[]),
            ("FROM a AS b\nCOPY a /\nFROM c\nCOPY --from=b /a /a\nCOPY d /", &["a", "d"]),
            ("FROM a AS b\nONBUILD COPY a /\nFROM b\n", &["a"]),
            ("# syntax=docker/dockerfile:1.7\nFROM a\nCOPY a /", &["a"]),
            ("# syntax=mirror.test:5000/docker/dockerfile:1@sha256:00\nFROM a\nCOPY a /", &["a"]),
        ] {
            assert_eq!(shown(text), sources, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_everything() {
        for text in [
            "FROM a\nCOPY . /x",
            "FROM a\nCOPY a/.. /x",
            "FROM a\nADD / /x",
            "FROM a\nCOPY $DIR /x",
            "FROM a\nCOPY \"a b\" /x",
            "FROM a\nCOPY a\\ b /x",
            "FROM a\nCOPY **/*.go /x",
            "FROM a\nRUN --mount=target=/src make",
            "FROM a\nRUN --mount=type=bind,from=,target=/src make",
            "FROM a\nRUN --mount=type=bind,source=$X,target=/src make",
            "FROM a\nRUN --mount=type=other,target=/src make",
            "FROM a\nONBUILD ADD . /x",
            "FROM a\nCOPIES a /x",
            "# syntax=example.com/mine:1\nFROM a\nCOPY a /x",
            "# syntax=notdocker/dockerfile:1\nFROM a\nCOPY a /x",
        ] {
            assert_eq!(reads(text, None), Reads::Everything, "{text}");
        }
        let frontend = [("BUILDKIT_SYNTAX".to_owned(), "x".to_owned())].into();
        assert_eq!(Dockerfile::parse("FROM a\nCOPY a /x").reads(None, &frontend, ""), Reads::Everything);
    }

    #[test]
    fn only_the_stages_of_the_target_count() {
        let text = "ARG LAST=web\nFROM a AS base\nCOPY base /\nFROM base AS web\nCOPY web /\n\
                    FROM base AS test\nCOPY . /\nFROM ${LAST}\nRUN --mount=from=base,target=/b make\n";
        assert_eq!(shown(text), ["base", "web"]);
        assert_eq!(reads(text, Some("TEST")), Reads::Everything);
        assert!(matches!(reads(text, Some("0")), Reads::Only(sources) if sources.len() == 1));
        assert_eq!(
            shown("ARG X\nFROM a AS b\nCOPY b /\nFROM ${X}\n"),
            ["b"],
            "an empty variable may be any stage"
        );
    }

    #[test]
    fn a_path_is_read_where_a_source_leads_to_it() {
        let reads = reads("FROM a\nCOPY src package*.json deep/dir/ /x", None);
        for (path, includes, needs, follows) in [
            ("src", true, true, true),
            ("src/a/b", true, true, false),
            ("srcs", false, false, false),
            ("package.json", true, true, true),
            ("package-lock.json", true, true, true),
            ("deep/package.json", false, false, false),
            ("deep", false, true, true),
            ("deep/dir/x", true, true, false),
            ("README.md", false, false, false),
        ] {
            let found = (reads.includes(path), reads.needs(path), reads.follows(path));
            assert_eq!(found, (includes, needs, follows), "{path}");
        }
        assert!(reads.covers("src") && reads.covers("/src/a") && reads.covers("package*.json"));
        assert!(!reads.covers("") && !reads.covers("deep") && !reads.covers("package.json"));
    }

    #[test]
    fn the_other_stages_of_a_target_are_known_by_their_numbers() {
        let text = "FROM a AS tools\nRUN x\nFROM b AS unused\nFROM tools AS deps\nRUN y\nFROM a\nCOPY --from=deps /a /a\n\
                    RUN --mount=from=0,target=/t z\n";
        let file = Dockerfile::parse(text);
        let of = |target: Option<&str>| file.other_stages(target, &BTreeMap::new(), "linux/amd64");
        assert_eq!(of(None), [(0, "tools"), (2, "deps")]);
        assert_eq!(of(Some("deps")), [(0, "tools")]);
        assert_eq!(of(Some("2")), [(0, "tools")]);
        assert_eq!(of(Some("tools")), []);
        let unknown = "FROM a AS b\nFROM a\nCOPY --from=$X /a /a\n";
        assert!(Dockerfile::parse(unknown).other_stages(None, &BTreeMap::new(), "linux/amd64").is_empty());
    }
}
