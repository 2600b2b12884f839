//! The value of an expression for an object, within a number of steps.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value as Json;

use super::function::{Function, Operation};
use super::syntax::{Kind, Macro, SyntaxNode, TYPES, VARIABLES};
use super::value::{Steps, Value};
use super::{Stop, arithmetic, strings, time};

/// One evaluation.
pub(super) struct Evaluation<'a> {
    object: &'a Json,
    pub(super) steps: Steps,
    /// The items of the macros around the node that is evaluated, innermost last.
    items: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn of(object: &'a Json, steps: usize) -> Self {
        Self { object, steps: Steps { left: steps }, items: Vec::new() }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &'a SyntaxNode) -> Result<Value<'a>, Stop> {
        self.steps.take(1)?;
        Ok(match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Int(number) => Value::Int(*number),
            Kind::Uint(number) => Value::Uint(*number),
            Kind::Double(number) => Value::Double(*number),
            Kind::Text(text) => Value::Text(Cow::Borrowed(text)),
            Kind::Bytes(bytes) => {
                self.steps.take_bytes(bytes.len())?;
                Value::Bytes(Rc::from(bytes.as_slice()))
            }
            Kind::Name(name) => self.name(name)?,
            Kind::Select { of, field, optional } => self.select(of, field, *optional)?,
            Kind::Index { of, by, optional } => self.index(of, by, *optional)?,
            Kind::Has { of, field } => Value::Bool(self.has(of, field)?),
            Kind::List(items) => self.list(items)?,
            Kind::Map(entries) => self.map(entries)?,
            Kind::Not(node) => Value::Bool(!self.flag(node)?),
            Kind::Negate(node) => arithmetic::negate(self.value(node)?)?,
            Kind::And(nodes) => Value::Bool(!self.any_is(nodes, false)?),
            Kind::Or(nodes) => Value::Bool(self.any_is(nodes, true)?),
            Kind::Binary { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                arithmetic::binary(operator, &left, &right, &mut self.steps)?
            }
            Kind::Choice { condition, yes, no } => {
                let chosen = if self.flag(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Kind::Call { function, arguments } => self.call(function, arguments)?,
            Kind::Macro { name, of, item, condition, value } => {
                self.expand(*name, of, item, condition.as_deref(), value)?
            }
        })
    }

    fn flag(&mut self, node: &'a SyntaxNode) -> Result<bool, Stop> {
        truth(&self.value(node)?)
    }

    fn name(&mut self, name: &'a str) -> Result<Value<'a>, Stop> {
        if let Some((_, value)) = self.items.iter().rev().find(|(item, _)| *item == name) {
            return Ok(value.clone());
        }
        match self.object.get(name).filter(|_| VARIABLES.contains(&name)) {
            Some(field) => Ok(Value::of(field)),
            None => match TYPES.iter().find(|one| **one == name) {
                Some(name) => Ok(Value::Type(name)),
                None => Err(Stop::error(format!("the object has no `{name}`"))),
            },
        }
    }

    /// Whether a node is a variable that the object lacks: `status` before its controller has seen it.
    fn is_absent(&self, node: &SyntaxNode) -> bool {
        matches!(&node.kind, Kind::Name(name)
            if VARIABLES.contains(&name.as_str())
                && self.object.get(name).is_none()
                && self.items.iter().all(|(item, _)| item != name))
    }

    fn has(&mut self, of: &'a SyntaxNode, field: &str) -> Result<bool, Stop> {
        if self.is_absent(of) {
            return Ok(false);
        }
        match self.value(of)? {
            Value::Optional(None) => Ok(false),
            Value::Optional(Some(value)) => Ok(value.field(field)?.is_some()),
            value => Ok(value.field(field)?.is_some()),
        }
    }

    fn select(&mut self, of: &'a SyntaxNode, field: &str, optional: bool) -> Result<Value<'a>, Stop> {
        if optional && self.is_absent(of) {
            return Ok(Value::Optional(None));
        }
        match self.value(of)? {
            // Behind an optional everything is optional.
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(value)) => Ok(Value::Optional(value.field(field)?.map(Rc::new))),
            value if optional => Ok(Value::Optional(value.field(field)?.map(Rc::new))),
            value => value.field(field)?.ok_or_else(|| Stop::error(format!("no such key: {field}"))),
        }
    }

    fn index(&mut self, of: &'a SyntaxNode, by: &'a SyntaxNode, optional: bool) -> Result<Value<'a>, Stop> {
        if optional && self.is_absent(of) {
            return Ok(Value::Optional(None));
        }
        let (value, by) = (self.value(of)?, self.value(by)?);
        match value {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(value)) => {
                Ok(Value::Optional(value.index(&by, &mut self.steps)?.map(Rc::new)))
            }
            value if optional => Ok(Value::Optional(value.index(&by, &mut self.steps)?.map(Rc::new))),
            value => value.index(&by, &mut self.steps)?.ok_or_else(|| match &by {
                Value::Text(key) => Stop::error(format!("no such key: {key}")),
                _ => Stop::error("the list has no such item"),
            }),
        }
    }

    fn list(&mut self, nodes: &'a [(SyntaxNode, bool)]) -> Result<Value<'a>, Stop> {
        let mut items = Vec::new();
        for (node, optional) in nodes {
            match (self.value(node)?, optional) {
                (Value::Optional(value), true) => items.extend(value.map(|value| value.as_ref().clone())),
                (_, true) => return Err(Stop::error("an item after `?` is not optional")),
                (value, false) => items.push(value),
            }
        }
        Ok(Value::List(items.into()))
    }

    fn map(&mut self, nodes: &'a [(SyntaxNode, SyntaxNode, bool)]) -> Result<Value<'a>, Stop> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        for (key, value, optional) in nodes {
            let key = self.value(key)?;
            if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
                return Err(Stop::error(format!("a {} cannot be a key", key.type_name())));
            }
            for (other, _) in &entries {
                if key.equals(other, &mut self.steps)? {
                    return Err(Stop::error("a map has the same key twice"));
                }
            }
            match (self.value(value)?, optional) {
                (Value::Optional(value), true) => {
                    entries.extend(value.map(|value| (key, value.as_ref().clone())));
                }
                (_, true) => return Err(Stop::error("a value after `?` is not optional")),
                (value, false) => entries.push((key, value)),
            }
        }
        Ok(Value::Map(entries.into()))
    }

    /// Whether one of the nodes is the flag that decides; then an error in another does not matter.
    fn any_is(&mut self, nodes: &'a [SyntaxNode], flag: bool) -> Result<bool, Stop> {
        let mut error = None;
        for node in nodes {
            match self.flag(node) {
                Ok(found) if found == flag => return Ok(true),
                Ok(_) => {}
                Err(Stop::OutOfSteps) => return Err(Stop::OutOfSteps),
                Err(stop) => error = error.or(Some(stop)),
            }
        }
        error.map_or(Ok(false), Err)
    }

    fn call(&mut self, function: &Function, nodes: &'a [SyntaxNode]) -> Result<Value<'a>, Stop> {
        // What stands for a missing value is not asked for while there is one.
        if let (Operation::OrValue | Operation::Or, [of, other]) = (function.operation, nodes) {
            return match (self.value(of)?, function.operation) {
                (Value::Optional(Some(value)), Operation::OrValue) => Ok(value.as_ref().clone()),
                (value @ Value::Optional(Some(_)), _) => Ok(value),
                (Value::Optional(None), _) => self.value(other),
                (value, _) => Err(no_overload(function, &[value])),
            };
        }
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            values.push(self.value(node)?);
        }
        let called = match function.operation {
            Operation::Timestamp | Operation::Duration | Operation::Part(_) => {
                time::call(function.operation, &values)?
            }
            Operation::Int
            | Operation::Uint
            | Operation::Double
            | Operation::Bool
            | Operation::Dyn
            | Operation::Type
            | Operation::Size => self.convert(function.operation, &values)?,
            Operation::HasValue
            | Operation::Value
            | Operation::OptionalOf
            | Operation::OptionalNone
            | Operation::OptionalOfNonZero => optional(function.operation, &values)?,
            Operation::SetsContains | Operation::SetsIntersects | Operation::SetsEquivalent => {
                self.sets(function.operation, &values)?
            }
            _ => strings::call(function.operation, &values, &mut self.steps)?,
        };
        called.ok_or_else(|| no_overload(function, &values))
    }

    fn convert(&mut self, operation: Operation, values: &[Value<'a>]) -> Result<Option<Value<'a>>, Stop> {
        let [value] = values else { return Ok(None) };
        Ok(match operation {
            Operation::Dyn => Some(value.clone()),
            Operation::Type => Some(Value::Type(value.type_name())),
            Operation::Size => {
                if let Value::Text(text) = value {
                    self.steps.take_bytes(text.len())?;
                }
                value.size().map(|size| Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
            }
            _ => arithmetic::convert(operation, value)?,
        })
    }

    fn sets(&mut self, operation: Operation, values: &[Value<'a>]) -> Result<Option<Value<'a>>, Stop> {
        let [one, other] = values else { return Ok(None) };
        let (Value::Items(_) | Value::List(_), Value::Items(_) | Value::List(_)) = (one, other) else {
            return Ok(None);
        };
        let (one, other) = (one.items().unwrap_or_default(), other.items().unwrap_or_default());
        let mut has = |list: &[Value<'a>], wanted: &Value<'a>| {
            for item in list {
                if item.equals(wanted, &mut self.steps)? {
                    return Ok(true);
                }
            }
            Ok::<bool, Stop>(false)
        };
        let (mut shared, mut lacking, mut beyond) = (false, false, false);
        for item in &other {
            let found = has(&one, item)?;
            shared |= found;
            lacking |= !found;
        }
        if operation == Operation::SetsEquivalent {
            for item in &one {
                beyond |= !has(&other, item)?;
            }
        }
        Ok(Some(Value::Bool(match operation {
            Operation::SetsIntersects => shared,
            _ => !lacking && !beyond,
        })))
    }

    fn expand(
        &mut self,
        name: Macro,
        of: &'a SyntaxNode,
        item: &'a str,
        condition: Option<&'a SyntaxNode>,
        value: &'a SyntaxNode,
    ) -> Result<Value<'a>, Stop> {
        let range = self.value(of)?;
        if matches!(name, Macro::OptMap | Macro::OptFlatMap) {
            return self.map_optional(name, range, item, value);
        }
        let Some(items) = range.items() else {
            return Err(Stop::error(format!("a {} has no items to go through", range.type_name())));
        };
        self.steps.take(items.len())?;
        let (mut kept, mut count, mut error) = (Vec::new(), 0, None);
        for one in items {
            self.items.push((item, one.clone()));
            let found = self.one_item(condition, value);
            self.items.pop();
            let found = match found {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // `all` and `exists` may be decided by another item.
                Err(stop @ Stop::Error(_)) if matches!(name, Macro::All | Macro::Exists) => {
                    error = error.or(Some(stop));
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            match name {
                Macro::Map => kept.push(found),
                _ => match (name, truth(&found)?) {
                    (Macro::All, false) => return Ok(Value::Bool(false)),
                    (Macro::Exists, true) => return Ok(Value::Bool(true)),
                    (Macro::ExistsOne, true) => count += 1,
                    (Macro::Filter, true) => kept.push(one),
                    _ => {}
                },
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        Ok(match name {
            Macro::All => Value::Bool(true),
            Macro::Exists => Value::Bool(false),
            Macro::ExistsOne => Value::Bool(count == 1),
            _ => Value::List(kept.into()),
        })
    }

    /// The value for one item; `None` where its condition leaves it out.
    fn one_item(
        &mut self,
        condition: Option<&'a SyntaxNode>,
        value: &'a SyntaxNode,
    ) -> Result<Option<Value<'a>>, Stop> {
        if let Some(condition) = condition
            && !self.flag(condition)?
        {
            return Ok(None);
        }
        self.value(value).map(Some)
    }

    fn map_optional(
        &mut self,
        name: Macro,
        range: Value<'a>,
        item: &'a str,
        value: &'a SyntaxNode,
    ) -> Result<Value<'a>, Stop> {
        let within = match range {
            Value::Optional(Some(within)) => within.as_ref().clone(),
            Value::Optional(None) => return Ok(range),
            other => return Err(Stop::error(format!("a {} is not optional", other.type_name()))),
        };
        self.items.push((item, within));
        let found = self.value(value);
        self.items.pop();
        match (name, found?) {
            (Macro::OptMap, found) => Ok(Value::some(found)),
            (_, found @ Value::Optional(_)) => Ok(found),
            (_, other) => Err(Stop::error(format!("a {} is not optional", other.type_name()))),
        }
    }
}

fn truth(value: &Value) -> Result<bool, Stop> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        other => Err(Stop::error(format!("a {} is neither true nor false", other.type_name()))),
    }
}

fn optional<'a>(operation: Operation, values: &[Value<'a>]) -> Result<Option<Value<'a>>, Stop> {
    Ok(match (operation, values) {
        (Operation::OptionalNone, _) => Some(Value::Optional(None)),
        (Operation::OptionalOf, [value]) => Some(Value::some(value.clone())),
        (Operation::OptionalOfNonZero, [value]) => Some(match value {
            _ if is_zero(value) => Value::Optional(None),
            value => Value::some(value.clone()),
        }),
        (Operation::HasValue, [Value::Optional(value)]) => Some(Value::Bool(value.is_some())),
        (Operation::Value, [Value::Optional(value)]) => match value {
            Some(value) => Some(value.as_ref().clone()),
            None => return Err(Stop::error("the optional has no value")),
        },
        _ => None,
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Duration(duration) => duration.is_zero(),
        other => other.size() == Some(0),
    }
}

fn no_overload(function: &Function, values: &[Value]) -> Stop {
    let types: Vec<&str> = values.iter().map(Value::type_name).collect();
    match types.split_first() {
        Some((of, others)) if function.is_method => {
            let (name, others) = (function.name, others.join(", "));
            Stop::error(format!("a {of} has no method `{name}({others})`"))
        }
        _ => Stop::error(format!("`{}` does not take a {}", function.name, types.join(" and a "))),
    }
}
