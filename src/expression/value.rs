//! The values of an expression: what an object holds, without copies, and what is made of it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::Stop;

/// A value; `'a` is the object and the expression.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Rc<[u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    /// The name of a type.
    Type(&'static str),
    /// A list of the object.
    Items(&'a [Json]),
    /// A map of the object.
    Fields(&'a serde_json::Map<String, Json>),
    List(Rc<[Self]>),
    Map(Rc<[(Self, Self)]>),
    Optional(Option<Rc<Self>>),
}

impl<'a> Value<'a> {
    /// A value of an object. Whole numbers are `int`s, as Flux has them.
    pub(super) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), _, _) => Self::Int(number),
                (None, Some(number), _) => Self::Uint(number),
                (None, None, number) => Self::Double(number.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::Items(items),
            Json::Object(fields) => Self::Fields(fields),
        }
    }

    pub(super) fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::Type(_) => "type",
            Self::Items(_) | Self::List(_) => "list",
            Self::Fields(_) | Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
        }
    }

    /// A value as a text: what `string(…)` and messages make of it. `Err(None)` for what cannot be converted to a string.
    pub(super) fn text(&self) -> Result<String, Option<Stop>> {
        Ok(match self {
            Self::Text(text) => text.clone().into_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Uint(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Timestamp(time) => time.to_string(),
            Self::Duration(duration) => seconds(*duration),
            Self::Type(name) => (*name).to_owned(),
            Self::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Stop::error("the bytes are not UTF-8"));
                text?.to_owned()
            }
            _ => return Err(None),
        })
    }

    /// How many items, entries, letters or bytes it has.
    pub(super) fn size(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Items(items) => items.len(),
            Self::List(items) => items.len(),
            Self::Fields(fields) => fields.len(),
            Self::Map(entries) => entries.len(),
            _ => return None,
        })
    }

    /// The items of a list, the keys of a map.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        Some(match self {
            Self::Items(items) => items.iter().map(Self::of).collect(),
            Self::List(items) => items.to_vec(),
            Self::Fields(fields) => fields.keys().map(|key| Self::Text(Cow::Borrowed(key))).collect(),
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            _ => return None,
        })
    }

    /// The value of a field; `None` where there is none.
    pub(super) fn field(&self, name: &str) -> Result<Option<Self>, Stop> {
        match self {
            Self::Fields(fields) => Ok(fields.get(name).map(Self::of)),
            Self::Map(entries) => {
                let mut found =
                    entries.iter().filter(|(key, _)| matches!(key, Self::Text(key) if key == name));
                Ok(found.next().map(|(_, value)| value.clone()))
            }
            other => Err(Stop::error(format!("`{name}` needs a map, not a {}", other.type_name()))),
        }
    }

    /// The value at an index or a key; `None` where there is none.
    pub(super) fn index(&self, by: &Self, steps: &mut Steps) -> Result<Option<Self>, Stop> {
        let position = || {
            let position = match by {
                Self::Int(number) => usize::try_from(*number).ok(),
                Self::Uint(number) => usize::try_from(*number).ok(),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole numbers in the range alone"
                )]
                Self::Double(number) if number.fract() == 0.0 && (0.0..1e9).contains(number) => {
                    Some(*number as usize)
                }
                other => {
                    let name = other.type_name();
                    return Err(Stop::error(format!("a list cannot be indexed by a {name}")));
                }
            };
            Ok(position)
        };
        match (self, by) {
            (Self::Items(items), _) => Ok(position()?.and_then(|at| items.get(at)).map(Self::of)),
            (Self::List(items), _) => Ok(position()?.and_then(|at| items.get(at)).cloned()),
            (Self::Fields(fields), Self::Text(key)) => Ok(fields.get(&**key).map(Self::of)),
            (Self::Fields(_), _) => Ok(None),
            (Self::Map(entries), _) => {
                for (key, value) in entries.iter() {
                    if key.equals(by, steps)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
            (other, _) => Err(Stop::error(format!("a {} has no items", other.type_name()))),
        }
    }

    /// Equality over types: numbers by their value, nothing else is equal to something of another type.
    pub(super) fn equals(&self, other: &Self, steps: &mut Steps) -> Result<bool, Stop> {
        steps.take(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) | (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => {
                steps.take_bytes(one.len().min(other.len()))?;
                one == other
            }
            (Self::Bytes(one), Self::Bytes(other)) => {
                steps.take_bytes(one.len().min(other.len()))?;
                one == other
            }
            (Self::Timestamp(one), Self::Timestamp(other)) => one == other,
            (Self::Duration(one), Self::Duration(other)) => one == other,
            (Self::Type(one), Self::Type(other)) => one == other,
            (Self::Optional(Some(one)), Self::Optional(Some(other))) => one.equals(other, steps)?,
            (Self::Items(_) | Self::List(_), Self::Items(_) | Self::List(_)) => {
                if self.size() != other.size() {
                    return Ok(false);
                }
                let (one, other) = (self.items().unwrap_or_default(), other.items().unwrap_or_default());
                steps.take(one.len())?;
                for (one, other) in one.iter().zip(&other) {
                    if !one.equals(other, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Fields(_) | Self::Map(_), Self::Fields(_) | Self::Map(_)) => {
                if self.size() != other.size() {
                    return Ok(false);
                }
                for key in self.items().unwrap_or_default() {
                    steps.take(1)?;
                    match (self.index(&key, steps)?, other.index(&key, steps)?) {
                        (Some(one), Some(other)) if one.equals(&other, steps)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => compare_numbers(self, other) == Some(Some(Ordering::Equal)),
        })
    }

    /// The order of two values; `None` where a number is none (NaN).
    pub(super) fn compare(&self, other: &Self, steps: &mut Steps) -> Result<Option<Ordering>, Stop> {
        if let Some(order) = compare_numbers(self, other) {
            return Ok(order);
        }
        Ok(Some(match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => {
                steps.take_bytes(one.len().min(other.len()))?;
                one.cmp(other)
            }
            (Self::Bytes(one), Self::Bytes(other)) => {
                steps.take_bytes(one.len().min(other.len()))?;
                one.cmp(other)
            }
            (Self::Timestamp(one), Self::Timestamp(other)) => one.cmp(other),
            (Self::Duration(one), Self::Duration(other)) => one.cmp(other),
            _ => {
                let (one, other) = (self.type_name(), other.type_name());
                return Err(Stop::error(format!("a {one} cannot be compared with a {other}")));
            }
        }))
    }
}

/// The order of two numbers of any type; the outer `None` where one of them is not a number.
#[expect(clippy::option_option, reason = "no number is another thing than a number without an order")]
fn compare_numbers(one: &Value, other: &Value) -> Option<Option<Ordering>> {
    let whole = |value: &Value| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    #[expect(clippy::cast_precision_loss, reason = "CEL compares whole numbers with doubles as doubles")]
    let double = |value: &Value| match value {
        Value::Double(number) => Some(*number),
        _ => whole(value).map(|number| number as f64),
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(Some(one.cmp(&other))),
        _ => Some(double(one)?.partial_cmp(&double(other)?)),
    }
}

/// `90s`, `1.5s`
fn seconds(duration: SignedDuration) -> String {
    let nanoseconds = duration.subsec_nanos().unsigned_abs();
    let sign = if duration.is_negative() { "-" } else { "" };
    let whole = duration.as_secs().unsigned_abs();
    let part = format!("{nanoseconds:09}");
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}s"),
        part => format!("{sign}{whole}.{part}s"),
    }
}

/// What an evaluation may still do.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) left: usize,
}

impl Steps {
    pub(super) fn take(&mut self, count: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(count).ok_or(Stop::OutOfSteps)?;
        Ok(())
    }

    /// What it costs to read or write so many bytes.
    pub(super) fn take_bytes(&mut self, count: usize) -> Result<(), Stop> {
        self.take(1 + count / 16)
    }
}
