//! Containers that the runtime cannot start: a command that does not exist, a file that cannot be mounted.

use std::sync::LazyLock;

use regex::Regex;

use crate::rollout::pod::container::Container;

/// What the runtime said when it could not start the container; `None` where it did not try, or it could.
pub(crate) fn complaint<'a>(container: &Container<'a>) -> Option<&'a str> {
    if matches!(container.waits(), "RunContainerError" | "CreateContainerError") {
        let said = container.waiting_message();
        let before = container.died_before().map_or("", |death| death.message);
        return Some(if said.is_empty() { before } else { said });
    }
    container
        .dead_now()
        .filter(|death| death.never_ran() && !death.wanted_memory())
        .map(|death| death.message)
}

/// Whether the runtime will say the same the next time: it is the manifest or the image that is wrong.
pub(crate) fn is_lasting(complaint: &str) -> bool {
    static SIGNS: LazyLock<Regex> = LazyLock::new(|| {
        let words = "\\bexec\\b|executable|not found|no such file|permission denied|not permitted|exec format|\
            invalid argument|working directory|chdir|\\bcwd\\b|not a directory|is a directory|no command specified|\
            unable to find user|no matching entries|subpath";
        Regex::new(&format!("(?i){words}")).expect("the pattern is a constant")
    });
    SIGNS.is_match(complaint)
}

/// `container web cannot start: exec: "serve": executable file not found in $PATH`.
pub(crate) fn sentence(container: &Container, complaint: &str) -> String {
    let marks = [
        "starting container process caused: ",
        "unable to start container process: ",
        "error during container init: ",
        "OCI runtime create failed: ",
    ];
    let core = marks.iter().find_map(|mark| complaint.split_once(mark)).map_or(complaint, |(_, rest)| rest);
    let core = marks.iter().fold(core, |core, mark| core.strip_prefix(mark).unwrap_or(core));
    let core = core.trim().trim_end_matches(": unknown").trim_end_matches(": unknown.");
    if core.is_empty() {
        return format!("{} cannot start", container.title());
    }
    format!("{} cannot start: {core}", container.title())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_may_be_free_the_next_time() {
        assert!(is_lasting(r#"exec: "nope": executable file not found in $PATH: unknown"#));
        assert!(is_lasting("exec format error"));
        assert!(is_lasting("chdir to cwd (\"/nope\") set in config.json failed: no such file or directory"));
        assert!(is_lasting("failed to generate spec: no command specified"));
        assert!(!is_lasting(
            "failed to reserve container name \"web_web-1\": name \"web_web-1\" is reserved for \"ab\""
        ));
        assert!(!is_lasting("context deadline exceeded"));
    }
}
