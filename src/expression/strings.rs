//! The functions on texts and bytes: CEL's own, its extension for strings, and base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::function::{self, Operation};
use super::value::{Steps, Value};
use super::{Stop, format};

/// Calls a function on texts; `None` where it does not take such values.
pub(super) fn call<'a>(
    operation: Operation,
    values: &[Value<'a>],
    steps: &mut Steps,
) -> Result<Option<Value<'a>>, Stop> {
    for value in values {
        match value {
            Value::Text(text) => steps.take_bytes(text.len())?,
            Value::Bytes(bytes) => steps.take_bytes(bytes.len())?,
            _ => {}
        }
    }
    let owned = |text: String| Some(Value::Text(Cow::Owned(text)));
    Ok(match (operation, values) {
        (Operation::String, [value]) => match value.text() {
            Ok(text) => owned(text),
            Err(None) => None,
            Err(Some(stop)) => return Err(stop),
        },
        (Operation::Bytes, [bytes @ Value::Bytes(_)]) => Some(bytes.clone()),
        (Operation::Bytes, [Value::Text(text)]) => Some(Value::Bytes(text.as_bytes().into())),
        (Operation::Encode, [Value::Bytes(bytes)]) => owned(STANDARD.encode(bytes)),
        (Operation::Decode, [Value::Text(text)]) => Some(decoded(text)?),
        (Operation::Contains, [Value::Text(text), Value::Text(part)]) => {
            Some(Value::Bool(text.contains(&**part)))
        }
        (Operation::StartsWith, [Value::Text(text), Value::Text(part)]) => {
            Some(Value::Bool(text.starts_with(&**part)))
        }
        (Operation::EndsWith, [Value::Text(text), Value::Text(part)]) => {
            Some(Value::Bool(text.ends_with(&**part)))
        }
        (Operation::Matches, [Value::Text(text), Value::Text(pattern)]) => {
            // To compile it takes longest; to match, its length for each letter at worst.
            steps.take(2000 + text.len().saturating_mul(pattern.len()) / 64)?;
            let pattern = function::pattern(pattern).map_err(Stop::error)?;
            Some(Value::Bool(pattern.is_match(text)))
        }
        (Operation::LowerAscii, [Value::Text(text)]) => owned(text.to_ascii_lowercase()),
        (Operation::UpperAscii, [Value::Text(text)]) => owned(text.to_ascii_uppercase()),
        (Operation::Trim, [Value::Text(text)]) => owned(text.trim().to_owned()),
        (Operation::Reverse, [Value::Text(text)]) => owned(text.chars().rev().collect()),
        (Operation::Quote, [Value::Text(text)]) => owned(format!("{:?}", &**text)),
        (Operation::CharAt, [Value::Text(text), Value::Int(at)]) => {
            let at = position(text, *at)?;
            owned(text.chars().skip(at).take(1).collect())
        }
        (Operation::Substring, [Value::Text(text), Value::Int(from)]) => owned(substring(text, *from, None)?),
        (Operation::Substring, [Value::Text(text), Value::Int(from), Value::Int(to)]) => {
            owned(substring(text, *from, Some(*to))?)
        }
        (Operation::IndexOf | Operation::LastIndexOf, [Value::Text(text), Value::Text(part), rest @ ..]) => {
            index_of(operation, text, part, rest)?
        }
        (Operation::Replace, [Value::Text(text), Value::Text(from), Value::Text(to), rest @ ..]) => {
            replace(text, from, to, rest, steps)?
        }
        (Operation::Split, [Value::Text(text), Value::Text(by), rest @ ..]) => split(text, by, rest, steps)?,
        (Operation::Join, [list, rest @ ..]) => join(list, rest, steps)?,
        (Operation::Format, [Value::Text(text), list]) => match list.items() {
            Some(items) => owned(format::format(text, &items, steps)?),
            None => None,
        },
        _ => None,
    })
}

/// Of base64, with its padding or without.
fn decoded<'a>(text: &str) -> Result<Value<'a>, Stop> {
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    Ok(Value::Bytes(bytes.map_err(|_| Stop::error("the string is not base64"))?.into()))
}

