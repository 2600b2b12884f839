//! Amounts of memory and of processors, written as in Kubernetes' manifests: `512Mi`, `1.5`, `500m`.

use crate::error::{Error, Kind, Result};

/// What the letters behind a number multiply it with.
const UNITS: [(&str, u64); 6] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
/// The Engine refuses less.
const LEAST: u64 = 6 << 20;

/// Reads the memory that a container may have, in bytes.
pub(crate) fn memory(text: &str) -> Result<u64> {
    bytes(text).filter(|bytes| *bytes >= LEAST).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("`{text}` is not an amount of memory"))
            .with_hint("write `512Mi` or `2Gi`; 6Mi is the least")
    })
}

/// Reads any size, in bytes.
pub(crate) fn size(text: &str) -> Result<u64> {
    bytes(text).filter(|bytes| *bytes > 0).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("`{text}` is not a size")).with_hint("write `64Mi` or `1Gi`")
    })
}

fn bytes(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find(|(letters, _)| text.ends_with(letters));
    let (number, factor) =
        unit.map_or((text, 1), |(letters, factor)| (text.trim_end_matches(letters), *factor));
    digits(number).and_then(|number| number.checked_mul(factor))
}

/// Reads a number of processors, in thousandths.
pub(crate) fn processors(text: &str) -> Result<u32> {
    let thousandths = if let Some(number) = text.strip_suffix('m') {
        digits(number)
    } else {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let fits = (1..=3).contains(&part.len());
        let part = digits(&format!("{part:0<3}")).filter(|_| fits);
        digits(whole).and_then(|whole| whole.checked_mul(1000)?.checked_add(part?))
    };
    thousandths.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("`{text}` is not a number of processors"))
            .with_hint("write `2`, `0.5` or `500m`")
    })
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_units_of_kubernetes() {
        for (text, bytes) in
            [("64Mi", 64 << 20), ("1Gi", 1 << 30), ("100M", 100_000_000), ("7000000", 7_000_000)]
        {
            assert_eq!(memory(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "Mi", "1.5Gi", "-1Gi", "64MB", "1Mi", "99999999999Gi"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_are_counted_in_thousandths() {
        for (text, number) in [("2", 2000), ("0.5", 500), ("500m", 500), ("1.25", 1250), ("0.001", 1)] {
            assert_eq!(processors(text).unwrap(), number, "{text}");
        }
        for text in ["", "0", "m", ".5", "1.", "1.2345", "-1", "two"] {
            assert!(processors(text).is_err(), "{text}");
        }
    }
}
