//! The tree of an expression, and how it is read from tokens.

use super::function::{self, Function};
use super::token::{Token, tokens};
use super::{DEEPEST, Fault};
use crate::text::nearest;

/// The fields of an object that are variables.
pub(super) const VARIABLES: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status", "data"];
/// Names of types, for `type(x) == string`.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
    "optional_type",
];
/// Words that CEL keeps for itself.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
const MACROS: &[&str] =
    &["all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap"];

/// A node, with the number of characters before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SyntaxNode {
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// How many nodes lie below each other here.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A variable, or the name of an item within a macro.
    Name(String),
    /// `a.b`, and `a.?b`, which has no value where the field is missing.
    Select {
        of: Box<SyntaxNode>,
        field: String,
        optional: bool,
    },
    Index {
        of: Box<SyntaxNode>,
        by: Box<SyntaxNode>,
        optional: bool,
    },
    /// `has(a.b)`
    Has {
        of: Box<SyntaxNode>,
        field: String,
    },
    /// An item with a question mark before it is left out where it has no value.
    List(Vec<(SyntaxNode, bool)>),
    Map(Vec<(SyntaxNode, SyntaxNode, bool)>),
    Not(Box<SyntaxNode>),
    Negate(Box<SyntaxNode>),
    And(Vec<SyntaxNode>),
    Or(Vec<SyntaxNode>),
    Binary {
        operator: &'static str,
        left: Box<SyntaxNode>,
        right: Box<SyntaxNode>,
    },
    Choice {
        condition: Box<SyntaxNode>,
        yes: Box<SyntaxNode>,
        no: Box<SyntaxNode>,
    },
    /// The target of a method is its first argument.
    Call {
        function: &'static Function,
        arguments: Vec<SyntaxNode>,
    },
    Macro {
        name: Macro,
        of: Box<SyntaxNode>,
        item: String,
        condition: Option<Box<SyntaxNode>>,
        value: Box<SyntaxNode>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    OptMap,
    OptFlatMap,
}

impl SyntaxNode {
    fn new(at: usize, kind: Kind) -> Result<Self, Fault> {
        let mut below = 0;
        kind.for_each_child(&mut |child| below = below.max(child.depth));
        if below >= DEEPEST {
            return Err(too_deep(at));
        }
        Ok(Self { at, kind, depth: below + 1 })
    }

    /// Whether this node or one below it is such.
    pub(super) fn any(&self, is_such: &impl Fn(&Kind) -> bool) -> bool {
        let mut found = is_such(&self.kind);
        self.kind.for_each_child(&mut |child| found = found || child.any(is_such));
        found
    }
}

impl Kind {
    fn for_each_child<'a>(&'a self, see: &mut dyn FnMut(&'a SyntaxNode)) {
        match self {
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::Name(_) => {}
            Self::Select { of, .. } | Self::Has { of, .. } => see(of),
            Self::Index { of, by, .. } => [of, by].into_iter().for_each(|node| see(node)),
            Self::List(items) => items.iter().for_each(|(item, _)| see(item)),
            Self::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                see(key);
                see(value);
            }),
            Self::Not(node) | Self::Negate(node) => see(node),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().for_each(see),
            Self::Binary { left, right, .. } => [left, right].into_iter().for_each(|node| see(node)),
            Self::Choice { condition, yes, no } => {
                for node in [condition, yes, no] {
                    see(node);
                }
            }
            Self::Call { arguments, .. } => arguments.iter().for_each(see),
            Self::Macro { of, condition, value, .. } => {
                see(of);
                if let Some(condition) = condition {
                    see(condition);
                }
                see(value);
            }
        }
    }
}

