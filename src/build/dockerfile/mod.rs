//! What windlass needs to know about a Dockerfile before the builder reads it: the registries that it pulls from, and
//! the line of a step that fails.
//!
//! Only the builder checks the syntax; nothing is refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::dockerfile::{Instruction, has_heredoc, instructions, stages};
use crate::project::ImageConfig;
use crate::text::nearest;

pub(crate) mod reads;

/// A Dockerfile, instruction by instruction.
#[derive(Debug)]
pub(crate) struct Dockerfile {
    instructions: Vec<Instruction>,
    /// The image that reads it, where it names one.
    syntax: Option<String>,
    /// Names that lead to a context besides the build's own: none of an image.
    contexts: BTreeSet<String>,
}

/// Something that old builders do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnsupportedSyntax {
    pub(super) line: u32,
    /// What a person calls it.
    pub(super) what: &'static str,
    /// The first Engine whose own builder knows it.
    pub(super) engine: u32,
}

/// `[build 4/6] RUN make`, `[2/3] COPY a b`, `[linux/amd64 build 2/3] …`.
static STEP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\[(?:(?:[a-z0-9]+/\S+ )?(\S+) )?\s*(\d+)/(\d+)\] +(\S+) ?(.*)$")
        .expect("the pattern is a constant")
});
/// The classic builder's name for a step.
static CLASSIC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\[\d+/\d+\] )?Step (\d+)/\d+ : (\S+)").expect("the pattern is a constant")
});
/// `dockerfile parse error line 3: …`, `parse error on line 3`, `Dockerfile:3`.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?:[Dd]ockerfile (?:parse|syntax) error|parse error)(?: on)? line (\d+)|[Dd]ockerfile:(\d+)\b",
    )
    .expect("the pattern is a constant")
});
/// `# syntax=docker/dockerfile:1`
static SYNTAX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^#\s*syntax\s*=\s*(\S+)").expect("the pattern is a constant"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?([-+])([^}]*))?\})")
        .expect("the pattern is a constant")
});

