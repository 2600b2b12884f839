//! The ways in which programs write a text inside another one, undone: percent-encoding, JSON, HTML, shell quoting,
//! base64, hexadecimal digits. What is no escape stays as it is, so that nothing is lost by trying.

use std::ops::Range;

/// Fewer characters of base64 hold no secret, and fewer hexadecimal digits.
const BASE64: usize = 11;
const HEX: usize = 16;

/// A decoded text: for each byte where it stood in the source.
#[derive(Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    places: Vec<(u32, u32)>,
}

impl Text {
    /// The source itself.
    pub(super) fn of(text: &str) -> Self {
        let places = (0..).zip(1..).take(text.len()).collect();
        Self { bytes: text.as_bytes().to_vec(), places }
    }

    fn with_capacity(length: usize) -> Self {
        Self { bytes: Vec::with_capacity(length), places: Vec::with_capacity(length) }
    }

    fn push(&mut self, byte: u8, place: (u32, u32)) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Where a range stood in the source.
    pub(super) fn source(&self, range: &Range<usize>) -> Range<usize> {
        let (start, end) = (self.places[range.start].0, self.places[range.end - 1].1);
        start as usize..end as usize
    }

    /// The place of a range in the source.
    fn place(&self, start: usize, end: usize) -> (u32, u32) {
        (self.places[start].0, self.places[end - 1].1)
    }

    /// The text as secrets are compared: each run of white space one space, no control characters.
    pub(super) fn folded(&self) -> Self {
        let mut folded = Self::with_capacity(self.bytes.len());
        fold_places(&self.bytes, |byte, range| folded.push(byte, self.place(range.start, range.end)));
        folded
    }

    /// Whether it is a text that a person could read.
    pub(super) fn is_readable(&self) -> bool {
        std::str::from_utf8(&self.bytes)
            .is_ok_and(|text| !text.contains(|one: char| one.is_control() && !one.is_whitespace()))
    }

    /// The places where a mark says that something was left out.
    pub(super) fn cuts(&self) -> Vec<Range<usize>> {
        let marks = ["…".as_bytes(), b"..."].map(|mark| (mark, mark.len()));
        let places =
            (0..self.bytes.len()).flat_map(|start| marks.map(|(mark, length)| (start, mark, length)));
        let found = places.filter(|(start, mark, _)| self.bytes[*start..].starts_with(mark));
        found.map(|(start, _, length)| start..start + length).collect()
    }

    /// Whether what stood before this place was left out.
    pub(super) fn is_cut_before(&self, start: usize) -> bool {
        let before = self.bytes[..start].trim_ascii_end();
        before.ends_with("…".as_bytes())
            || before.ends_with(b"...")
            || before.is_empty() && self.bytes.len() >= super::LONG
    }

    /// Whether what stood behind this place was left out.
    pub(super) fn is_cut_after(&self, end: usize) -> bool {
        let after = self.bytes[end..].trim_ascii_start();
        after.starts_with("…".as_bytes())
            || after.starts_with(b"...")
            || after.is_empty() && self.bytes.len() >= super::LONG
    }
}

/// Each byte of the text as it is compared.
pub(super) fn fold(bytes: &[u8], mut take: impl FnMut(u8)) {
    fold_places(bytes, |byte, _| take(byte));
}

fn fold_places(bytes: &[u8], mut take: impl FnMut(u8, Range<usize>)) {
    let (mut space, mut is_first) = (None, true);
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                space.get_or_insert(index);
            }
            ..0x20 | 0x7f => {}
            _ => {
                if let Some(start) = space.take()
                    && !is_first
                {
                    take(b' ', start..index);
                }
                is_first = false;
                take(*byte, index..index + 1);
            }
        }
    }
}

