//! The forms of strings and the ranges of numbers, field by field.

mod access;
mod cluster;
mod containers;
mod network;
mod pods;
mod storage;
mod workloads;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::int;
use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::{Format, Quantity, is_label_key, is_label_value};
use crate::schema::table::{Field, Shape};

/// What the value of a field must be.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// A string of this form; empty counts as left out.
    Form(Format),
    /// A string of this form, also where it is empty: the server tells empty from left out.
    Exact(Format),
    /// A list of such strings, none of them empty.
    Forms(Format),
    /// A map whose keys are of this form.
    Keys(Format),
    /// A map of labels.
    Labels,
    /// A map of annotations.
    Annotations,
    /// A number from this to that.
    Range(i64, i64),
    /// A list of such numbers.
    Ranges(i64, i64),
    /// A port by number or name.
    Port,
    /// As [`Self::Port`], where 0 and an empty name count as left out.
    TargetPort,
    /// A number that is not negative, or a percentage.
    Share,
    /// As [`Self::Share`], at most 100 %.
    ShareOfAll,
    /// One of these; empty counts as left out.
    Words(&'static [&'static str]),
    /// One of these, also where it is empty: the server tells empty from left out.
    ExactWords(&'static [&'static str]),
    /// A list of these.
    EachOf(&'static [&'static str]),
    /// A quantity that is not negative.
    NotNegative,
    /// A quantity greater than zero.
    Positive,
    /// A text of at least one letter.
    NotEmpty,
    /// A text of at most so many bytes.
    Longest(usize),
    /// At most so many items.
    Most(usize),
    /// What stands first, then this; of the first that is wrong is told.
    Both(&'static Self, &'static Self),
    /// Since this minor version of Kubernetes.
    Since(u32, &'static Self),
    /// Before this minor version of Kubernetes.
    Before(u32, &'static Self),
}

type Table = &'static [(&'static str, &'static str, Rule)];

const PORT: Rule = Rule::Range(1, 65535);
const NOT_NEGATIVE: Rule = Rule::Range(0, i64::MAX);
const POSITIVE: Rule = Rule::Range(1, i64::MAX);
const PERCENT: Rule = Rule::Range(0, 100);

const TABLES: [Table; 7] = [
    access::RULES,
    cluster::RULES,
    containers::RULES,
    network::RULES,
    pods::RULES,
    storage::RULES,
    workloads::RULES,
];

static BY_FIELD: LazyLock<HashMap<(&str, &str), Rule>> = LazyLock::new(|| {
    let all = TABLES.iter().flat_map(|table| table.iter());
    all.map(|(type_name, field, rule)| ((*type_name, *field), *rule)).collect()
});

/// What is checked.
struct Checked<'a> {
    minor: u32,
    field: &'a Field,
    value: &'a Value,
    pointer: &'a str,
}

/// What is wrong with the value of a field.
pub(super) fn check(
    (type_name, minor): (&str, u32),
    field: &Field,
    value: &Value,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    if let Some(rule) = BY_FIELD.get(&(type_name, field.name)) {
        rule.check(&Checked { minor, field, value, pointer }, found);
    }
}

impl Rule {
    fn check(self, one: &Checked<'_>, found: &mut Vec<Finding>) {
        let pointer = one.pointer;
        match (self, one.value) {
            (Self::Since(minor, rule), _) if one.minor >= minor => rule.check(one, found),
            (Self::Before(minor, rule), _) if one.minor < minor => rule.check(one, found),
            (Self::Both(first, second), _) => {
                let before = found.len();
                first.check(one, found);
                if found.len() == before {
                    second.check(one, found);
                }
            }
            (Self::Keys(format), Value::Object(map)) => {
                found.extend(map.keys().filter_map(|key| key_form(format, key, pointer)));
            }
            (Self::Labels, Value::Object(map)) => {
                for (key, value) in map {
                    labels(key, value.as_str().unwrap_or_default(), pointer, found);
                }
            }
            (Self::Annotations, Value::Object(map)) => {
                // The prefix of an annotation may have upper-case letters.
                let wrong = map.keys().filter(|key| !is_label_key(&key.to_lowercase()));
                found.extend(wrong.map(|key| bad_key(key, "annotation key", pointer)));
            }
            (Self::Forms(_) | Self::Ranges(..) | Self::EachOf(_) | Self::Most(_), Value::Array(items)) => {
                self.list(one.minor, items, pointer, found);
            }
            _ => found.extend(self.scalar(one)),
        }
    }

    fn list(self, minor: u32, items: &[Value], pointer: &str, found: &mut Vec<Finding>) {
        if let Self::Most(most) = self
            && items.len() > most
        {
            let message = format!("the list has {} items, {most} are allowed", items.len());
            return found.push(Finding::error(pointer, message));
        }
        for (index, item) in items.iter().enumerate() {
            let at = || step(pointer, index);
            found.extend(match (self, text_of(item)) {
                (Self::Forms(format), Some(text)) => form(format.since(minor), text, &at()),
                (Self::EachOf(words), Some(text)) if !words.contains(&text) => {
                    Some(not_one_of(&at(), text, words))
                }
                (Self::Ranges(least, most), _) => {
                    int(&Shape::Int64, item).and_then(|one| range(one, least, most, &at()))
                }
                _ => None,
            });
        }
    }