impl Dockerfile {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let directives = text.lines().take_while(|line| line.trim_start().starts_with('#'));
        let mut named = directives.clone().filter_map(|line| SYNTAX.captures(line.trim_start()));
        let syntax = named.next().map(|found| found[1].to_owned());
        Self { instructions: instructions(text), syntax, contexts: BTreeSet::new() }
    }

    /// As the image's configuration has it built: with contexts beside its own.
    pub(super) fn of(text: &str, image: &ImageConfig) -> Self {
        let contexts = image.contexts.keys().map(|name| name.to_ascii_lowercase()).collect();
        Self { contexts, ..Self::parse(text) }
    }

    /// The first thing that the builder of this Engine does not know, where the Dockerfile does not bring its own builder.
    pub(super) fn unknown_to(&self, engine: u32) -> Option<UnsupportedSyntax> {
        let novelties = self.instructions.iter().filter_map(unsupported_syntax);
        novelties.filter(|_| self.syntax.is_none()).find(|one| one.engine > engine)
    }

    /// The images that this build pulls, the one that reads the Dockerfile included, as the builder will see their names with
    /// these build arguments.
    pub(super) fn images(&self, args: &BTreeMap<String, String>, platform: &str) -> Vec<String> {
        let bases = self.bases(args, platform).into_iter().map(|(_, name)| name);
        let mut images: Vec<String> = bases.chain(self.syntax.clone()).collect();
        images.sort();
        images.dedup();
        images
    }

    /// As [`Dockerfile::images`], each with the line that names it.
    pub(super) fn bases(&self, args: &BTreeMap<String, String>, platform: &str) -> Vec<(u32, String)> {
        let values = self.global_values(args, platform);
        let stages = self.stages().into_iter().map(str::to_ascii_lowercase);
        let stages: BTreeSet<String> = stages.chain(self.contexts.iter().cloned()).collect();
        let named = |from: &'_ Instruction| -> Option<String> {
            from.rest.split_whitespace().find(|word| !word.starts_with("--")).map(str::to_owned)
        };
        let froms = self.froms().filter_map(|from| Some((from.line, named(from)?)));
        let copied =
            self.instructions.iter().filter_map(|one| Some((one.line, copied_from(one)?.to_owned())));
        let all = froms.chain(copied).map(|(line, name)| (line, expand(&name, &values)));
        all.filter(|(_, name)| !is_stage(name, &stages) && name != "scratch").collect()
    }

    /// The names of its stages, in their order.
    pub(super) fn stages(&self) -> Vec<&str> {
        self.froms().filter_map(stage_name).collect()
    }

    /// Whether a build can have this target: a stage's name or number.
    pub(super) fn has_stage(&self, target: &str) -> bool {
        target.parse::<usize>().map_or_else(
            |_| self.stages().iter().any(|stage| stage.eq_ignore_ascii_case(target)),
            |number| number < self.froms().count(),
        )
    }

    /// The line and the name by which something is copied from a stage that there is not, where a builder's step or its
    /// message speaks of an image of that name.
    pub(super) fn missing_stage(&self, step: &str, message: &str) -> Option<(u32, &str)> {
        let is_bare = |name: &&str| !name.contains(['/', ':', '@', '$']);
        let copied = self.instructions.iter().filter_map(|one| Some((one.line, copied_from(one)?)));
        let speaks_of = |name: &str| {
            let forms = [format!("/library/{name}/"), format!("/library/{name}:")];
            forms.iter().any(|form| step.contains(form) || message.contains(form))
        };
        // An image of a short name may well be meant; a slip is near to a stage.
        let is_slip = |name: &str| nearest(name, self.stages().into_iter()).is_some();
        copied
            .filter(|(_, name)| is_bare(name) && speaks_of(name))
            .find(|(_, name)| !self.has_stage(name) && is_slip(name))
    }

    /// First and last line of the step that the builder calls by this name, or that its message speaks of.
    pub(super) fn lines_of(&self, step: &str, message: &str) -> Option<(u32, u32)> {
        if let Some((line, _)) = self.missing_stage(step, message) {
            return Some((line, line));
        }
        self.step(step).map(|found| (found.line, found.end)).or_else(|| {
            let found = LINE.captures(message)?;
            let line = found.get(1).or_else(|| found.get(2))?.as_str().parse().ok()?;
            Some((line, line))
        })
    }

    /// First and last line of the first instruction that asks for what a builder must be allowed.
    pub(super) fn lines_that_want(&self, entitlement: &str) -> Option<(u32, u32)> {
        let flag = match entitlement {
            "network.host" => "--network=host",
            "security.insecure" => "--security=insecure",
            _ => return None,
        };
        let asks = |one: &&Instruction| one.keyword == "RUN" && flags(&one.rest).any(|own| own == flag);
        self.instructions.iter().find(asks).map(|found| (found.line, found.end))
    }

    /// The ids of the secrets that are mounted, each with its line.
    pub(super) fn secrets(&self) -> Vec<(u32, String)> {
        self.instructions.iter().flat_map(|one| secrets(one).into_iter().map(|id| (one.line, id))).collect()
    }

    /// The ids of the secrets that the step of this name mounts.
    pub(super) fn secrets_of(&self, step: &str) -> Vec<String> {
        self.step(step).map(secrets).unwrap_or_default()
    }

    fn step(&self, name: &str) -> Option<&Instruction> {
        if let Some(image) = name.strip_prefix("[internal] load metadata for ") {
            let short = image.rsplit('/').next().unwrap_or(image).trim_end_matches(":latest");
            return self.froms().find(|from| from.rest.contains(short)).or_else(|| self.only_from());
        }
        if let Some(parts) = CLASSIC.captures(name) {
            // Podman counts otherwise than Docker: each stage by itself, and nothing that stands before the first.
            if let Some(only) = self.written(name.split_once(" : ")?.1) {
                return Some(only);
            }
            let found = self.instructions.get(parts[1].parse::<usize>().ok()?.checked_sub(1)?)?;
            return (found.keyword == parts[2].to_uppercase()).then_some(found);
        }
        let parts = STEP.captures(name)?;
        let (number, keyword) = (parts[2].parse::<usize>().ok()?, &parts[4]);
        let stage = self.stage(parts.get(1).map(|stage| stage.as_str()))?;
        let steps: Vec<&Instruction> = stage.iter().filter(|one| is_step(one)).collect();
        // A stage from `scratch` or from another stage pulls nothing: its first step is its first instruction.
        let pulls = usize::from(parts[3].parse::<usize>().ok()? > steps.len());
        if pulls == 1 && number == 1 {
            return stage.first();
        }
        let found = steps.get(number.checked_sub(1 + pulls)?)?;
        (found.keyword == keyword.to_uppercase()).then_some(*found)
    }

    /// The only instruction that is written so.
    fn written(&self, text: &str) -> Option<&Instruction> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_it = |one: &&Instruction| {
            let own = std::iter::once(one.keyword.as_str()).chain(one.rest.split_whitespace());
            own.map(str::to_lowercase).eq(words.iter().map(|word| word.to_lowercase()))
        };
        let mut found = self.instructions.iter().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }

    /// The instructions of a stage from its `FROM` on: by name, by `stage-<number>`, or the only one.
    fn stage(&self, name: Option<&str>) -> Option<&[Instruction]> {
        let stages = stages(&self.instructions);
        let index = match name {
            None => stages.len().checked_sub(1)?,
            Some(name) => {
                let named = |stage: &&[Instruction]| {
                    stage_name(&stage[0]).is_some_and(|own| own.eq_ignore_ascii_case(name))
                };
                stages.iter().position(named).or_else(|| name.strip_prefix("stage-")?.parse().ok())?
            }
        };
        stages.get(index).copied()
    }

    fn froms(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.iter().filter(|one| one.keyword == "FROM")
    }

    fn only_from(&self) -> Option<&Instruction> {
        let mut froms = self.froms();
        froms.next().filter(|_| froms.next().is_none())
    }

    /// The values of `ARG`s before the first `FROM`, and those that every build has.
    fn global_values(&self, args: &BTreeMap<String, String>, platform: &str) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        let (os, machine) = platform.split_once('/').unwrap_or(("linux", platform));
        for side in ["TARGET", "BUILD"] {
            values.insert(format!("{side}PLATFORM"), platform.to_owned());
            values.insert(format!("{side}OS"), os.to_owned());
            values.insert(format!("{side}ARCH"), machine.to_owned());
        }
        for one in self.instructions.iter().take_while(|one| one.keyword != "FROM") {
            for declared in one.rest.split_whitespace().filter(|_| one.keyword == "ARG") {
                let (name, default) = declared.split_once('=').unwrap_or((declared, ""));
                let default = expand(default.trim_matches(['"', '\'']), &values);
                values.insert(name.to_owned(), args.get(name).cloned().unwrap_or(default));
            }
        }
        values
    }
}

