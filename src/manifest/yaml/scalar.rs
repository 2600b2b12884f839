//! Which type a plain YAML scalar has, as kubectl sees it.
//!
//! kubectl reads YAML 1.1 with the rules of `resolve.go` of goyaml.v2: `0644` is octal, `yes` is true, `1_000` is a
//! number, a date is a string. The same rules decide which strings must be quoted when manifests are written.

use serde_json::{Number, Value};

/// The value of a plain scalar; `None` for the numbers that JSON does not have (`.inf`, `.nan`).
pub(crate) fn resolve(text: &str) -> Option<Value> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return None,
        _ => number(text).unwrap_or_else(|| Value::from(text)),
    };
    Some(value)
}

fn number(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

/// Go's `ParseInt` with base 0: `0x`, `0o`, `0b` and a bare `0` name the base.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    match u64::from_str_radix(digits, radix) {
        Ok(0) => Some(Value::from(0)),
        Ok(size) if !negative => Some(Value::from(size)),
        Ok(size) => i64::try_from(-i128::from(size)).ok().map(Value::from).or_else(|| float(text)),
        // Beyond 64 bits the API reads a JSON number as a float.
        Err(_) => float(text),
    }
}

/// A float of YAML's shape. One without a fraction is an integer in the JSON that kubectl sends.
fn float(text: &str) -> Option<Value> {
    let value: f64 = is_float(text).then(|| text.parse().ok())??;
    let whole = value.fract() == 0.0 && value.abs() < 9e18;
    if whole {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let some = |text: &str| !text.is_empty() && digits(text);
    exponent.is_none_or(some) && (some(whole) && digits(fraction) || whole.is_empty() && some(fraction))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each row was compared with what `kubectl annotate --local -o json` makes of it.
    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let rows = [
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0123456", json!(42798)),
            ("089", json!(89)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("-0b101", json!(-5)),
            ("1_000", json!(1000)),
            ("12e03", json!(12000)),
            ("1.0", json!(1)),
            ("1.50", json!(1.5)),
            (".5", json!(0.5)),
            ("+5", json!(5)),
            ("-5", json!(-5)),
            ("-0", json!(0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("yes", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("", json!(null)),
            ("yEs", json!("yEs")),
            ("1:30", json!("1:30")),
            ("2001-12-14", json!("2001-12-14")),
            ("1.2.3", json!("1.2.3")),
            ("1e", json!("1e")),
            ("0x", json!("0x")),
            ("-", json!("-")),
            ("_1", json!("_1")),
            ("10m", json!("10m")),
            ("infinity", json!("infinity")),
        ];
        for (text, value) in rows {
            assert_eq!(resolve(text), Some(value), "{text}");
        }
        assert_eq!(resolve(".inf"), None);
    }
}
