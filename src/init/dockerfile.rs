//! What a Dockerfile says about the container that runs its image: EXPOSE, HEALTHCHECK, VOLUME, USER, CMD.
//!
//! The builder is the judge of the syntax; here nothing is refused, and what cannot be known is said to be unknown.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::dockerfile::{Instruction, has_heredoc, instructions, stages};
use crate::init::container::{Container, Port};
use crate::init::healthcheck::{Healthcheck, seconds};

/// A Dockerfile, instruction by instruction.
#[derive(Debug)]
pub(super) struct Dockerfile {
    instructions: Vec<Instruction>,
}

type Values = BTreeMap<String, String>;

/// No value is longer: an `ARG` may double the one before it, sixty times.
const LONGEST: usize = 4096;

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?(-)([^}]*))?\})")
        .expect("the pattern is a constant")
});

impl Dockerfile {
    /// Reads the instructions.
    pub(super) fn parse(text: &str) -> Self {
        Self { instructions: instructions(text) }
    }

    /// What the container of the last stage, or of this one, is known to be.
    pub(super) fn container(&self, target: Option<&str>) -> Container {
        let mut found = Container::default();
        let mut values = Values::new();
        let globals = self.globals();
        let mut entrypoint = None;
        for one in self.stage(target) {
            match one.keyword.as_str() {
                "ARG" => declare(&mut values, &one.rest, &globals),
                "ENV" => set(&mut values, &one.rest),
                "EXPOSE" => expose(&mut found, one, &values),
                "VOLUME" => {
                    let paths = list(&one.rest).unwrap_or_else(|| words(&one.rest));
                    for path in paths {
                        match expand(&path, &values).filter(|path| path.starts_with('/')) {
                            Some(path) if found.volumes.contains(&path) => {}
                            Some(path) => found.volumes.push(path),
                            None => found.unknown.push(format!("VOLUME {path}")),
                        }
                    }
                }
                "USER" => match expand(&one.rest, &values) {
                    Some(user) => found.user = Some(user),
                    None => found.unknown.push(format!("USER {}", one.rest)),
                },
                "HEALTHCHECK" => found.healthcheck = healthcheck(&one.rest, &values),
                "ENTRYPOINT" => (entrypoint, found.command) = (Some(spoken(&one.rest)), None),
                "CMD" => found.command = Some(spoken(&one.rest)),
                _ => {}
            }
        }
        let words: Vec<String> = entrypoint.into_iter().chain(found.command).collect();
        Container { command: (!words.is_empty()).then(|| words.join(" ")), ..found }.with_port_of_check()
    }

    /// The arguments without which no base image is known: `ARG BASE` before the first `FROM`.
    pub(super) fn missing_arguments(&self) -> Vec<String> {
        let before = self.instructions.iter().take_while(|one| one.keyword != "FROM");
        let declared = before.filter(|one| one.keyword == "ARG").flat_map(|one| words(&one.rest));
        let froms = || self.instructions.iter().filter(|one| one.keyword == "FROM");
        let is_used = |name: &String| {
            froms().any(|from| {
                let mut bare = VARIABLE.captures_iter(&from.rest).filter(|found| found.get(3).is_none());
                bare.any(|found| variable_name(&found) == name)
            })
        };
        let is_given = |name: &String| {
            let name = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD")).unwrap_or_default();
            ["PLATFORM", "OS", "ARCH", "VARIANT"].contains(&name)
        };
        declared.filter(|name| !name.contains('=') && is_used(name) && !is_given(name)).collect()
    }

    /// What it copies from its context, as written, where no pattern or variable is in it.
    pub(super) fn sources(&self) -> Vec<String> {
        let copies = self.instructions.iter().filter(|one| matches!(one.keyword.as_str(), "COPY" | "ADD"));
        let own = copies.filter(|one| !one.rest.contains("--from=") && !has_heredoc(one));
        let sources = own.flat_map(|one| {
            let mut words = list(&one.rest).unwrap_or_else(|| words(&one.rest));
            words.pop();
            words
        });
        let is_plain = |word: &String| {
            !word.starts_with("--") && !word.contains(['*', '?', '[', '$']) && !word.contains("://")
        };
        sources.filter(is_plain).map(|word| word.trim_start_matches('/').to_owned()).collect()
    }