fn unsupported_syntax(one: &Instruction) -> Option<UnsupportedSyntax> {
    let copies = matches!(one.keyword.as_str(), "COPY" | "ADD");
    let runs = copies || one.keyword == "RUN";
    let flag = |name: &str| {
        flags(&one.rest)
            .any(|flag| flag == name || flag.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
    };
    let (what, engine) = if runs && has_heredoc(one) {
        ("here-documents (`<<`)", 23)
    } else if copies && flag("--link") {
        ("`--link`", 23)
    } else if one.keyword == "ADD" && flag("--checksum") {
        ("`--checksum`", 25)
    } else if one.keyword == "ADD" && flag("--keep-git-dir") {
        ("`--keep-git-dir`", 23)
    } else if copies && flag("--exclude") {
        ("`--exclude`", 29)
    } else if one.keyword == "COPY" && flag("--parents") {
        ("`--parents`", 29)
    } else if one.keyword == "RUN" && flag("--network") {
        ("`--network`", 23)
    } else if one.keyword == "RUN" && flag("--security") {
        ("`--security`", 29)
    } else if one.keyword == "RUN" && mounts_to_variable(one) {
        ("secrets in variables (`env=`)", 27)
    } else {
        return None;
    };
    Some(UnsupportedSyntax { line: one.line, what, engine })
}

/// `RUN --mount=type=secret,id=token,env=TOKEN`
fn mounts_to_variable(one: &Instruction) -> bool {
    secret_mounts(&one.rest).any(|mount| mount.split(',').any(|term| term.starts_with("env=")))
}

/// `--mount=…` and others, which stand before everything else.
fn flags(rest: &str) -> impl Iterator<Item = &str> {
    rest.split_whitespace().take_while(|word| word.starts_with("--"))
}

/// What stands behind each `--mount=`.
fn mounts(rest: &str) -> impl Iterator<Item = &str> {
    flags(rest).filter_map(|flag| flag.strip_prefix("--mount="))
}

fn secret_mounts(rest: &str) -> impl Iterator<Item = &str> {
    mounts(rest).filter(|mount| mount.split(',').any(|term| term == "type=secret"))
}

/// The instructions that the builder counts as steps.
fn is_step(one: &Instruction) -> bool {
    matches!(one.keyword.as_str(), "RUN" | "COPY" | "ADD" | "WORKDIR")
}

/// `build` of `FROM image AS build`.
fn stage_name(from: &Instruction) -> Option<&str> {
    let mut words = from.rest.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("as"));
    words.nth(1)
}