    fn scalar(self, one: &Checked<'_>) -> Option<Finding> {
        let pointer = one.pointer;
        match (self, one.value) {
            (Self::Form(format), Value::String(text)) if !text.is_empty() => {
                form(format.since(one.minor), text, pointer)
            }
            (Self::Exact(format), Value::String(text)) => form(format.since(one.minor), text, pointer),
            (Self::Range(least, most), Value::Number(_)) => {
                range(int(&one.field.shape, one.value)?, least, most, pointer)
            }
            (Self::TargetPort, Value::String(text)) if text.is_empty() => None,
            (Self::TargetPort, Value::Number(_)) if int(&Shape::Int64, one.value) == Some(0) => None,
            (Self::Port | Self::TargetPort, _) => port(one.value, pointer),
            (Self::Share | Self::ShareOfAll, _) => {
                share(one.value, matches!(self, Self::ShareOfAll), pointer)
            }
            (Self::Words(words), Value::String(text))
                if !text.is_empty() && !words.contains(&text.as_str()) =>
            {
                Some(not_one_of(pointer, text, words))
            }
            (Self::ExactWords(words), Value::String(text)) if !words.contains(&text.as_str()) => {
                Some(not_one_of(pointer, text, words))
            }
            (Self::NotNegative, _) => amount(one.value, true, pointer),
            (Self::Positive, _) => amount(one.value, false, pointer),
            (Self::NotEmpty, Value::String(text)) if text.is_empty() => Some(empty(pointer)),
            (Self::Longest(most), Value::String(text)) if text.len() > most => {
                let message = format!("the value has {} bytes, {most} are allowed", text.len());
                Some(Finding::error(pointer, message))
            }
            _ => None,
        }
    }
}

/// An item that is null is an empty string.
fn text_of(item: &Value) -> Option<&str> {
    if item.is_null() { Some("") } else { item.as_str() }
}

fn form(format: Format, text: &str, pointer: &str) -> Option<Finding> {
    let malformed = format.check(text).err()?;
    Some(Finding::error(pointer, malformed.message).with_hint_if(malformed.hint.map(ToOwned::to_owned)))
}

fn empty(pointer: &str) -> Finding {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    Finding::error(pointer, format!("`{name}` cannot be empty")).with_hint("leave it out, or give it a value")
}

fn key_form(format: Format, key: &str, pointer: &str) -> Option<Finding> {
    let malformed = format.check(key).err()?;
    let finding = Finding::error(step(pointer, key), malformed.message).at_key();
    Some(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)))
}

fn labels(key: &str, value: &str, pointer: &str, found: &mut Vec<Finding>) {
    if !is_label_key(key) {
        found.push(bad_key(key, "label key", pointer));
    }
    if !is_label_value(value) {
        found.extend(form(Format::LabelValue, value, &step(pointer, key)));
    }
}

fn bad_key(key: &str, what: &str, pointer: &str) -> Finding {
    let hint = Format::LabelKey.check(key).err().and_then(|malformed| malformed.hint);
    let finding = Finding::error(step(pointer, key), format!("`{key}` is not a valid {what}")).at_key();
    finding.with_hint_if(hint.map(ToOwned::to_owned))
}

/// What is wrong with a number that must lie between two others.
pub(super) fn range(number: i64, least: i64, most: i64, pointer: &str) -> Option<Finding> {
    if (least..=most).contains(&number) {
        return None;
    }
    let name = pointer.rsplit('/').find(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
    let wanted = match most {
        i64::MAX => format!("{least} or more"),
        0o777 => "between 0 and 0777 (octal)".to_owned(),
        _ if least == i64::MIN => format!("at most {most}"),
        _ => format!("between {least} and {most}"),
    };
    Some(Finding::error(pointer, format!("`{}` must be {wanted}, not {number}", name.unwrap_or_default())))
}

/// A port by number or by name. Source: `ValidatePortNumOrName`.
fn port(value: &Value, pointer: &str) -> Option<Finding> {
    match value {
        Value::Number(_) => range(int(&Shape::Int32, value)?, 1, 65535, pointer),
        // A number in quotes is a name of digits, which is none.
        Value::String(text) if text.parse::<u16>().is_ok() => {
            let finding = Finding::error(pointer, format!("`{text}` in quotes is not a port number"));
            Some(finding.with_hint("remove the quotes"))
        }
        Value::String(text) => form(Format::PortName, text, pointer),
        _ => None,
    }
}

/// Source: `ValidatePositiveIntOrPercent`, `IsNotMoreThan100Percent`.
fn share(value: &Value, is_of_all: bool, pointer: &str) -> Option<Finding> {
    match value {
        Value::Number(_) => range(int(&Shape::Int32, value)?, 0, i64::MAX, pointer),
        Value::String(text) => form(Format::Share, text, pointer).or_else(|| {
            let percent = text.strip_suffix('%')?.parse::<u64>().unwrap_or(u64::MAX);
            (is_of_all && percent > 100)
                .then(|| Finding::error(pointer, format!("`{text}` is more than 100%")))
        }),
        _ => None,
    }
}

/// Source: `ValidateNonnegativeQuantity`, `ValidatePositiveQuantityValue`.
fn amount(value: &Value, is_zero_right: bool, pointer: &str) -> Option<Finding> {
    let amount = Quantity::of(value)?;
    let name = pointer.rsplit('/').next().unwrap_or_default();
    if amount.is_negative() {
        return Some(Finding::error(pointer, format!("`{name}` cannot be negative")));
    }
    (!is_zero_right && amount.is_zero())
        .then(|| Finding::error(pointer, format!("`{name}` must be greater than 0")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::TABLE;

    /// A rule for a field that does not exist would never be asked.
    #[test]
    fn every_rule_is_for_a_field_of_the_table() {
        for (type_name, field, _) in TABLES.iter().flat_map(|table| table.iter()) {
            let one = TABLE.types.get(type_name);
            let has = one.is_some_and(|one| one.fields.iter().any(|known| known.name == *field));
            assert!(has, "{type_name}.{field}");
        }
        let count = TABLES.iter().map(|table| table.len()).sum::<usize>();
        assert_eq!(BY_FIELD.len(), count, "two rules for one field");
    }
}
