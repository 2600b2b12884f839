//! The documentation beside the program: whatever the program knows has its place in docs/, and what docs/ say can be followed.
//!
//! Pages that are made from the program (every command, every key) are written anew with
//! `WINDLASS_WRITE_DOCS=1 cargo test --lib cli::help`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Git;

use clap::{Command, CommandFactory};
use regex::Regex;
use serde_json::Value;

use super::*;
use crate::git;
use crate::model::Cause;
use crate::project;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All Markdown of docs/, and what lies beside it, from the root of the repository.
fn markdown() -> Vec<PathBuf> {
    let mut files = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).to_vec();
    let mut directories = ["docs", "pipelines"].map(PathBuf::from).to_vec();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap().flatten() {
            let path = directory.join(entry.file_name());
            if entry.path().is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Names the words that a page lacks.
fn has_all(page: &str, words: impl IntoIterator<Item = String>) {
    let text = read(page);
    let missing: Vec<String> = words.into_iter().filter(|word| !text.contains(word)).collect();
    assert!(missing.is_empty(), "{page} lacks {}", missing.join(", "));
}

/// Every word of the list: serde names them all where it is given none of them.
fn causes() -> Vec<String> {
    let said = serde_json::from_str::<Cause>("\"?\"").unwrap_err().to_string();
    let words = Regex::new("`([a-z-]+)`").unwrap();
    words.captures_iter(&said).map(|found| found[1].to_owned()).collect()
}

fn names_of(group: &[Page]) -> BTreeSet<&'static str> {
    group.iter().map(|page| page.name).collect()
}

#[test]
fn every_cause_has_a_page() {
    let causes = causes();
    assert_eq!((causes.len() > 30, causes[0].as_str()), (true, "image-not-found"));
    let pages = names_of(topics::CAUSES);
    let missing: Vec<_> = causes.iter().filter(|cause| !pages.contains(cause.as_str())).collect();
    assert!(missing.is_empty(), "no page in docs/causes for {missing:?}");
    for page in topics::CAUSES {
        assert_eq!(page.title(), page.name, "{}", page.file);
    }
    has_all("docs/causes.md", pages.into_iter().map(|name| format!("[{name}](causes/{name}.md)")));
}

/// What builds and tests call their causes stands in their sources.
#[test]
fn every_word_of_a_stage_has_a_page() {
    let sources = [
        include_str!("../../build/failure.rs"),
        include_str!("../../test/case.rs"),
        include_str!("../../test/service.rs"),
        include_str!("../../test/mod.rs"),
    ];
    let word = Regex::new(r#"(?:cause: |explained_as\(|_RUN: &str = |=> \(?)"([a-z]+-[a-z-]+)""#).unwrap();
    let words: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| word.captures_iter(source))
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(words.contains("build-failed") && words.contains("tests-failed"), "{words:?}");
    let pages = names_of(topics::CAUSES);
    assert!(words.iter().all(|word| pages.contains(word)), "{words:?}");
}

#[test]
fn every_exit_code_is_in_the_table() {
    let code = Regex::new(r"Self::[A-Za-z]+ => (\d+),").unwrap();
    let codes: Vec<String> =
        code.captures_iter(include_str!("../../error.rs")).map(|found| found[1].to_owned()).collect();
    assert!(codes.len() > 15);
    has_all("docs/reference/exit-codes.md", codes.iter().map(|code| format!("\n| {code} |")));
    let help = Arguments::command().render_long_help().to_string();
    for code in codes {
        assert!(help.contains(&format!("\n{code:>5}  ")), "`windlass --help` does not have {code}: {help}");
    }
    assert!(help.contains("\n   31  the rollout failed, or a verify check failed\n"), "{help}");
}

