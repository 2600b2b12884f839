//! The functions and methods that an expression may call: those of CEL, and of its extensions for strings, sets,
//! encoders and optionals, which Flux has too.

use regex::{Regex, RegexBuilder};

/// Names before a dot that are no variables: `sets.contains`.
pub(super) const NAMESPACES: &[&str] = &["sets", "base64", "optional", "strings"];
/// A compiled pattern takes so many bytes at most.
const LARGEST_PATTERN: usize = 1 << 16;

/// A function or a method.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Whether it is written behind a value: `x.size()`.
    pub(super) is_method: bool,
    /// How many arguments it has, without the value before the dot.
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) operation: Operation,
}

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Size,
    Int,
    Uint,
    Double,
    Bool,
    String,
    Bytes,
    Dyn,
    Type,
    Timestamp,
    Duration,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    CharAt,
    IndexOf,
    LastIndexOf,
    Join,
    LowerAscii,
    UpperAscii,
    Replace,
    Split,
    Substring,
    Trim,
    Reverse,
    Format,
    Quote,
    /// A part of a time, or of a duration.
    Part(Part),
    HasValue,
    Value,
    OrValue,
    Or,
    OptionalOf,
    OptionalNone,
    OptionalOfNonZero,
    SetsContains,
    SetsIntersects,
    SetsEquivalent,
    Encode,
    Decode,
}

/// A part of a time, counted as CEL counts: months and days from 0, `getDate` from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

const fn function(name: &'static str, least: usize, most: usize, operation: Operation) -> Function {
    Function { name, is_method: false, least, most, operation }
}

const fn method(name: &'static str, least: usize, most: usize, operation: Operation) -> Function {
    Function { name, is_method: true, least, most, operation }
}

pub(super) const ALL: &[Function] = &[
    function("size", 1, 1, Operation::Size),
    function("int", 1, 1, Operation::Int),
    function("uint", 1, 1, Operation::Uint),
    function("double", 1, 1, Operation::Double),
    function("bool", 1, 1, Operation::Bool),
    function("string", 1, 1, Operation::String),
    function("bytes", 1, 1, Operation::Bytes),
    function("dyn", 1, 1, Operation::Dyn),
    function("type", 1, 1, Operation::Type),
    function("timestamp", 1, 1, Operation::Timestamp),
    function("duration", 1, 1, Operation::Duration),
    function("matches", 2, 2, Operation::Matches),
    function("optional.of", 1, 1, Operation::OptionalOf),
    function("optional.none", 0, 0, Operation::OptionalNone),
    function("optional.ofNonZeroValue", 1, 1, Operation::OptionalOfNonZero),
    function("sets.contains", 2, 2, Operation::SetsContains),
    function("sets.intersects", 2, 2, Operation::SetsIntersects),
    function("sets.equivalent", 2, 2, Operation::SetsEquivalent),
    function("base64.encode", 1, 1, Operation::Encode),
    function("base64.decode", 1, 1, Operation::Decode),
    function("strings.quote", 1, 1, Operation::Quote),
    method("size", 0, 0, Operation::Size),
    method("contains", 1, 1, Operation::Contains),
    method("startsWith", 1, 1, Operation::StartsWith),
    method("endsWith", 1, 1, Operation::EndsWith),
    method("matches", 1, 1, Operation::Matches),
    method("charAt", 1, 1, Operation::CharAt),
    method("indexOf", 1, 2, Operation::IndexOf),
    method("lastIndexOf", 1, 2, Operation::LastIndexOf),
    method("join", 0, 1, Operation::Join),
    method("lowerAscii", 0, 0, Operation::LowerAscii),
    method("upperAscii", 0, 0, Operation::UpperAscii),
    method("replace", 2, 3, Operation::Replace),
    method("split", 1, 2, Operation::Split),
    method("substring", 1, 2, Operation::Substring),
    method("trim", 0, 0, Operation::Trim),
    method("reverse", 0, 0, Operation::Reverse),
    method("format", 1, 1, Operation::Format),
    method("getFullYear", 0, 1, Operation::Part(Part::Year)),
    method("getMonth", 0, 1, Operation::Part(Part::Month)),
    method("getDate", 0, 1, Operation::Part(Part::Date)),
    method("getDayOfMonth", 0, 1, Operation::Part(Part::DayOfMonth)),
    method("getDayOfWeek", 0, 1, Operation::Part(Part::DayOfWeek)),
    method("getDayOfYear", 0, 1, Operation::Part(Part::DayOfYear)),
    method("getHours", 0, 1, Operation::Part(Part::Hours)),
    method("getMinutes", 0, 1, Operation::Part(Part::Minutes)),
    method("getSeconds", 0, 1, Operation::Part(Part::Seconds)),
    method("getMilliseconds", 0, 1, Operation::Part(Part::Milliseconds)),
    method("hasValue", 0, 0, Operation::HasValue),
    method("value", 0, 0, Operation::Value),
    method("orValue", 1, 1, Operation::OrValue),
    method("or", 1, 1, Operation::Or),
];

/// Compiles a pattern of `matches`; it may not become large.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        _ => format!("the pattern `{}` is not a regular expression (RE2)", text.escape_debug()),
    })
}
