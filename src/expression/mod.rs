//! Expressions in CEL, the language of Kubernetes for rules: read once, evaluated on the fields of an object.
//!
//! The language is that of the specification (<https://github.com/google/cel-spec>) with what Flux adds for health:
//! strings, sets, encoders, optionals, numbers compared over types. What an expression may cost is bounded by its
//! length, its depth and a number of steps, and nothing in it can panic: it comes from outside.

mod arithmetic;
mod evaluate;
mod format;
mod function;
mod strings;
mod syntax;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod value;

use serde_json::Value as Json;

use self::evaluate::Evaluation;
use self::syntax::{Kind, Macro, SyntaxNode};
use self::value::Value;

/// An expression has so many bytes at most.
pub(crate) const LONGEST: usize = 8192;
/// So many nodes may lie within each other.
const DEEPEST: usize = 48;
/// An evaluation takes so many steps at most: what it visits, compares, copies. Some 50 ms.
const MOST_STEPS: usize = 400_000;

/// An expression that was read.
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    root: SyntaxNode,
}

/// What is wrong with the text of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// How many characters stand before the place.
    pub(crate) at: usize,
    /// One sentence.
    pub(crate) message: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

/// Why an evaluation has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    /// An error of the expression, which `&&`, `||` and macros may not need.
    Error(String),
    /// It has taken all steps that it may.
    OutOfSteps,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Stop {
    fn error(message: impl Into<String>) -> Self {
        Self::Error(message.into())
    }

    fn sentence(self) -> String {
        match self {
            Self::Error(message) => message,
            Self::OutOfSteps => format!("the expression takes more than {MOST_STEPS} steps"),
        }
    }
}

impl Expression {
    /// Reads an expression.
    pub(crate) fn compile(text: &str) -> Result<Self, Fault> {
        Ok(Self { source: text.trim().to_owned(), root: syntax::parse(text)? })
    }

    /// The text, as it is shown: one line.
    pub fn source(&self) -> String {
        self.source.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether it is true of an object.
    ///
    /// # Errors
    /// One sentence where it has no value, or one that is neither true nor false.
    pub(crate) fn holds(&self, object: &Json) -> Result<bool, String> {
        let mut evaluation = Evaluation::of(object, MOST_STEPS);
        match evaluation.value(&self.root).map_err(Stop::sentence)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!("its value is a {}, not true or false", other.type_name())),
        }
    }

    /// The words that it makes of an object; `None` where it has no value or an empty one.
    pub(crate) fn words(&self, object: &Json) -> Option<String> {
        let mut evaluation = Evaluation::of(object, MOST_STEPS);
        let value = evaluation.value(&self.root).ok()?;
        let value = match value {
            Value::Optional(value) => value?.as_ref().clone(),
            other => other,
        };
        let words = match value {
            Value::Null => return None,
            other => other.text().ok()?,
        };
        Some(words).filter(|words| !words.trim().is_empty())
    }

    /// Whether it asks for `filter(…).all(…)`, which is true where the filter leaves nothing.
    pub(crate) fn asks_all_of_a_filter(&self) -> bool {
        self.root.any(&|kind| match kind {
            Kind::Macro { name: Macro::All, of, .. } => {
                matches!(of.kind, Kind::Macro { name: Macro::Filter, .. })
            }
            _ => false,
        })
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}