/// The ids of the secrets that an instruction mounts: the name of the file, where none is given.
fn secrets(one: &Instruction) -> Vec<String> {
    if one.keyword != "RUN" {
        return Vec::new();
    }
    let id = |mount: &str| {
        let value = |names: &[&str]| {
            let mut terms = mount.split(',').filter_map(|term| term.split_once('='));
            terms.find(|(name, _)| names.contains(name)).map(|(_, value)| value.to_owned())
        };
        let of_target = || {
            let target = value(&["target", "dst", "destination"])?;
            Some(target.rsplit('/').next()?.to_owned())
        };
        value(&["id", "source", "src"]).or_else(of_target)
    };
    // What a variable stands for is not known here.
    secret_mounts(&one.rest).filter_map(id).filter(|id| !id.contains('$')).collect()
}

fn copied_from(one: &Instruction) -> Option<&str> {
    match one.keyword.as_str() {
        "COPY" | "ADD" => flags(&one.rest).find_map(|flag| flag.strip_prefix("--from=")),
        "RUN" => {
            mounts(&one.rest).flat_map(|mount| mount.split(',')).find_map(|part| part.strip_prefix("from="))
        }
        _ => None,
    }
}

fn is_stage(name: &str, stages: &BTreeSet<String>) -> bool {
    name.parse::<usize>().is_ok() || stages.contains(&name.to_ascii_lowercase())
}

/// No image's name is longer. An `ARG` may double the one before it, sixty times.
const LONGEST: usize = 4096;

/// `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, as far as they are known; nothing where that is longer than any name.
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut length = text.len();
    let value = |found: &regex::Captures<'_>| {
        let name = found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str());
        let value = values.get(name).map(String::as_str).unwrap_or_default();
        let value = match (found.get(3).map(|sign| sign.as_str()), found.get(4)) {
            (Some("-"), Some(default)) if value.is_empty() => default.as_str(),
            (Some("+"), Some(other)) if !value.is_empty() => other.as_str(),
            _ => value,
        };
        length += value.len();
        if length > LONGEST { String::new() } else { value.to_owned() }
    };
    let expanded = VARIABLE.replace_all(text, value).into_owned();
    if length > LONGEST { String::new() } else { expanded }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "\
ARG BASE=docker.io/library
ARG TAG=\"3.11\"

# Compiles.
FROM ${BASE}/python:${TAG} AS build
WORKDIR /src
COPY requirements.txt \\
  # and how to build
     build.py ./
RUN <<EOT
make
EOT
RUN false

FROM --platform=$BUILDPLATFORM ${BASE}/nginx${SUFFIX:-:1} as web
COPY --from=build /a /a
COPY --from=registry.test:5000/tools /b /b
RUN --mount=type=bind,from=cache.test/x,target=/y make

