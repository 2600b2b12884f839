//! Words as a shell takes them.

/// The word as a shell reads it: as it is where nothing in it means anything to one, else in single quotes.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@=+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_what_was_written() {
        for word in ["plain", "unit A=1", "it's", "", "$HOME", "a\nb", "*", "ü", "-n"] {
            let script = format!("printf %s {}", shell_word(word));
            let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{script}");
        }
        assert_eq!(shell_word("review/x:1"), "review/x:1");
    }
}