#[test]
fn every_annotation_and_label_is_in_the_reference() {
    let name = Regex::new(r#"&str = "(windlass\.dev/[a-z-]+)";"#).unwrap();
    let names: Vec<String> = name
        .captures_iter(include_str!("../../model/labels.rs"))
        .map(|found| format!("| `{}` |", &found[1]))
        .collect();
    assert!(names.len() > 30);
    has_all("docs/reference/annotations.md", names);
}

#[test]
fn every_rule_is_in_the_reference() {
    let source = include_str!("../../release/rules/mod.rs");
    let list = source.split_once("const KNOWN").unwrap().1.split_once("];").unwrap().0;
    let word = Regex::new("\"([a-z-]+)\"").unwrap();
    has_all("docs/reference/rules.md", word.captures_iter(list).map(|found| format!("| `{}` |", &found[1])));
}

#[test]
fn every_event_is_in_the_reference() {
    let source = include_str!("../../report/event.rs").split_once("pub enum Event {").unwrap().1;
    let variant = Regex::new(r"\n    ([A-Z][A-Za-z]+)[ (]").unwrap();
    let kebab = |name: &str| {
        let upper = Regex::new("[A-Z]").unwrap();
        let text =
            upper.replace_all(name, |found: &regex::Captures<'_>| format!("-{}", found[0].to_lowercase()));
        text.trim_start_matches('-').to_owned()
    };
    let events: Vec<String> = variant.captures_iter(source).map(|found| kebab(&found[1])).collect();
    assert!(events.contains(&"finished".to_owned()), "{events:?}");
    let told = events.into_iter().filter(|event| event != "step-progress");
    has_all("docs/reference/events.md", told.map(|event| format!("\"event\":\"{event}\"")));
}

/// A page that is made from the program.
fn is_current(page: &str, current: &str) {
    let file = root().join(page);
    if std::env::var_os("WINDLASS_WRITE_DOCS").is_some() {
        fs::write(&file, current).unwrap();
    }
    let checked_in = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == current,
        "{page} is not current: WINDLASS_WRITE_DOCS=1 cargo test --lib cli::help writes it"
    );
}

#[test]
fn the_reference_of_commands_is_current() {
    let mut page = String::from(
        "# Commands\n\nGenerated from the program: the output of `windlass COMMAND --help`. The options that all commands share are at the \
         end.\n",
    );
    let mut whole = Arguments::command().term_width(100);
    whole.build();
    for command in whole.get_subcommands() {
        page += &section(command, &format!("windlass {}", command.get_name()));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            page += &section(inner, &format!("windlass {} {}", command.get_name(), inner.get_name()));
        }
    }
    let global = options(&whole, true);
    page += &format!("\n## Options of every command\n\n```text\n{global}\n```\n");
    is_current("docs/reference/commands.md", &page);
}

/// The help of a command without the options that all share.
fn section(command: &Command, name: &str) -> String {
    let text = options(command, false);
    format!("\n## {name}\n\n```text\n{text}\n```\n")
}