/// The letters from one position to before another, or to the end.
fn substring(text: &str, from: i64, to: Option<i64>) -> Result<String, Stop> {
    let from = position(text, from)?;
    let Some(to) = to else { return Ok(text.chars().skip(from).collect()) };
    let to = position(text, to)?;
    if from > to {
        return Err(Stop::error(format!("a substring from {from} to {to} ends before it begins")));
    }
    Ok(text.chars().skip(from).take(to - from).collect())
}

/// A number of letters, not beyond the end.
fn position(text: &str, at: i64) -> Result<usize, Stop> {
    let found = usize::try_from(at).ok().filter(|at| *at <= text.chars().count());
    found.ok_or_else(|| Stop::error(format!("the string has no character {at}")))
}

fn index_of<'a>(
    operation: Operation,
    text: &str,
    part: &str,
    rest: &[Value<'a>],
) -> Result<Option<Value<'a>>, Stop> {
    let found = match (operation, rest) {
        (Operation::IndexOf, []) => text.find(part),
        (Operation::IndexOf, [Value::Int(from)]) => {
            let from = byte(text, position(text, *from)?);
            text[from..].find(part).map(|at| from + at)
        }
        (_, []) => text.rfind(part),
        (_, [Value::Int(to)]) => {
            let to = byte(text, position(text, *to)?);
            let end = (to + part.len()).min(text.len());
            let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
            text[..end].rfind(part)
        }
        _ => return Ok(None),
    };
    let letters = found.map_or(-1, |at| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX));
    Ok(Some(Value::Int(letters)))
}

/// Where a letter begins.
fn byte(text: &str, letter: usize) -> usize {
    text.char_indices().nth(letter).map_or(text.len(), |(at, _)| at)
}

/// How often, where a number says so; a negative one means every time.
fn times(rest: &[Value]) -> Option<usize> {
    match rest {
        [] => Some(usize::MAX),
        [Value::Int(count)] => Some(usize::try_from(*count).unwrap_or(usize::MAX)),
        _ => None,
    }
}

fn replace<'a>(
    text: &str,
    from: &str,
    to: &str,
    rest: &[Value<'a>],
    steps: &mut Steps,
) -> Result<Option<Value<'a>>, Stop> {
    let Some(count) = times(rest) else { return Ok(None) };
    let found = if from.is_empty() { text.len() + 1 } else { text.matches(from).take(count).count() };
    steps.take_bytes(text.len().saturating_add(found.min(count).saturating_mul(to.len())))?;
    Ok(Some(Value::Text(Cow::Owned(text.replacen(from, to, count)))))
}

fn split<'a>(text: &str, by: &str, rest: &[Value<'a>], steps: &mut Steps) -> Result<Option<Value<'a>>, Stop> {
    let Some(count) = times(rest) else { return Ok(None) };
    let parts: Vec<String> = if by.is_empty() {
        let mut letters = text.chars();
        let first = letters.by_ref().take(count.saturating_sub(1)).map(String::from);
        let mut parts: Vec<String> = first.collect();
        let left: String = letters.collect();
        if count > 0 && !left.is_empty() {
            parts.push(left);
        }
        parts
    } else {
        text.splitn(count, by).map(str::to_owned).collect()
    };
    steps.take(2 * parts.len())?;
    let items: Vec<Value> = parts.into_iter().map(|part| Value::Text(Cow::Owned(part))).collect();
    Ok(Some(Value::List(items.into())))
}

fn join<'a>(list: &Value<'a>, rest: &[Value<'a>], steps: &mut Steps) -> Result<Option<Value<'a>>, Stop> {
    let by: &str = match rest {
        [] => "",
        [Value::Text(by)] => by,
        _ => return Ok(None),
    };
    let (Value::Items(_) | Value::List(_)) = list else { return Ok(None) };
    let mut joined = String::new();
    for (index, item) in list.items().unwrap_or_default().iter().enumerate() {
        let Value::Text(text) = item else {
            return Err(Stop::error(format!("`join` takes strings, not a {}", item.type_name())));
        };
        steps.take_bytes(by.len() + text.len())?;
        if index > 0 {
            joined += by;
        }
        joined += text;
    }
    Ok(Some(Value::Text(Cow::Owned(joined))))
}
