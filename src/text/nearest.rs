//! "Did you mean": the known word nearest to the one that was written.

/// Nobody misspells a word of more letters.
const LONGEST: usize = 100;

/// The candidate that differs from the word in the fewest letters, if it is near enough to be meant: at most one
/// letter in three, and one at least.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let limit = (letters / 3).max(1);
    let lower = word.to_lowercase();
    candidates
        // Of words of one letter all are alike; the word itself was not mistaken for itself. To compare takes the square of
        // the length.
        .filter(|candidate| {
            (2..=LONGEST).contains(&letters) && candidate.len() <= 4 * LONGEST && *candidate != word
        })
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= limit)
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, left out, replaced, or swapped with their neighbour.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        for (one, other, count) in [
            ("", "ab", 2),
            ("images", "images", 0),
            ("imges", "images", 1),
            ("imaegs", "images", 1),
            ("a", "b", 1),
        ] {
            assert_eq!(distance(one, other), count, "{one} {other}");
        }
    }

    #[test]
    fn only_a_near_word_is_proposed() {
        let known = || ["image", "images", "tests", "tiers"].into_iter();
        assert_eq!(nearest("tset", known()), None);
        assert_eq!(nearest("Tests", known()), Some("tests"));
        assert_eq!(nearest("teirs", known()), Some("tiers"));
        assert_eq!(nearest("secrets", known()), None);
        assert_eq!(nearest("tests", known()), None, "it is that word");
        assert_eq!(nearest("x", ["y"].into_iter()), None);
        let (long, longer) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
        assert_eq!(nearest(&long, [longer.as_str()].into_iter()), None, "which took half an hour");
    }
}
