//! Operators and conversions between numbers; what does not fit is an error, nothing wraps around.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Stop;
use super::function::Operation;
use super::value::{Steps, Value};

/// The value of an operator between two values.
pub(super) fn binary<'a>(
    operator: &str,
    left: &Value<'a>,
    right: &Value<'a>,
    steps: &mut Steps,
) -> Result<Value<'a>, Stop> {
    let is = |wanted: &[Ordering], steps: &mut Steps| {
        let order = left.compare(right, steps)?;
        Ok(Value::Bool(order.is_some_and(|order| wanted.contains(&order))))
    };
    match operator {
        "==" => left.equals(right, steps).map(Value::Bool),
        "!=" => left.equals(right, steps).map(|equal| Value::Bool(!equal)),
        "<" => is(&[Ordering::Less], steps),
        "<=" => is(&[Ordering::Less, Ordering::Equal], steps),
        ">" => is(&[Ordering::Greater], steps),
        ">=" => is(&[Ordering::Greater, Ordering::Equal], steps),
        "in" => contains(left, right, steps).map(Value::Bool),
        _ => calculate(operator, left, right, steps),
    }
}

fn contains<'a>(item: &Value<'a>, list: &Value<'a>, steps: &mut Steps) -> Result<bool, Stop> {
    match (list, item) {
        (Value::Fields(fields), Value::Text(key)) => return Ok(fields.contains_key(&**key)),
        (Value::Fields(_), _) => return Ok(false),
        _ => {}
    }
    let Some(items) = list.items() else {
        return Err(Stop::error(format!("`in` needs a list or a map, not a {}", list.type_name())));
    };
    for one in &items {
        if one.equals(item, steps)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn calculate<'a>(
    operator: &str,
    left: &Value<'a>,
    right: &Value<'a>,
    steps: &mut Steps,
) -> Result<Value<'a>, Stop> {
    let overflow = || Stop::error(format!("the result of `{operator}` is too large"));
    let by_zero = || Stop::error("division by zero");
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            let result = match operator {
                "+" => left.checked_add(*right),
                "-" => left.checked_sub(*right),
                "*" => left.checked_mul(*right),
                _ if *right == 0 => return Err(by_zero()),
                "/" => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(left), Value::Uint(right)) => {
            let result = match operator {
                "+" => left.checked_add(*right),
                "-" => left.checked_sub(*right),
                "*" => left.checked_mul(*right),
                _ if *right == 0 => return Err(by_zero()),
                "/" => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Uint).ok_or_else(overflow)
        }
        (Value::Double(left), Value::Double(right)) if operator != "%" => Ok(Value::Double(match operator {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            _ => left / right,
        })),
        (Value::Text(left), Value::Text(right)) if operator == "+" => {
            steps.take_bytes(left.len() + right.len())?;
            Ok(Value::Text(Cow::Owned(format!("{left}{right}"))))
        }
        (Value::Bytes(left), Value::Bytes(right)) if operator == "+" => {
            steps.take_bytes(left.len() + right.len())?;
            Ok(Value::Bytes([&left[..], &right[..]].concat().into()))
        }
        (Value::Items(_) | Value::List(_), Value::Items(_) | Value::List(_)) if operator == "+" => {
            steps.take(left.size().unwrap_or(0) + right.size().unwrap_or(0))?;
            let mut items = left.items().unwrap_or_default();
            items.extend(right.items().unwrap_or_default());
            Ok(Value::List(items.into()))
        }
        _ => with_times(operator, left, right),
    }
}

fn with_times<'a>(operator: &str, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Stop> {
    let overflow = || Stop::error(format!("the result of `{operator}` is too large"));
    match (left, right) {
        (Value::Timestamp(time), Value::Duration(duration))
        | (Value::Duration(duration), Value::Timestamp(time))
            if operator == "+" =>
        {
            time.checked_add(*duration).map(Value::Timestamp).map_err(|_| overflow())
        }
        (Value::Timestamp(time), Value::Duration(duration)) if operator == "-" => {
            time.checked_sub(*duration).map(Value::Timestamp).map_err(|_| overflow())
        }
        (Value::Timestamp(left), Value::Timestamp(right)) if operator == "-" => {
            Ok(Value::Duration(left.duration_since(*right)))
        }
        (Value::Duration(left), Value::Duration(right)) if operator == "+" => {
            left.checked_add(*right).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Duration(left), Value::Duration(right)) if operator == "-" => {
            left.checked_sub(*right).map(Value::Duration).ok_or_else(overflow)
        }
        _ => {
            let (left, right) = (left.type_name(), right.type_name());
            Err(Stop::error(format!("`{operator}` does not take a {left} and a {right}")))
        }
    }
}

/// A number with the other sign.
pub(super) fn negate(value: Value) -> Result<Value, Stop> {
    match value {
        Value::Int(number) => {
            number.checked_neg().map(Value::Int).ok_or_else(|| Stop::error("the result of `-` is too large"))
        }
        Value::Double(number) => Ok(Value::Double(-number)),
        other => Err(Stop::error(format!("`-` does not take a {}", other.type_name()))),
    }
}

/// `int(…)`, `uint(…)`, `double(…)`, `bool(…)`; `None` for what these do not take.
pub(super) fn convert<'a>(operation: Operation, value: &Value<'a>) -> Result<Option<Value<'a>>, Stop> {
    let wrong = || Stop::error(format!("{} cannot be converted", quoted(value)));
    Ok(Some(match (operation, value) {
        (Operation::Int, Value::Int(_))
        | (Operation::Uint, Value::Uint(_))
        | (Operation::Double, Value::Double(_))
        | (Operation::Bool, Value::Bool(_)) => value.clone(),
        (Operation::Int, Value::Uint(number)) => Value::Int(i64::try_from(*number).map_err(|_| wrong())?),
        (Operation::Int, Value::Text(text)) => Value::Int(text.parse().map_err(|_| wrong())?),
        (Operation::Int, Value::Timestamp(time)) => Value::Int(time.as_second()),
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (Operation::Int, Value::Double(number)) if number.abs() < 9.2e18 => Value::Int(*number as i64),
        (Operation::Uint, Value::Int(number)) => Value::Uint(u64::try_from(*number).map_err(|_| wrong())?),
        (Operation::Uint, Value::Text(text)) => Value::Uint(text.parse().map_err(|_| wrong())?),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (Operation::Uint, Value::Double(number)) if (0.0..1.8e19).contains(number) => {
            Value::Uint(*number as u64)
        }
        (Operation::Int | Operation::Uint, Value::Double(_)) => return Err(wrong()),
        #[expect(clippy::cast_precision_loss, reason = "that is what a double of it is")]
        (Operation::Double, Value::Int(number)) => Value::Double(*number as f64),
        #[expect(clippy::cast_precision_loss, reason = "that is what a double of it is")]
        (Operation::Double, Value::Uint(number)) => Value::Double(*number as f64),
        (Operation::Double, Value::Text(text)) => Value::Double(text.parse().map_err(|_| wrong())?),
        (Operation::Bool, Value::Text(text)) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Value::Bool(true),
            "false" | "False" | "FALSE" | "f" | "0" => Value::Bool(false),
            _ => return Err(wrong()),
        },
        _ => return Ok(None),
    }))
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>().escape_debug()),
        other => format!("this {}", other.type_name()),
    }
}