    /// The instructions of the last stage, or of this one, those of the stages that it is built from before its own.
    fn stage(&self, target: Option<&str>) -> impl Iterator<Item = &Instruction> {
        let stages = stages(&self.instructions);
        let name = |stage: &[Instruction]| {
            let words = words(&stage[0].rest);
            let at = words.iter().position(|word| word.eq_ignore_ascii_case("as"))?;
            words.get(at + 1).map(|name| name.to_lowercase())
        };
        let base = |stage: &[Instruction]| {
            words(&stage[0].rest)
                .into_iter()
                .find(|word| !word.starts_with("--"))
                .map(|one| one.to_lowercase())
        };
        let of_name = |wanted: &str, before: usize| {
            stages[..before].iter().rposition(|stage| name(stage).as_deref() == Some(wanted))
        };
        let last = stages.len().checked_sub(1);
        let mut at = match target {
            Some(target) => of_name(&target.to_lowercase(), stages.len()),
            None => last,
        };
        let mut chain = Vec::new();
        while let Some(index) = at {
            chain.push(index);
            at = base(stages[index]).and_then(|base| of_name(&base, index));
        }
        chain.into_iter().rev().flat_map(move |index| stages[index])
    }

    /// The values of `ARG`s before the first `FROM`.
    fn globals(&self) -> Values {
        let mut globals = Values::new();
        for one in self.instructions.iter().take_while(|one| one.keyword != "FROM") {
            if one.keyword == "ARG" {
                declare(&mut globals, &one.rest, &Values::new());
            }
        }
        globals
    }
}

fn declare(values: &mut Values, rest: &str, globals: &Values) {
    for word in words(rest) {
        let (name, value) = match word.split_once('=') {
            Some((name, default)) => (name.to_owned(), expand(default, values)),
            None => (word.clone(), globals.get(&word).cloned()),
        };
        if let Some(value) = value {
            values.insert(name, value);
        }
    }
}

