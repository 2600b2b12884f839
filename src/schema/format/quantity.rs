//! Quantities: `500m`, `1Gi`, `1e3`.

use std::cmp::Ordering;

use serde_json::Value;

/// A quantity, for comparisons: as exact as a double is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantity(f64);

/// What a suffix multiplies by. `ParseQuantity` of `k8s.io/apimachinery/pkg/api/resource`.
const SUFFIXES: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1_024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

impl Quantity {
    /// The quantity of a value in an object; null is zero, `None` means that it is none.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Self::read("0"),
            Value::String(text) => Self::read(text.trim()),
            Value::Number(number) => Self::read(&number.to_string()),
            _ => None,
        }
    }

    /// Reads a quantity; `None` where it is none.
    pub(in crate::schema) fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end =
            unsigned.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        if number.matches('.').count() > 1 || text.is_empty() {
            return None;
        }
        let factor = match SUFFIXES.iter().find(|(known, _)| *known == suffix) {
            Some((_, factor)) => *factor,
            None => exponent(suffix)?,
        };
        // Without a digit it is 0.
        let value = format!("0{}", number.trim_end_matches('.')).parse::<f64>().ok()? * factor;
        Some(Self(if text.starts_with('-') { -value } else { value }))
    }

    pub(in crate::schema) fn is_negative(self) -> bool {
        self.0 < 0.0
    }

    pub(in crate::schema) fn is_zero(self) -> bool {
        self.0 == 0.0
    }

    /// Whether it is a whole number.
    pub(in crate::schema) fn is_whole(self) -> bool {
        (self.0 - self.0.round()).abs() < 1e-9 * self.0.abs().max(1.0)
    }

    /// Whether another goes into it without a rest.
    pub(in crate::schema) fn is_multiple_of(self, other: Self) -> bool {
        Self(self.0 / other.0).is_whole()
    }

    /// Whether they are the same, as far as a double is exact.
    pub(in crate::schema) fn is_equal(self, other: Self) -> bool {
        !self.is_greater(other) && !other.is_greater(self)
    }

    pub(in crate::schema) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// How often another goes into it.
    pub(in crate::schema) fn ratio(self, other: Self) -> f64 {
        self.0 / other.0
    }

    /// Whether it is greater than another by more than a double is inexact.
    pub(crate) fn is_greater(self, other: Self) -> bool {
        self.0.partial_cmp(&(other.0 * (1.0 + 1e-9))) == Some(Ordering::Greater)
    }
}

/// `e3`, `E-3`.
fn exponent(suffix: &str) -> Option<f64> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = is_number.then(|| digits.parse::<i32>().ok())??;
    Some(10_f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for right in [
            "0", "1", "500m", "1.5Gi", "1e3", "1E3", "1E", ".5", "1.", "+1", "-1", "12E-2", "100n", "1u",
            "2Ki", "Gi", ".", "e3", "-",
        ] {
            assert!(Quantity::read(right).is_some(), "{right}");
        }
        for wrong in
            ["", "1gb", "1 Gi", "1GB", "1.2.3", "1KI", "1ki", "1K", "1e", "1e+", "ten", "0x1", "1mi", "1g"]
        {
            assert!(Quantity::read(wrong).is_none(), "{wrong}");
        }
        let read = |text: &str| Quantity::read(text).expect("a quantity");
        assert!(read("1Gi").is_greater(read("1G")) && !read("1000m").is_greater(read("1")));
        assert!(read("-1").is_negative() && read("0Mi").is_zero() && read("Gi").is_zero());
        assert!(read("1Gi").is_whole() && !read("500m").is_whole() && read("1000m").is_whole());
        assert!(read("4Mi").is_multiple_of(read("2Mi")) && !read("3Mi").is_multiple_of(read("2Mi")));
        assert!(read("1").is_equal(read("1000m")) && !read("1").is_equal(read("1001m")));
        assert!(read("1").plus(read("500m")).is_equal(read("1.5")));
    }
}