fn too_deep(at: usize) -> Fault {
    Fault::new(at, format!("the expression is nested more than {DEEPEST} levels deep"))
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<SyntaxNode, Fault> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, items: Vec::new(), open: 0 };
    if *parser.peek() == Token::End {
        return Err(Fault::new(0, "the expression is empty").with_hint("such as `status.phase == 'Ready'`"));
    }
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        other => Err(Fault::new(parser.place(), format!("expected an operator, found {}", other.describe()))),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// The names of items of the macros around this place.
    items: Vec<String>,
    /// How many calls of [`Parser::expression`] and [`Parser::unary`] are under way.
    open: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Token {
        self.tokens.get(self.at + count).map_or(&Token::End, |(token, _)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    fn take(&mut self, mark: &str) -> bool {
        let is_there = matches!(self.peek(), Token::Mark(found) if *found == mark);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, mark: &str) -> Result<(), Fault> {
        if self.take(mark) {
            return Ok(());
        }
        Err(Fault::new(self.place(), format!("expected `{mark}`, found {}", self.peek().describe())))
    }

    fn enter<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.open >= DEEPEST {
            return Err(too_deep(self.place()));
        }
        self.open += 1;
        let result = read(self);
        self.open -= 1;
        result
    }

    fn expression(&mut self) -> Result<SyntaxNode, Fault> {
        self.enter(|parser| {
            let condition = parser.either()?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = Box::new(parser.either()?);
            parser.expect(":")?;
            let no = Box::new(parser.expression()?);
            SyntaxNode::new(condition.at, Kind::Choice { condition: Box::new(condition), yes, no })
        })
    }

    fn either(&mut self) -> Result<SyntaxNode, Fault> {
        self.chain("||", Self::both, Kind::Or)
    }

    fn both(&mut self) -> Result<SyntaxNode, Fault> {
        self.chain("&&", Self::relation, Kind::And)
    }

    fn chain(
        &mut self,
        mark: &str,
        read: fn(&mut Self) -> Result<SyntaxNode, Fault>,
        kind: fn(Vec<SyntaxNode>) -> Kind,
    ) -> Result<SyntaxNode, Fault> {
        let first = read(self)?;
        let at = first.at;
        let mut all = vec![first];
        while self.take(mark) {
            all.push(read(self)?);
        }
        if all.len() == 1
            && let Some(alone) = all.pop()
        {
            return Ok(alone);
        }
        SyntaxNode::new(at, kind(all))
    }

    fn relation(&mut self) -> Result<SyntaxNode, Fault> {
        self.operators(&["==", "!=", "<=", ">=", "<", ">", "in"], Self::sum)
    }

    fn sum(&mut self) -> Result<SyntaxNode, Fault> {
        self.operators(&["+", "-"], Self::product)
    }

    fn product(&mut self) -> Result<SyntaxNode, Fault> {
        self.operators(&["*", "/", "%"], Self::unary)
    }

    fn operators(
        &mut self,
        operators: &[&'static str],
        read: fn(&mut Self) -> Result<SyntaxNode, Fault>,
    ) -> Result<SyntaxNode, Fault> {
        let mut left = read(self)?;
        loop {
            let is_next = |operator: &&&'static str| match self.peek() {
                Token::Mark(mark) => mark == *operator,
                Token::Name(name) => name == *operator,
                _ => false,
            };
            let Some(operator) = operators.iter().find(is_next) else { return Ok(left) };
            self.at += 1;
            let right = Box::new(read(self)?);
            left = SyntaxNode::new(left.at, Kind::Binary { operator, left: Box::new(left), right })?;
        }
    }

    fn unary(&mut self) -> Result<SyntaxNode, Fault> {
        let at = self.place();
        if self.take("!") {
            let node = self.enter(Self::unary)?;
            return SyntaxNode::new(at, Kind::Not(Box::new(node)));
        }
        if self.take("-") {
            if *self.peek() == Token::IntMinimum {
                self.at += 1;
                let number = SyntaxNode::new(at, Kind::Int(i64::MIN))?;
                return self.members(number);
            }
            let node = self.enter(Self::unary)?;
            return SyntaxNode::new(at, Kind::Negate(Box::new(node)));
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// What follows a value: fields, methods, indices.
    fn members(&mut self, mut node: SyntaxNode) -> Result<SyntaxNode, Fault> {
        loop {
            let at = self.place();
            if self.take(".") {
                let optional = self.take("?");
                let place = self.place();
                let Token::Name(field) = self.peek().clone() else {
                    let found = self.peek().describe();
                    return Err(Fault::new(place, format!("expected the name of a field, found {found}")));
                };
                self.at += 1;
                if !optional && self.take("(") {
                    node = self.method(node, &field, place)?;
                } else {
                    node = SyntaxNode::new(node.at, Kind::Select { of: Box::new(node), field, optional })?;
                }
            } else if self.take("[") {
                let optional = self.take("?");
                let by = Box::new(self.expression()?);
                self.expect("]")?;
                node = SyntaxNode::new(node.at, Kind::Index { of: Box::new(node), by, optional })?;
            } else if matches!(self.peek(), Token::Mark("{")) {
                return Err(
                    Fault::new(at, "messages cannot be constructed here").with_hint("maps are `{'a': 1}`")
                );
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<SyntaxNode, Fault> {
        let at = self.place();
        let token = self.peek().clone();
        self.at += 1;
        let kind = match token {
            Token::Int(number) => Kind::Int(number),
            Token::Uint(number) => Kind::Uint(number),
            Token::Double(number) => Kind::Double(number),
            Token::IntMinimum => return Err(Fault::new(at, "the number is too large")),
            Token::Text(text) => Kind::Text(text),
            Token::Bytes(bytes) => Kind::Bytes(bytes),
            Token::Name(name) => return self.named(name, at),
            Token::Mark("(") => {
                let node = self.expression()?;
                self.expect(")")?;
                return Ok(node);
            }
            Token::Mark("[") => {
                let mut items = Vec::new();
                while !self.take("]") {
                    let optional = self.take("?");
                    items.push((self.expression()?, optional));
                    self.separator("]")?;
                }
                Kind::List(items)
            }
            Token::Mark("{") => {
                let mut entries = Vec::new();
                while !self.take("}") {
                    let optional = self.take("?");
                    let key = self.expression()?;
                    self.expect(":")?;
                    entries.push((key, self.expression()?, optional));
                    self.separator("}")?;
                }
                Kind::Map(entries)
            }
            other => {
                self.at -= 1;
                return Err(Fault::new(at, format!("expected a value, found {}", other.describe())));
            }
        };
        SyntaxNode::new(at, kind)
    }

    /// A comma, or the bracket that ends a list.
    fn separator(&mut self, end: &'static str) -> Result<(), Fault> {
        if self.take(",") || matches!(self.peek(), Token::Mark(mark) if *mark == end) {
            return Ok(());
        }
        Err(Fault::new(self.place(), format!("expected `,` or `{end}`, found {}", self.peek().describe())))
    }

    fn arguments(&mut self) -> Result<Vec<SyntaxNode>, Fault> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.expression()?);
            self.separator(")")?;
        }
        Ok(arguments)
    }

    fn named(&mut self, name: String, at: usize) -> Result<SyntaxNode, Fault> {
        match name.as_str() {
            "true" | "false" => return SyntaxNode::new(at, Kind::Bool(name == "true")),
            "null" => return SyntaxNode::new(at, Kind::Null),
            "has" if self.take("(") => return self.has(at),
            word if RESERVED.contains(&word) || word == "in" => {
                return Err(Fault::new(at, format!("`{word}` is a reserved word")));
            }
            _ => {}
        }
        if self.take("(") {
            let arguments = self.arguments()?;
            return call(&name, arguments, false, at);
        }
        if let (Token::Mark("."), Token::Name(second), Token::Mark("(")) =
            (self.peek().clone(), self.ahead(1).clone(), self.ahead(2).clone())
            && function::NAMESPACES.contains(&name.as_str())
            && !self.items.contains(&name)
        {
            self.at += 3;
            let arguments = self.arguments()?;
            return call(&format!("{name}.{second}"), arguments, false, at);
        }
        let is_known = self.items.contains(&name)
            || VARIABLES.contains(&name.as_str())
            || TYPES.contains(&name.as_str());
        if is_known {
            return SyntaxNode::new(at, Kind::Name(name));
        }
        let fault = Fault::new(at, format!("unknown variable `{name}`"));
        let near = nearest(&name, VARIABLES.iter().copied().chain(self.items.iter().map(String::as_str)));
        Err(match (name.as_str(), near) {
            ("object" | "self" | "resource", _) => {
                fault.with_hint(format!("the object's fields are variables: `status`, not `{name}.status`"))
            }
            (_, Some(near)) => fault.with_hint(format!("did you mean `{near}`?")),
            (_, None) => {
                fault.with_hint(format!("the variables are {}; strings are in quotes", VARIABLES.join(", ")))
            }
        })
    }

    /// `has(a.b)`, from its argument on.
    fn has(&mut self, at: usize) -> Result<SyntaxNode, Fault> {
        let place = self.place();
        let argument = self.expression()?;
        self.expect(")")?;
        if let Kind::Select { of, field, optional: false } = argument.kind {
            return SyntaxNode::new(at, Kind::Has { of, field });
        }
        Err(Fault::new(place, "`has` asks for a field").with_hint("such as `has(status.phase)`"))
    }

    /// `of.name(…)`, from the first argument on.
    fn method(&mut self, of: SyntaxNode, name: &str, at: usize) -> Result<SyntaxNode, Fault> {
        if !MACROS.contains(&name) {
            let mut arguments = vec![of];
            arguments.extend(self.arguments()?);
            return call(name, arguments, true, at);
        }
        let Token::Name(item) = self.peek().clone() else {
            let fault = Fault::new(self.place(), format!("`{name}` needs a name for each item first"));
            return Err(fault.with_hint("such as `status.conditions.exists(c, c.type == 'Ready')`"));
        };
        self.at += 1;
        self.items.push(item.clone());
        let arguments = self.expect(",").and_then(|()| self.arguments());
        self.items.pop();
        let mut arguments = arguments?;
        let wrong = Fault::new(at, format!("wrong number of arguments for `{name}`"));
        let Some(value) = arguments.pop() else { return Err(wrong) };
        let condition = arguments.pop().map(Box::new);
        let macro_name = match name {
            "all" => Macro::All,
            "exists" => Macro::Exists,
            "exists_one" | "existsOne" => Macro::ExistsOne,
            "filter" => Macro::Filter,
            "map" => Macro::Map,
            "optMap" => Macro::OptMap,
            _ => Macro::OptFlatMap,
        };
        if !arguments.is_empty() || (condition.is_some() && macro_name != Macro::Map) {
            return Err(wrong);
        }
        let (of, value) = (Box::new(of), Box::new(value));
        SyntaxNode::new(at, Kind::Macro { name: macro_name, of, item, condition, value })
    }
}

fn call(name: &str, arguments: Vec<SyntaxNode>, is_method: bool, at: usize) -> Result<SyntaxNode, Fault> {
    let known = || function::ALL.iter().filter(|one| one.is_method == is_method);
    let Some(first) = known().find(|one| one.name == name) else {
        let what = if is_method { "method" } else { "function" };
        let fault = Fault::new(at, format!("unknown {what} `{name}`"));
        let other = function::ALL.iter().find(|one| one.name == name);
        let names = known().map(|one| one.name).chain(MACROS.iter().copied().filter(|_| is_method));
        return Err(match (other, nearest(name, names)) {
            (Some(_), _) if is_method => fault.with_hint(format!("it is a function: `{name}(…)`")),
            (Some(_), _) => fault.with_hint(format!("it is a method: `x.{name}(…)`")),
            (None, Some(near)) => fault.with_hint(format!("did you mean `{near}`?")),
            (None, None) => {
                fault.with_hint("the functions are those of CEL with strings, sets, encoders and optionals")
            }
        });
    };
    let wanted = usize::from(is_method) + first.least..=usize::from(is_method) + first.most;
    if !wanted.contains(&arguments.len()) {
        return Err(Fault::new(at, format!("wrong number of arguments for `{name}`")));
    }
    if let (function::Operation::Matches, Some(Kind::Text(pattern))) =
        (first.operation, arguments.get(1).map(|one| &one.kind))
    {
        function::pattern(pattern).map_err(|message| Fault::new(arguments[1].at, message))?;
    }
    SyntaxNode::new(at, Kind::Call { function: first, arguments })
}
