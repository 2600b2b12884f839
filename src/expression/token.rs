//! The text of an expression as tokens, each with the place where it begins.

use super::{Fault, LONGEST};

/// A token of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name: `status`, `true`, `in`.
    Name(String),
    Int(i64),
    /// The one integer that only fits with its sign: 9223372036854775808.
    IntMinimum,
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Mark(&'static str),
    End,
}

impl Token {
    /// For messages: what was found.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Int(_) | Self::IntMinimum | Self::Uint(_) | Self::Double(_) => "a number".to_owned(),
            Self::Text(text) => format!("the string '{}'", text.escape_debug()),
            Self::Bytes(_) => "bytes".to_owned(),
            Self::Mark(mark) => format!("`{mark}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer marks first: `<=` is not `<`.
const MARKS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+",
    "-", "*", "/", "%",
];

/// Cuts an expression into tokens with the number of characters before each.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Fault> {
    if text.len() > LONGEST {
        return Err(Fault::new(0, format!("the expression is longer than {LONGEST} bytes")));
    }
    let mut reader = Reader { letters: text.chars().collect(), at: 0 };
    let mut found = Vec::new();
    loop {
        reader.skip_blanks();
        let start = reader.at;
        let token = reader.next()?;
        let is_end = token == Token::End;
        found.push((token, start));
        if is_end {
            return Ok(found);
        }
    }
}

struct Reader {
    letters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(letter) = self.peek(0) {
            if letter == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|letter| letter != '\n') {
                    self.at += 1;
                }
            } else if letter.is_ascii_whitespace() {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Token, Fault> {
        let Some(first) = self.peek(0) else { return Ok(Token::End) };
        if let Some(text) = self.literal()? {
            return Ok(text);
        }
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit()))
        {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Name(
                self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_'),
            ));
        }
        let is_next =
            |mark: &&&str| mark.chars().enumerate().all(|(ahead, one)| self.peek(ahead) == Some(one));
        if let Some(mark) = MARKS.iter().find(is_next) {
            self.at += mark.len();
            return Ok(Token::Mark(mark));
        }
        let fault = Fault::new(self.at, format!("`{}` has no meaning here", first.escape_debug()));
        Err(match first {
            '=' => fault.with_hint("write `==` to compare"),
            '&' => fault.with_hint("write `&&`"),
            '|' => fault.with_hint("write `||`"),
            '`' | '“' | '”' | '‘' | '’' => fault.with_hint("write strings in plain quotes: 'Ready'"),
            _ => fault,
        })
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&fits) {
            self.at += 1;
        }
        self.letters[start..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let fault = |message: &str| Fault::new(start, message);
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.at += 2;
            let digits = self.take_while(|letter| letter.is_ascii_hexdigit());
            if self.take_suffix() {
                return u64::from_str_radix(&digits, 16)
                    .map(Token::Uint)
                    .map_err(|_| fault("no such number"));
            }
            return i64::from_str_radix(&digits, 16).map(Token::Int).map_err(|_| fault("no such number"));
        }
        let mut text = self.take_while(|letter| letter.is_ascii_digit());
        let mut is_double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            is_double = true;
            self.at += 1;
            text = format!("{text}.{}", self.take_while(|letter| letter.is_ascii_digit()));
        }
        let signed = usize::from(matches!(self.peek(1), Some('+' | '-')));
        if matches!(self.peek(0), Some('e' | 'E'))
            && self.peek(1 + signed).is_some_and(|digit| digit.is_ascii_digit())
        {
            is_double = true;
            let sign = if signed == 1 { self.peek(1) } else { None };
            self.at += 1 + signed;
            let digits = self.take_while(|letter| letter.is_ascii_digit());
            text = format!("{text}e{}{digits}", sign.map(String::from).unwrap_or_default());
        }
        if is_double {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            return number.map(Token::Double).ok_or_else(|| fault("the number is too large"));
        }
        if self.take_suffix() {
            return text.parse().map(Token::Uint).map_err(|_| fault("the number is too large"));
        }
        match text.parse() {
            Ok(number) => Ok(Token::Int(number)),
            Err(_) if text.trim_start_matches('0') == "9223372036854775808" => Ok(Token::IntMinimum),
            Err(_) => Err(fault("the number is too large")),
        }
    }

    /// The letter behind an unsigned number.
    fn take_suffix(&mut self) -> bool {
        let has = matches!(self.peek(0), Some('u' | 'U'));
        self.at += usize::from(has);
        has
    }

    /// A text or bytes: `'a'`, `"a"`, `'''a'''`, `r'\d'`, `b'a'`.
    fn literal(&mut self) -> Result<Option<Token>, Fault> {
        let (mut raw, mut bytes, mut ahead) = (false, false, 0);
        while let Some(letter) = self.peek(ahead) {
            match letter {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                '\'' | '"' => break,
                _ => return Ok(None),
            }
            ahead += 1;
        }
        let Some(quote) = self.peek(ahead) else { return Ok(None) };
        let start = self.at;
        self.at += ahead;
        let is_long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if is_long { 3 } else { 1 };
        self.at += width;
        let mut found = Vec::new();
        loop {
            let ends = (0..width).all(|ahead| self.peek(ahead) == Some(quote));
            if ends {
                self.at += width;
                break;
            }
            let unclosed =
                || Fault::new(start, format!("the string that begins here has no closing {quote}"));
            let letter = self.peek(0).ok_or_else(unclosed)?;
            if letter == '\n' && !is_long {
                return Err(unclosed());
            }
            self.at += 1;
            if letter == '\\' && !raw {
                self.escaped(bytes, &mut found)?;
            } else {
                found.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if bytes {
            return Ok(Some(Token::Bytes(found)));
        }
        let text = String::from_utf8(found).map_err(|_| Fault::new(start, "the string is not UTF-8"))?;
        Ok(Some(Token::Text(text)))
    }

    fn escaped(&mut self, bytes: bool, found: &mut Vec<u8>) -> Result<(), Fault> {
        let start = self.at - 1;
        let fault = || {
            Fault::new(start, "unknown escape in a string").with_hint("write `\\\\` for a backslash, or r'…'")
        };
        let letter = self.peek(0).ok_or_else(fault)?;
        self.at += 1;
        let simple = match letter {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(letter).ok(),
            _ => None,
        };
        if let Some(byte) = simple {
            found.push(byte);
            return Ok(());
        }
        let (digits, radix, skipped) = match letter {
            'x' | 'X' => (2, 16, 0),
            'u' if !bytes => (4, 16, 0),
            'U' if !bytes => (8, 16, 0),
            '0'..='3' => (3, 8, 1),
            _ => return Err(fault()),
        };
        self.at -= skipped;
        let text: String = self.letters.get(self.at..self.at + digits).ok_or_else(fault)?.iter().collect();
        let is_number = text.chars().all(|digit| digit.is_digit(radix));
        let code = u32::from_str_radix(&text, radix).ok().filter(|_| is_number).ok_or_else(fault)?;
        self.at += digits;
        if bytes {
            found.push(u8::try_from(code).map_err(|_| fault())?);
        } else {
            let letter = char::from_u32(code).ok_or_else(fault)?;
            found.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}
