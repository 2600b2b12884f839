//! Slugs: names that Kubernetes takes as a label and as a part of an object's name.

use super::hex;

/// The longest slug.
const LONGEST: usize = 40;
/// The digits of the hash at the end.
const DIGITS: usize = 6;

/// The text in `[a-z0-9-]`, 40 characters at most; where anything was changed or cut, six hexadecimal digits of a
/// hash of the text end it, so that two texts never share a slug.
pub(crate) fn slug(text: &str) -> String {
    if is_slug(text) {
        return text.to_owned();
    }
    let mut words = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' => words.push(letter),
            _ if words.is_empty() || words.ends_with('-') => {}
            _ => words.push('-'),
        }
    }
    words.truncate(LONGEST - DIGITS - 1);
    let words = words.trim_end_matches('-');
    let hash = &hex::sha256(text)[..DIGITS];
    if words.is_empty() { hash.to_owned() } else { format!("{words}-{hash}") }
}

/// Whether the text is a slug already.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_was_changed_has_a_hash() {
        assert_eq!(slug("feature-x"), "feature-x");
        assert_eq!(slug("review/feature-x"), "review-feature-x-081288");
        assert_eq!(slug(&"a".repeat(40)), "a".repeat(40));
        assert!(slug(&"a".repeat(41)).starts_with(&format!("{}-", "a".repeat(33))));
        assert!(slug("Feature_X").starts_with("feature-x-"));
        assert_ne!(slug("feature_x"), slug("feature/x"));
        assert_eq!(slug("äöü").len(), DIGITS);
    }

    proptest! {
        #[test]
        fn every_text_has_a_slug(text in ".{0,80}") {
            prop_assert!(is_slug(&slug(&text)), "{}", slug(&text));
        }
    }
}