FROM web
ENV A=b
RUN make --of web
FROM scratch
ADD x y
";

    fn args(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_images_it_pulls_have_their_arguments_filled_in() {
        let images = Dockerfile::parse(SHOP).images(&args(&[("BASE", "mirror.test")]), "linux/amd64");
        let expected =
            ["cache.test/x", "mirror.test/nginx:1", "mirror.test/python:3.11", "registry.test:5000/tools"];
        assert_eq!(images, expected);
    }

    #[test]
    fn arguments_that_double_name_no_image() {
        let doubling: String = (1..60).map(|at| format!("ARG A{at}=$A{}$A{}\n", at - 1, at - 1)).collect();
        let text = format!("ARG A0=abcdefgh\n{doubling}FROM x/$A3\nFROM x/$A59\nFROM y\n");
        let images = Dockerfile::parse(&text).images(&args(&[]), "linux/amd64");
        let eight = "abcdefgh".repeat(8);
        assert_eq!(images, ["x/".to_owned(), format!("x/{eight}"), "y".to_owned()]);
    }

    #[test]
    fn a_failing_step_is_found_by_the_builder_s_name_for_it() {
        let file = Dockerfile::parse(SHOP);
        for (step, line) in [
            ("[build 1/5] FROM docker.io/library/python:3.11", Some(5)),
            ("[build 2/5] WORKDIR /src", Some(6)),
            ("[build 3/5] COPY requirements.txt build.py ./", Some(7)),
            ("[build 4/5] RUN <<EOT (make)", Some(10)),
            ("[build 5/5] RUN false", Some(13)),
            ("[web 2/4] COPY --from=build /a /a", Some(16)),
            ("[linux/amd64 web 4/4] RUN --mount=type=bind make", Some(18)),
            ("[stage-2 1/1] RUN make --of web", Some(22)),
            ("[stage-3 1/1] ADD x y", Some(24)),
            ("[internal] load metadata for docker.io/library/python:3.11", None),
            ("[internal] load build context", None),
            ("[build 5/5] COPY something else", None),
            ("Step 5/18 : COPY requirements.txt build.py ./", Some(7)),
            ("Step 1/18 : COPY others ./", None),
            ("[1/2] Step 1/3 : COPY requirements.txt build.py ./", Some(7)),
        ] {
            assert_eq!(file.lines_of(step, "").map(|(first, _)| first), line, "{step}");
        }
    }

    #[test]
    fn a_single_stage_has_no_name() {
        let file = Dockerfile::parse(
            "# syntax=docker/dockerfile:1\n# escape=`\n\nfrom busybox:gone\nrun a `\n  b\nrun c",
        );
        assert_eq!(file.lines_of("[2/3] RUN a   b", ""), Some((5, 6)));
        assert_eq!(file.lines_of("[3/3] RUN c", ""), Some((7, 7)));
        let metadata = "[internal] load metadata for docker.io/library/busybox:gone";
        assert_eq!(file.lines_of(metadata, ""), Some((4, 4)));
    }

    #[test]
    fn what_an_old_engine_does_not_know_is_found() {
        let unknown =
            |text: &str, engine| Dockerfile::parse(text).unknown_to(engine).map(|one| (one.line, one.what));
        assert_eq!(unknown(SHOP, 20), Some((10, "here-documents (`<<`)")));
        assert_eq!(unknown(SHOP, 23), None);
        assert_eq!(unknown("FROM a\nCOPY --chown=1 --link=true a b", 20), Some((2, "`--link`")));
        assert_eq!(unknown("FROM a\nCOPY --from=x a --link", 20), None);
        assert_eq!(unknown("FROM a\nADD --checksum=sha256:0 http://x /", 24), Some((2, "`--checksum`")));
        assert_eq!(unknown("FROM a\nRUN echo $((1<<N)) && echo 'a<<b'", 20), None);
        assert_eq!(unknown("# Syntax = docker/dockerfile:1\nFROM a\nRUN <<EOT\nx\nEOT\n", 20), None);
    }

    #[test]
    fn a_line_is_taken_from_the_message_where_no_step_failed() {
        let file = Dockerfile::parse("FROM a\nRUNN x");
        let message =
            "failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN";
        assert_eq!(file.lines_of("", message), Some((2, 2)));
        assert_eq!(file.lines_of("", "Dockerfile:7\n-----"), Some((7, 7)));
        assert_eq!(file.lines_of("", "something else"), None);
    }
}
