//! `'%s has %d'.format([…])`

use super::Stop;
use super::value::{Steps, Value};

/// More digits behind the point are no information.
const MOST_DIGITS: usize = 40;

/// Puts values into a text.
pub(super) fn format(text: &str, values: &[Value], steps: &mut Steps) -> Result<String, Stop> {
    let mut values = values.iter();
    let mut made = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        if letters.next_if_eq(&'%').is_some() {
            made.push('%');
            continue;
        }
        let mut digits = None;
        if letters.next_if_eq(&'.').is_some() {
            let mut count = 0;
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                count = (count * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(MOST_DIGITS + 1);
            }
            digits = Some(count).filter(|count| *count <= MOST_DIGITS);
            if digits.is_none() {
                return Err(Stop::error(format!("`format` writes {MOST_DIGITS} digits at most")));
            }
        }
        let Some(verb) = letters.next() else { return Err(Stop::error("`format` ends with a `%`")) };
        let Some(value) = values.next() else { return Err(Stop::error("`format` has too few values")) };
        let part = written(verb, value, digits.unwrap_or(6), steps)?;
        steps.take_bytes(part.len())?;
        made += &part;
    }
    Ok(made)
}

fn written(verb: char, value: &Value, digits: usize, steps: &mut Steps) -> Result<String, Stop> {
    let wrong = || Stop::error(format!("`%{}` does not take a {}", verb.escape_debug(), value.type_name()));
    #[expect(clippy::cast_precision_loss, reason = "that is what a double of it is")]
    let double = || match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    };
    let whole = || match value {
        Value::Int(number) => Some((*number < 0, number.unsigned_abs())),
        Value::Uint(number) => Some((false, *number)),
        _ => None,
    };
    let signed =
        |(is_negative, digits): (bool, String)| format!("{}{digits}", if is_negative { "-" } else { "" });
    match verb {
        's' => shown(value, steps),
        'd' => match whole() {
            Some((is_negative, number)) => Ok(signed((is_negative, number.to_string()))),
            None => double().map(|number| number.to_string()).ok_or_else(wrong),
        },
        'f' => double().map(|number| format!("{number:.digits$}")).ok_or_else(wrong),
        'e' => double().map(|number| format!("{number:.digits$e}")).ok_or_else(wrong),
        'b' => match value {
            Value::Bool(flag) => Ok(u8::from(*flag).to_string()),
            _ => whole().map(|(sign, number)| signed((sign, format!("{number:b}")))).ok_or_else(wrong),
        },
        'o' => whole().map(|(sign, number)| signed((sign, format!("{number:o}")))).ok_or_else(wrong),
        'x' | 'X' => {
            let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let text = match value {
                Value::Text(text) => bytes(text.as_bytes()),
                Value::Bytes(one) => bytes(one),
                _ => whole().map(|(sign, number)| signed((sign, format!("{number:x}")))).ok_or_else(wrong)?,
            };
            Ok(if verb == 'X' { text.to_ascii_uppercase() } else { text })
        }
        _ => Err(Stop::error(format!("`format` does not know `%{}`", verb.escape_debug()))),
    }
}

/// A value as `%s` shows it.
fn shown(value: &Value, steps: &mut Steps) -> Result<String, Stop> {
    steps.take(1)?;
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::Items(_) | Value::List(_) => {
            let mut parts = Vec::new();
            for item in value.items().unwrap_or_default() {
                let part = shown(&item, steps)?;
                steps.take_bytes(part.len())?;
                parts.push(part);
            }
            Ok(format!("[{}]", parts.join(", ")))
        }
        Value::Fields(_) | Value::Map(_) => {
            let mut parts = Vec::new();
            for key in value.items().unwrap_or_default() {
                let within = value.index(&key, steps)?.unwrap_or(Value::Null);
                let part = format!("{}: {}", shown(&key, steps)?, shown(&within, steps)?);
                steps.take_bytes(part.len())?;
                parts.push(part);
            }
            parts.sort();
            Ok(format!("{{{}}}", parts.join(", ")))
        }
        other => other.text().map_err(|stop| {
            stop.unwrap_or_else(|| {
                Stop::error(format!("a {} cannot be converted to a string", other.type_name()))
            })
        }),
    }
}