fn set(values: &mut Values, rest: &str) {
    let words = words(rest);
    let pairs: Vec<(String, String)> = match rest.split_once(char::is_whitespace) {
        // The old form: all that follows the name is the value.
        Some((name, value)) if !name.contains('=') => vec![(name.to_owned(), value.trim().to_owned())],
        _ => {
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
    };
    for (name, value) in pairs {
        if let Some(value) = expand(&value, values) {
            values.insert(name, value);
        }
    }
}

fn expose(found: &mut Container, one: &Instruction, values: &Values) {
    for word in words(&one.rest) {
        match expand(&word, values).and_then(|word| Port::parse_range(&word)) {
            Some(ports) => {
                for port in ports {
                    if !found.ports.contains(&port) {
                        found.ports.push(port);
                    }
                }
            }
            None => found.unknown.push(format!("EXPOSE {word}")),
        }
    }
}

/// `NONE`, or options before `CMD` and a command.
fn healthcheck(rest: &str, values: &Values) -> Option<Healthcheck> {
    let (options, command) = split_at_command(rest)?;
    let mut check = match list(command) {
        Some(words) => Healthcheck::of(words),
        // The shell fills in the variables of the image; for an address they must be known.
        None => expand(command, values)
            .map(|line| Healthcheck::shell(&line))
            .filter(|check| check.port().is_some())
            .unwrap_or_else(|| Healthcheck::shell(command)),
    };
    for option in options.split_whitespace() {
        match option.split_once('=') {
            Some(("--interval", value)) => check.interval = seconds(value),
            Some(("--timeout", value)) => check.timeout = seconds(value),
            Some(("--start-period", value)) => check.start_period = seconds(value),
            Some(("--retries", value)) => check.retries = value.parse().ok(),
            _ => {}
        }
    }
    Some(check)
}

fn split_at_command(rest: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for word in rest.split_whitespace() {
        let start = at + rest[at..].find(word)?;
        at = start + word.len();
        if word.eq_ignore_ascii_case("cmd") {
            return Some((&rest[..start], rest[at..].trim())).filter(|(_, command)| !command.is_empty());
        }
        if !word.starts_with("--") {
            return None;
        }
    }
    None
}

/// `["a", "b"]`, the form without a shell.
fn list(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    text.starts_with('[').then(|| serde_json::from_str(text).ok())?
}

/// A command as a person would say it.
fn spoken(rest: &str) -> String {
    list(rest).map_or_else(|| rest.to_owned(), |words| words.join(" "))
}

/// The words of a line: quotes hold one together, and are no part of it.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The text with its variables filled in; `None` where one is not known.
fn expand(text: &str, values: &Values) -> Option<String> {
    let (mut expanded, mut at) = (String::new(), 0);
    for found in VARIABLE.captures_iter(text) {
        let whole = found.get(0)?;
        let value = values.get(variable_name(&found)).map(String::as_str);
        let default = found.get(4).map(|default| default.as_str());
        expanded += &text[at..whole.start()];
        expanded += value.filter(|value| !value.is_empty() || default.is_none()).or(default)?;
        at = whole.end();
    }
    expanded += &text[at..];
    (expanded.len() <= LONGEST).then_some(expanded)
}

fn variable_name<'t>(found: &regex::Captures<'t>) -> &'t str {
    found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = "\
ARG PORT=3000
ARG BASE
FROM ${BASE}/node:20 AS build
COPY package.json package-lock.json ./
COPY [\"src\", \"/src\"]
RUN <<EOT
EXPOSE 1
EOT
EXPOSE 9999

FROM $BASE/node AS runtime
ARG PORT
ENV DATA=/data \\
    # where it lies
    NAME=\"the shop\"
expose $PORT/tcp 9000-9001 53/udp $UNKNOWN
VOLUME [\"/data\", \"$DATA\"]
VOLUME /cache
HEALTHCHECK --interval=5s --retries=4 CMD curl -f http://localhost:${PORT}/health || exit 1
ENTRYPOINT [\"node\"]
CMD [\"server.js\", \"--all\"]

FROM runtime
COPY --from=build /src /src
COPY config/*.json /
USER 1000:1000
";

    #[test]
    fn the_last_stage_says_what_its_container_is() {
        let found = Dockerfile::parse(SHOP).container(None);
        let ports: Vec<(u16, bool)> = found.ports.iter().map(|port| (port.number, port.is_udp)).collect();
        assert_eq!(ports, [(3000, false), (9000, false), (9001, false), (53, true)]);
        assert_eq!(found.volumes, ["/data", "/cache"]);
        assert_eq!(found.user.as_deref(), Some("1000:1000"));
        assert_eq!(found.command.as_deref(), Some("node server.js --all"));
        assert_eq!(found.unknown, ["EXPOSE $UNKNOWN"]);
        let check = found.healthcheck.unwrap();
        assert_eq!((check.port(), check.describe().as_str()), (Some(3000), "GET /health"));
        assert_eq!((check.interval, check.retries, check.timeout), (Some(5), Some(4), None));
    }

    #[test]
    fn a_target_is_another_stage() {
        let file = Dockerfile::parse(SHOP);
        assert_eq!(file.container(Some("BUILD")).ports[0].number, 9999);
        assert_eq!(file.container(Some("runtime")).user, None);
        assert_eq!(file.container(Some("nobody")), Container::default());
        assert_eq!(Dockerfile::parse("").container(None), Container::default());
    }

    #[test]
    fn what_the_build_needs_is_known() {
        let file = Dockerfile::parse(SHOP);
        assert_eq!(file.missing_arguments(), ["BASE"]);
        assert_eq!(file.sources(), ["package.json", "package-lock.json", "src"]);
        let cross =
            "ARG TARGETARCH\nARG V=1\nFROM a/$TARGETARCH:$V-${W:-x}\nFROM --platform=$BUILDPLATFORM b";
        assert!(Dockerfile::parse(cross).missing_arguments().is_empty());
    }

    #[test]
    fn a_check_may_be_taken_away_and_be_in_many_forms() {
        let check = |text: &str| Dockerfile::parse(&format!("FROM a\n{text}")).container(None).healthcheck;
        assert_eq!(check("HEALTHCHECK CMD a\nHEALTHCHECK NONE"), None);
        assert_eq!(check("HEALTHCHECK --interval=1s"), None);
        assert_eq!(check("HEALTHCHECK"), None);
        assert_eq!(check("HEALTHCHECK CMD [\"a\", \"b c\"]").unwrap().command, ["a", "b c"]);
        assert_eq!(check("healthcheck cmd a $B || c").unwrap().command, ["/bin/sh", "-c", "a $B || c"]);
    }

    #[test]
    fn words_keep_what_stands_in_quotes() {
        assert_eq!(words("a=\"b c\"  'd e'f \\g h\\ i"), ["a=b c", "d ef", "g", "h i"]);
        assert_eq!(words("\"\" x"), ["", "x"]);
        assert!(words("  ").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(FROM a\n)?((ENV|ARG|EXPOSE|VOLUME|USER|HEALTHCHECK|CMD|COPY|RUN) [ -~ä\n\\\\$\"'\\[<]{0,30}\n){0,6}") {
            let file = Dockerfile::parse(&text);
            let found = file.container(None);
            found.describe();
            found.healthcheck.map(|check| check.readiness(|_| None));
            prop_assert_eq!(file.container(Some("nobody")), Container::default());
            prop_assert!(file.missing_arguments().iter().chain(&file.sources()).all(|word| !word.contains('$')));
        }
    }

    #[test]
    fn the_old_form_of_a_variable_has_one_value() {
        let found = Dockerfile::parse("FROM a\nENV U  \"ä\" b\nENV \"ä\" c\nUSER $U\n").container(None);
        assert_eq!(found.user.as_deref(), Some("\"ä\" b"));
    }

    #[test]
    fn values_that_double_are_not_known() {
        let doubling: String = (1..60).map(|at| format!("ENV A{at}=$A{0}$A{0}\n", at - 1)).collect();
        let text = format!("FROM a\nENV A0=12345678\n{doubling}USER $A59\nUSER $A0\n");
        let found = Dockerfile::parse(&text).container(None);
        assert_eq!((found.user.as_deref(), found.unknown.len()), (Some("12345678"), 1));
    }
}
