//! Commands to the runner of GitHub Actions, which reads them from the log: `::group::`, `::error file=…::`.
//!
//! Sources: the runner's `ActionCommand.cs` (both forms of a command, and what is escaped in them) and GitHub's "Workflow commands".

use std::borrow::Cow;

/// A line of others as one that the runner takes for no command: neither `::name::` at its beginning nor `##[name]` anywhere.
pub(crate) fn inert(line: &str) -> Cow<'_, str> {
    let is_command = line.trim_start().starts_with("::");
    if !is_command && !line.contains("##[") {
        return Cow::Borrowed(line);
    }
    let line = line.replace("##[", "## [");
    Cow::Owned(if is_command { line.replacen("::", ": :", 1) } else { line })
}

/// `::name key=value,key=value::message`
pub(crate) fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={}", escaped(value).replace(':', "%3A").replace(',', "%2C")))
        .collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), escaped(message))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_takes_no_line_of_others_for_a_command() {
        for (line, shown) in [
            ("  ::set-output name=a::b", "  : :set-output name=a::b"),
            ("##[add-path]/evil", "## [add-path]/evil"),
            ("web │ x ##[error]y ##[error]z", "web │ x ## [error]y ## [error]z"),
            ("std::fmt::Debug # [x]", "std::fmt::Debug # [x]"),
        ] {
            assert_eq!(inert(line), shown);
        }
    }

    #[test]
    fn a_value_ends_no_command_and_begins_none() {
        assert_eq!(command("group", &[], "100%\r\n::error::x"), "::group::100%25%0D%0A::error::x");
        let file = [("file", "a,b:c\n"), ("line", "7")];
        assert_eq!(command("error", &file, "no"), "::error file=a%2Cb%3Ac%0A,line=7::no");
    }
}