/// The text as each kind of escape would have it, as far as it has such escapes.
pub(super) fn readings(text: &Text, mut take: impl FnMut(Text)) {
    let has = |byte: u8| text.bytes.contains(&byte);
    let mut take = |reading: Text| {
        if reading.bytes != text.bytes {
            take(reading);
        }
    };
    let escapes: [(u8, Escape); 4] = [(b'%', percent), (b'+', form), (b'\\', json), (b'&', html)];
    for (_, escape) in escapes.into_iter().filter(|(first, _)| has(*first)) {
        take(decoded(text, escape));
    }
    if has(b'\\') || has(b'\'') || has(b'"') {
        // Nobody knows whether a quote before the text is open.
        for quote in [Quote::None, Quote::Single, Quote::Double] {
            take(shell(text, quote));
        }
    }
}

/// What an escape at the beginning of these bytes stands for, and how many of them it takes.
type Escape = fn(&[u8]) -> Option<(Vec<u8>, usize)>;

fn decoded(text: &Text, escape: Escape) -> Text {
    let mut result = Text::with_capacity(text.bytes.len());
    let mut index = 0;
    while index < text.bytes.len() {
        let mut length = 1;
        if let Some((bytes, taken)) = escape(&text.bytes[index..]) {
            length = taken;
            let place = text.place(index, index + length);
            for byte in bytes {
                result.push(byte, place);
            }
        } else {
            result.push(text.bytes[index], text.place(index, index + 1));
        }
        index += length;
    }
    result
}

/// `%2F`
fn percent(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'%', digits @ ..] = bytes else { return None };
    Some((vec![u8::try_from(number(digits, 2, 16)?).ok()?], 3))
}

/// As [`percent`], and `+` for a space.
fn form(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    if bytes.first() == Some(&b'+') { Some((vec![b' '], 1)) } else { percent(bytes) }
}

/// `\n`, `\"`, `\/`, `\u0026`, a pair of surrogates; also `\xe9`, `\U0001f600` and `\u{e9}` of other languages.
fn json(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'\\', kind, rest @ ..] = bytes else { return None };
    let (code, length) = match kind {
        b'b' => (8, 2),
        b'f' => (12, 2),
        b'n' => (10, 2),
        b'r' => (13, 2),
        b't' => (9, 2),
        b'"' | b'\\' | b'/' | b'\'' => (u32::from(*kind), 2),
        b'x' => (number(rest, 2, 16)?, 4),
        b'U' => (number(rest, 8, 16)?, 10),
        b'u' if rest.first() == Some(&b'{') => {
            let digits = rest[1..].iter().take(7).position(|byte| *byte == b'}')?;
            (number(&rest[1..], digits, 16)?, digits + 4)
        }
        b'u' => match (number(rest, 4, 16)?, rest.get(4..)) {
            (high @ 0xd800..=0xdbff, Some([b'\\', b'u', rest @ ..])) => {
                let low = number(rest, 4, 16)?.checked_sub(0xdc00)?;
                (0x10000 + ((high - 0xd800) << 10) + low, 12)
            }
            (code, _) => (code, 6),
        },
        _ => return None,
    };
    Some((utf8(code)?, length))
}

/// `&amp;`, `&#38;`, `&#x26;`
fn html(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    /// The characters from U+00A0 on, as HTML calls them.
    const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg \
        plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute \
        Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve \
        Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde \
        auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc \
        otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";
    let end = bytes.iter().take(12).position(|byte| *byte == b';')?;
    let [b'&', name @ ..] = &bytes[..end] else { return None };
    let code = match name {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, digits.len(), 16)?,
        [b'#', digits @ ..] => number(digits, digits.len(), 10)?,
        b"amp" => u32::from(b'&'),
        b"lt" => u32::from(b'<'),
        b"gt" => u32::from(b'>'),
        b"quot" => u32::from(b'"'),
        b"apos" => u32::from(b'\''),
        name => {
            let position = LATIN.split_whitespace().position(|known| known.as_bytes() == name)?;
            0xa0 + u32::try_from(position).ok()?
        }
    };
    Some((utf8(code)?, end + 1))
}

fn number(digits: &[u8], length: usize, radix: u32) -> Option<u32> {
    let digits = digits.get(..length).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(code)?.to_string().into_bytes())
}

/// Which quote of a shell is open.
#[derive(Clone, Copy, PartialEq)]
enum Quote {
    None,
    Single,
    Double,
    /// `$'…'`
    Ansi,
}

