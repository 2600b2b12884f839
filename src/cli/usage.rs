//! What windlass adds to what clap says of a wrong command line: what is not implemented yet, and which tiers there are.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Command, complete};

/// Commands of later versions.
const COMMANDS: [&str; 4] = ["audit", "diff", "restart", "run"];
/// Flags of later versions, by their command.
const FLAGS: [(&str, &[&str]); 5] = [
    ("plan", &["--save", "--comment"]),
    ("release", &["--from", "--plan"]),
    ("status", &["-A", "--exit-code"]),
    ("history", &["--limit"]),
    ("remove", &["--expired", "--gone-branches", "--dry-run"]),
];

/// The error of a command line, in words that help further.
pub(super) fn explained(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    if let Some(what) = unbuilt(&error, arguments) {
        return clap::Error::raw(error.kind(), format!("{what} is not implemented\n"));
    }
    if lacks_tier(&error) {
        let tiers = complete::tiers_of(arguments);
        if !tiers.is_empty() {
            let tip = StyledStr::from(format!("the tiers are {}", tiers.join(", ")));
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        }
    }
    error
}

fn unbuilt(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let command = Command::named_in(arguments);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = word(ContextKind::InvalidSubcommand)?;
            COMMANDS.contains(&command).then(|| format!("`windlass {command}`"))
        }
        ErrorKind::UnknownArgument => {
            let flag = word(ContextKind::InvalidArg)?;
            let flag = flag.split_once('=').map_or(flag, |(flag, _)| flag);
            let (_, flags) = FLAGS.iter().find(|(name, _)| *name == command)?;
            flags.contains(&flag).then(|| format!("`windlass {command} {flag}`"))
        }
        // A table of all tiers.
        _ if command == "status" && lacks_tier(error) => Some("`windlass status` without a tier".to_owned()),
        _ => None,
    }
}

fn lacks_tier(error: &clap::Error) -> bool {
    let is_tier = |missing: &[String]| missing.iter().any(|argument| argument == "<TIER>");
    error.kind() == ErrorKind::MissingRequiredArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::Strings(missing)) if is_tier(missing))
}

#[cfg(test)]
mod tests {
    use super::super::Arguments;
    use super::*;

    fn said(line: &str) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        explained(Arguments::read(&words).expect_err("it is wrong"), &words).to_string()
    }

    #[test]
    fn what_is_not_implemented_says_so() {
        for line in
            ["windlass diff staging 1 2", "windlass restart staging", "windlass run staging web -- sh"]
        {
            assert!(said(line).contains(" is not implemented"), "{line}: {}", said(line));
        }
        assert_eq!(
            said("windlass plan staging --save=f"),
            "error: `windlass plan --save` is not implemented\n"
        );
        assert_eq!(said("windlass status"), "error: `windlass status` without a tier is not implemented\n");
        for (command, flags) in FLAGS {
            for flag in flags {
                let said = said(&format!("windlass {command} staging {flag}"));
                assert_eq!(said, format!("error: `windlass {command} {flag}` is not implemented\n"));
            }
        }
        assert!(said("windlass build --save").contains("unexpected argument"));
        assert!(said("windlass dif staging").contains("unrecognized subcommand"));
    }
}