fn options(command: &Command, global: bool) -> String {
    let text = command.clone().render_long_help().to_string();
    let (own, shared) = text.split_once("\nGlobal options:\n").unwrap_or((&text, ""));
    let shared = shared.split("\n`windlass help topics`").next().unwrap_or_default();
    let text = if global { shared } else { own };
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

#[test]
fn the_reference_of_keys_is_current() {
    let schema = project::schema();
    let mut page = String::from(
        "# Keys of windlass.yaml\n\nGenerated from the program's schema ([windlass.schema.json](../windlass.schema.json)). \
         [configuration](../configuration.md) shows them in one example and explains them.\n",
    );
    page += &table("The file", &schema);
    for (name, of) in schema["$defs"].as_object().into_iter().flatten() {
        if of.get("properties").is_some() {
            page += &table(title_of(name), of);
        }
    }
    is_current("docs/reference/keys.md", &page);
}

/// Where the keys of a type are written.
fn title_of(name: &str) -> &str {
    match name {
        "BuilderConfig" => "builder",
        "ImageConfig" => "images.NAME",
        "TestConfig" => "tests.NAME",
        "ServiceConfig" => "tests.NAME.services.NAME",
        "Ready" => "tests.NAME.services.NAME.ready",
        "TierConfig" => "tiers.NAME",
        "VerifyConfig" => "tiers.NAME.verify",
        other => other,
    }
}

fn table(title: &str, of: &Value) -> String {
    let mut text = format!("\n## {title}\n\n| key | what it says | default |\n| --- | --- | --- |\n");
    for (key, schema) in of["properties"].as_object().into_iter().flatten() {
        let said = schema["description"].as_str().unwrap_or_default();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let choices = choices(schema);
        let choices = if choices.is_empty() { String::new() } else { format!(" One of {choices}.") };
        let default = schema.get("default").filter(|value| !is_empty(value));
        let default =
            default.map(|value| format!("`{}`", value.as_str().map_or(value.to_string(), str::to_owned)));
        let is_required = of["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
        let default = if is_required { "required".to_owned() } else { default.unwrap_or_default() };
        text += &format!("| `{key}` | {said}{choices} | {default} |\n");
    }
    text
}

/// The words that a value may be.
fn choices(schema: &Value) -> String {
    let of_enum = |one: &Value| match (one.get("enum"), one.get("oneOf").or_else(|| one.get("anyOf"))) {
        (Some(words), _) => words.as_array().cloned().unwrap_or_default(),
        (None, Some(all)) => {
            all.as_array().into_iter().flatten().filter_map(|one| one.get("const").cloned()).collect()
        }
        _ => Vec::new(),
    };
    let whole = project::schema();
    let mut named = vec![schema];
    named.extend(schema["anyOf"].as_array().into_iter().flatten());
    named.extend(schema["allOf"].as_array().into_iter().flatten());
    let of_ref = |one: &&Value| {
        let name = one["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        name.map(|name| of_enum(&whole["$defs"][name])).unwrap_or_default()
    };
    let words: Vec<String> =
        named.iter().flat_map(of_ref).filter_map(|word| Some(format!("`{}`", word.as_str()?))).collect();
    words.join(", ")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[test]
fn every_page_is_in_the_summary_and_the_other_way_round() {
    let summary = read("docs/SUMMARY.md");
    let link = Regex::new(r"\]\(([^)]+)\)").unwrap();
    let listed: BTreeSet<String> = link.captures_iter(&summary).map(|found| found[1].to_owned()).collect();
    let there: BTreeSet<String> = markdown()
        .iter()
        .filter_map(|file| Some(file.strip_prefix("docs").ok()?.display().to_string()))
        .filter(|file| file != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there);
    for page in pages() {
        assert!(there.contains(page.file), "{}", page.file);
    }
}

#[test]
fn no_topic_is_a_command_and_none_is_there_twice() {
    let commands: BTreeSet<String> = command_names().into_iter().collect();
    let mut seen = BTreeSet::new();
    for page in pages() {
        assert!(!commands.contains(page.name), "`windlass help {}` is the help of a command", page.name);
        assert!(seen.insert(page.name), "{}", page.name);
    }
}

/// A heading as GitLab and GitHub call its place.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept: String =
        text.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_')).collect();
    kept.replace(' ', "-")
}

fn without_code(text: &str) -> String {
    let block = Regex::new(r"(?ms)^\s*```.*?^\s*```").unwrap();
    let inline = Regex::new(r"`[^`\n]*`").unwrap();
    inline.replace_all(&block.replace_all(text, ""), "").into_owned()
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\[[^\[\]]*\]\(([^()\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for file in markdown() {
        let text = without_code(&read(&file.display().to_string()));
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (path, place) = target.split_once('#').unwrap_or((target, ""));
            let there = match path {
                "" => root().join(&file),
                path => root().join(file.parent().unwrap()).join(path),
            };
            // The book has nothing but docs/.
            let is_outside = file.starts_with("docs")
                && !there.canonicalize().is_ok_and(|there| there.starts_with(root().join("docs")));
            if is_outside || !there.exists() {
                broken.push(format!("{}: {target}", file.display()));
            } else if !place.is_empty() {
                let page = fs::read_to_string(&there).unwrap();
                if !page.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == place) {
                    broken.push(format!("{}: {target}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The blocks of code of this language, with the line on which each begins.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            Some((_, block)) if line.trim_start() != "```" => *block += &format!("{line}\n"),
            Some(_) => blocks.extend(open.take().filter(|(line, _)| *line > 0)),
            None => {
                if let Some(info) = line.trim_start().strip_prefix("```") {
                    // Of another language it is read to its end as well.
                    open = Some((if info == language { number + 1 } else { 0 }, String::new()));
                }
            }
        }
    }
    blocks
}

#[test]
fn every_configuration_that_is_shown_is_valid() {
    let mut count = 0;
    for file in markdown() {
        for (line, block) in blocks(&read(&file.display().to_string()), "yaml") {
            if !block.trim_start().starts_with("version: 1") {
                continue;
            }
            let place = format!("{}:{line}", file.display());
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("windlass.yaml"), &block).unwrap();
            Git::new("git").args(["init", "-q"]).current_dir(directory.path()).status().unwrap();
            let options =
                project::Options { directory: directory.path().to_path_buf(), ..project::Options::default() };
            let opened = git::open_project(&options).unwrap_or_else(|error| panic!("{place}: {error}"));
            for tier in opened.config.tiers.keys() {
                let name = tier.replace('*', "example");
                opened
                    .tier(&name, &project::TierOverrides::default())
                    .unwrap_or_else(|error| panic!("{place}: {tier}: {error}"));
            }
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn every_manifest_that_is_shown_is_yaml() {
    for file in markdown() {
        for (line, block) in blocks(&read(&file.display().to_string()), "yaml") {
            let read = serde_saphyr::from_multiple::<Value>(&block);
            assert!(read.is_ok(), "{}:{line}: {}", file.display(), read.unwrap_err());
        }
    }
}

/// Flags that do not exist are found where a command stands in a block of code, or between backticks.
#[test]
fn every_command_that_is_shown_exists() {
    let mut wrong = Vec::new();
    let inline = Regex::new(r"`(windlass [^`\n]+)`").unwrap();
    let mut whole = Arguments::command();
    whole.build();
    for file in markdown() {
        let text = read(&file.display().to_string());
        let in_blocks = ["sh", "console", "yaml"].into_iter().flat_map(|language| blocks(&text, language));
        let mut commands: Vec<String> = in_blocks
            .flat_map(|(_, block)| block.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| {
                let line = line.trim().trim_start_matches("- ").trim_start_matches("$ ");
                line.starts_with("windlass ").then(|| line.to_owned())
            })
            .collect();
        commands.extend(inline.captures_iter(&text).map(|found| found[1].to_owned()));
        for command in commands {
            if let Some(why) = not_a_command(&whole, &command) {
                wrong.push(format!("{}: {command}: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Why this is no command of windlass; `None` where it is one.
fn not_a_command(whole: &Command, line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or(line);
    let words: Vec<&str> = line
        .split_whitespace()
        .skip(1)
        .take_while(|word| !matches!(*word, "|" | ">" | "&&" | "\\"))
        .collect();
    let named = words.iter().find(|word| !word.starts_with('-'))?;
    if named.chars().all(char::is_uppercase) || named.starts_with(['…', '[']) {
        return None;
    }
    let Some(command) = whole.find_subcommand(named) else { return Some(format!("no command `{named}`")) };
    let flags = words.iter().filter(|word| word.starts_with('-') && **word != "-" && **word != "--");
    for flag in flags {
        let name = flag.trim_matches(|one: char| matches!(one, '…' | ',' | ';' | ')' | ']' | '.'));
        let name = name.split('=').next().unwrap_or(name);
        let of_all = whole.get_arguments().chain(command.get_arguments());
        let known = of_all.into_iter().any(|one| match name.strip_prefix("--") {
            Some(long) => one.get_long() == Some(long),
            None => name.chars().nth(1) == one.get_short(),
        });
        if !known && !["--help", "-h"].contains(&name) {
            return Some(format!("no flag `{name}`"));
        }
    }
    None
}

fn said(words: &[&str]) -> std::result::Result<Option<Vec<String>>, String> {
    let help = Help { words: words.iter().map(|&word| word.to_owned()).collect() };
    match help.of_command() {
        Some(line) => Ok(Some(line)),
        None if words.len() == 1 && pages().any(|page| page.name == words[0]) => Ok(None),
        None => Err(unknown(&words.join(" ")).hint().unwrap_or_default().to_owned()),
    }
}

#[test]
fn commands_come_before_topics_and_the_nearest_name_is_offered() {
    let line = |words: &str| Some(words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(said(&[]).unwrap(), line("windlass --help"));
    assert_eq!(said(&["rollback"]).unwrap(), line("windlass rollback --help"));
    assert_eq!(said(&["generate", "man"]).unwrap(), line("windlass generate man --help"));
    assert_eq!(said(&["exit-codes"]).unwrap(), None);
    assert_eq!(said(&["image-notfound"]).unwrap_err(), "did you mean `windlass help image-not-found`?");
    assert_eq!(said(&["relese"]).unwrap_err(), "did you mean `windlass help release`?");
    let mentioned = said(&["sops"]).unwrap_err();
    assert!(mentioned.starts_with("it is mentioned by `windlass help secrets`"), "{mentioned}");
    assert_eq!(said(&["weather-forecast"]).unwrap_err(), "`windlass help topics` lists the topics");
}

#[test]
fn what_stands_in_a_table_of_the_reference_is_found_by_its_name() {
    for (word, name) in [
        ("rolled-back", "rules"),
        ("31", "exit-codes"),
        ("windlass.dev/tier", "annotations"),
        ("WINDLASS_OUTPUT", "environment"),
        ("gitlab", "gitlab"),
    ] {
        assert_eq!(page(word).map(|page| page.name), Some(name), "{word}");
    }
    assert!(page("nothing-of-the-kind").is_none());
}

#[test]
fn every_page_of_the_book_is_a_topic() {
    let book = read("docs/SUMMARY.md");
    let link = Regex::new(r"\]\(([^)]+)\)").unwrap();
    let missing = link.captures_iter(&book).map(|found| found[1].to_owned());
    let missing: Vec<String> = missing.filter(|file| pages().all(|page| page.file != file)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn topics_are_listed_with_their_titles() {
    let (json, text) = list();
    assert_eq!(json.as_array().map(Vec::len), Some(pages().count()));
    let text = style::shown(&text);
    assert!(text.contains("  exit-codes             Exit codes\n"), "{text}");
}

#[test]
fn pages_fit_a_terminal() {
    for page in pages() {
        let text = anstream::adapter::strip_str(&style::shown(&terminal::plain(page.text))).to_string();
        let is_prose = |line: &&str| !line.starts_with("    ") && line.split_whitespace().count() > 1;
        for line in text.lines().filter(is_prose) {
            assert!(line.chars().count() <= 80, "{}: {line}", page.file);
        }
        assert!(!text.contains("](") && !text.contains("```"), "{}", page.file);
    }
}