/// The words of a shell without their quotes.
fn shell(text: &Text, mut quote: Quote) -> Text {
    let mut result = Text::with_capacity(text.bytes.len());
    let mut index = 0;
    while index < text.bytes.len() {
        let rest = &text.bytes[index..];
        let mut length = 1;
        match (quote, rest) {
            (Quote::None, [b'$', b'\'', ..]) => (quote, length) = (Quote::Ansi, 2),
            (Quote::None, [b'\'', ..]) => quote = Quote::Single,
            (Quote::None, [b'"', ..]) => quote = Quote::Double,
            (Quote::Single | Quote::Ansi, [b'\'', ..]) | (Quote::Double, [b'"', ..]) => quote = Quote::None,
            (Quote::None, [b'\\', byte, ..])
            | (Quote::Double, [b'\\', byte @ (b'$' | b'`' | b'"' | b'\\'), ..]) => {
                length = 2;
                result.push(*byte, text.place(index, index + length));
            }
            (Quote::Ansi, [b'\\', ..]) => {
                let (bytes, taken) = ansi(rest).unwrap_or((vec![b'\\'], 1));
                length = taken;
                let place = text.place(index, index + length);
                for byte in bytes {
                    result.push(byte, place);
                }
            }
            (_, [byte, ..]) => result.push(*byte, text.place(index, index + 1)),
            (_, []) => {}
        }
        index += length;
    }
    result
}

/// `\n`, `\303`, `\xc3`, `\u00e9` inside of `$'…'`.
fn ansi(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'\\', kind, rest @ ..] = bytes else { return None };
    match kind {
        b'0'..=b'7' => {
            let digits = bytes[1..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            Some((vec![u8::try_from(number(&bytes[1..], digits, 8)?).ok()?], digits + 1))
        }
        b'x' => {
            let digits = rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
            Some((vec![u8::try_from(number(rest, digits, 16)?).ok()?], digits + 2))
        }
        b'?' => Some((vec![b'?'], 2)),
        _ => json(bytes),
    }
}

/// What the words of the text hold that may be base64 or hexadecimal digits.
pub(super) fn tokens(text: &Text, mut take: impl FnMut(Text)) {
    for run in runs(&text.bytes, |byte| sextet(byte).is_some(), BASE64) {
        // Where the first group of four begins, nobody knows.
        for start in run.start..run.start + 4 {
            take(base64(text, start..run.end));
        }
    }
    for run in runs(&text.bytes, |byte| byte.is_ascii_hexdigit(), HEX) {
        for start in run.start..run.start + 2 {
            take(hexadecimal(text, start..run.end));
        }
    }
}

/// The runs of bytes that fit, of at least this length.
fn runs(bytes: &[u8], fits: impl Fn(u8) -> bool, shortest: usize) -> Vec<Range<usize>> {
    let (mut found, mut start) = (Vec::new(), 0);
    for index in 0..=bytes.len() {
        if index == bytes.len() || !fits(bytes[index]) {
            if index - start >= shortest {
                found.push(start..index);
            }
            start = index + 1;
        }
    }
    found
}

/// The value of a character of base64, of either alphabet.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn base64(text: &Text, run: Range<usize>) -> Text {
    let mut result = Text::with_capacity(run.len());
    let (mut bits, mut held) = (0_u32, 0);
    for index in run {
        bits = bits << 6 | u32::from(sextet(text.bytes[index]).unwrap_or_default());
        held += 6;
        if held >= 8 {
            held -= 8;
            // A byte stands in two characters.
            let [.., byte] = (bits >> held).to_be_bytes();
            result.push(byte, text.place(index - 1, index + 1));
        }
    }
    result
}

fn hexadecimal(text: &Text, run: Range<usize>) -> Text {
    let mut result = Text::with_capacity(run.len() / 2);
    for start in run.clone().step_by(2).filter(|start| start + 2 <= run.end) {
        let byte = number(&text.bytes[start..], 2, 16).and_then(|byte| u8::try_from(byte).ok());
        result.push(byte.unwrap_or_default(), text.place(start, start + 2));
    }
    result
}
