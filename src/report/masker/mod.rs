//! Finding secrets in text, however they are written there.
//!
//! A secret has too many forms to list them all: each program escapes, encodes and wraps in its own way, and a file
//! of a megabyte would need a gigabyte of patterns. So it is the text that is decoded ([`encoding`]), each byte with
//! the place it came from, and compared with the secrets as they are.
//!
//! Of each secret the first eight bytes, the last eight, and eight in every sixteen are indexed (of a short one all); where a text has
//! such eight bytes, as much as possible around them is compared. The index costs about 10 bytes for each
//! 16 bytes of a secret, and a text is read once however many secrets there are.

mod encoding;
pub(crate) mod events;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU32;
use std::ops::Range;

use encoding::Text;

/// Shorter values are not masked: they would take ordinary words with them.
const SHORTEST: usize = 8;
/// Beside `…` even less of a secret is masked.
const STUB: usize = 4;
/// A piece of a secret is masked wherever it stands if it has so many bytes.
const PIECE: usize = 24;
/// From one indexed place of a secret to the next: every piece holds one.
const STRIDE: usize = PIECE - SHORTEST;
/// Every place of a secret of so many bytes is indexed.
const SHORT: usize = 128;
/// So many places with the same eight bytes are compared, besides where secrets begin and end.
const REPEATED: u32 = 256;
/// What is encoded may be encoded once more: base64 in JSON.
const DEPTH: usize = 2;
/// Readers of streams cut lines that are longer.
const LONG: usize = 4000;
/// An odd number without a pattern: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// What stands in a secret's place.
pub(super) const MASK: &str = "[MASKED]";

/// The secrets that are known, and the words that are none.
#[derive(Default)]
pub(super) struct Masker {
    values: Vec<Secret>,
    /// The newest entry for each eight bytes.
    heads: HashMap<u64, NonZeroU32, BuildHasherDefault<GramHasher>>,
    /// Counted from 1.
    entries: Vec<Entry>,
    /// Whether any entry may have these eight bytes: most text is decided by this alone.
    maybe: Vec<u64>,
    /// Words that are shown although a secret has the same value.
    public: BTreeSet<Vec<u8>>,
}

/// Eight bytes are spread enough by one multiplication, which is fast without optimisation, too.
#[derive(Default)]
struct GramHasher(u64);

impl Hasher for GramHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(*byte));
        }
    }

    fn write_u64(&mut self, gram: u64) {
        self.0 = gram.wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// A secret, with each run of white space as one space and without control characters: as text is compared.
struct Secret {
    bytes: Vec<u8>,
    /// Its lines, where it has several; those that say only what it is (`-----BEGIN …`) are not among them.
    lines: Vec<Range<usize>>,
}

/// A place of a secret with certain eight bytes.
#[derive(Clone, Copy)]
struct Entry {
    value: u32,
    offset: u32,
    /// The entry before with the same eight bytes.
    next: Option<NonZeroU32>,
    /// How many there are.
    count: u32,
}

/// A part of a secret in a text.
struct Match {
    value: usize,
    /// Of the secret.
    part: Range<usize>,
    /// Of the text.
    found: Range<usize>,
}

impl Masker {
    /// Masks this value from now on, unless it is too short.
    pub(super) fn hide(&mut self, secret: &[u8]) {
        let secret = Secret::of(secret);
        if secret.bytes.len() < SHORTEST || self.values.iter().any(|known| known.bytes == secret.bytes) {
            return;
        }
        let value = self.values.len();
        let places = secret.bytes.len() / STRIDE + secret.lines.len();
        self.entries.reserve(places);
        self.heads.reserve(places);
        let last = secret.bytes.len() - SHORTEST;
        self.index(value, &secret.bytes, 0, u32::MAX);
        self.index(value, &secret.bytes, last, u32::MAX);
        // Of a short one every place is: what is left of it where it was cut may be any part.
        let step = if secret.bytes.len() > SHORT { STRIDE } else { 1 };
        for offset in (step..last).step_by(step) {
            self.index(value, &secret.bytes, offset, REPEATED);
        }
        // Longer lines are pieces.
        for line in secret.lines.iter().filter(|line| line.len() < PIECE) {
            self.index(value, &secret.bytes, line.start, REPEATED);
            if line.len() >= 2 * SHORTEST {
                self.index(value, &secret.bytes, line.end - SHORTEST, REPEATED);
            }
        }
        self.values.push(secret);
    }

    /// Shows this word from now on, although a secret may have the same value.
    pub(super) fn publish(&mut self, word: &str) {
        let word = Secret::of(word.as_bytes()).bytes;
        if word.len() >= SHORTEST {
            self.public.insert(word);
        }
    }

    fn index(&mut self, value: usize, bytes: &[u8], offset: usize, most: u32) {
        let gram = bytes[offset..offset + SHORTEST].iter().fold(0, |gram, byte| gram << 8 | u64::from(*byte));
        let next = self.heads.get(&gram).copied();
        let count = next.map_or(0, |next| self.entry(next).count);
        let (Ok(value), Ok(offset)) = (u32::try_from(value), u32::try_from(offset)) else { return };
        if count >= most {
            return;
        }
        if self.maybe.is_empty() {
            self.maybe = vec![0; 1 << 14];
        }
        let (word, bit) = slot(gram);
        self.maybe[word] |= bit;
        self.entries.push(Entry { value, offset, next, count: count + 1 });
        let head = u32::try_from(self.entries.len()).ok().and_then(NonZeroU32::new);
        self.heads.extend(head.map(|head| (gram, head)));
    }

    fn entry(&self, number: NonZeroU32) -> Entry {
        self.entries[number.get() as usize - 1]
    }

    /// The places of secrets with these eight bytes.
    fn entries(&self, gram: u64) -> impl Iterator<Item = Entry> {
        let (word, bit) = slot(gram);
        let first = if self.maybe[word] & bit == 0 { None } else { self.heads.get(&gram).copied() };
        std::iter::successors(first.map(|first| self.entry(first)), |entry| {
            entry.next.map(|next| self.entry(next))
        })
    }

    /// The text with every secret masked.
    pub(super) fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.values.is_empty() || text.len() < SHORTEST {
            return Cow::Borrowed(text);
        }
        let mut found = Vec::new();
        self.search(&Text::of(text), DEPTH, false, &mut found);
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, found)) }
    }

    /// Adds the places of the source that hold secrets; `is_token` of a text that was decoded from one word.
    fn search(&self, text: &Text, depth: usize, is_token: bool, found: &mut Vec<Range<usize>>) {
        self.find(&text.folded(), is_token, found);
        if depth == 0 {
            return;
        }
        encoding::readings(text, |reading| self.search(&reading, depth - 1, false, found));
        encoding::tokens(text, |token| {
            // What is no text cannot be encoded once more.
            let depth = if token.is_readable() { depth - 1 } else { 0 };
            self.search(&token, depth, true, found);
        });
    }

    fn find(&self, text: &Text, is_token: bool, found: &mut Vec<Range<usize>>) {
        let mut gram = 0;
        let mut known: Vec<(u32, Range<usize>)> = Vec::new();
        for (end, byte) in text.bytes.iter().enumerate() {
            gram = gram << 8 | u64::from(*byte);
            let Some(start) = (end + 1).checked_sub(SHORTEST) else { continue };
            for entry in self.entries(gram) {
                // Each byte of a long secret would find all of it again.
                known.retain(|(_, range)| range.end > start);
                if known.iter().any(|(value, range)| *value == entry.value && range.end > end) {
                    continue;
                }
                let one = self.compare(entry, &text.bytes, start);
                if let Some(range) = self.accept(&one, text, is_token) {
                    found.push(text.source(&range));
                    known.push((entry.value, range));
                }
            }
        }
        for cut in text.cuts() {
            found.extend(self.stubs(&text.bytes, &cut).map(|range| text.source(&range)));
        }
    }

    /// What is left of secrets on both sides of a cut, where it is too short to be indexed.
    fn stubs(&self, text: &[u8], cut: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (before, after) = (&text[..cut.start], &text[cut.end..]);
        let secrets = self.values.iter().filter(|secret| !self.public.contains(&secret.bytes));
        secrets.flat_map(move |secret| {
            let bytes = &secret.bytes;
            let lengths = || (STUB..SHORTEST).rev();
            let head = lengths().find(|length| before.ends_with(&bytes[..*length]));
            let tail = lengths().find(|length| after.starts_with(&bytes[bytes.len() - length..]));
            let head = head.map(|length| cut.start - length..cut.start);
            head.into_iter().chain(tail.map(|length| cut.end..cut.end + length))
        })
    }

    /// As much of the secret as the text has around these eight bytes.
    fn compare(&self, entry: Entry, text: &[u8], start: usize) -> Match {
        let (value, offset) = (entry.value as usize, entry.offset as usize);
        let secret = &self.values[value].bytes;
        let before = secret[..offset].iter().rev().zip(text[..start].iter().rev());
        let before = before.take_while(|(one, other)| one == other).count();
        let after = secret[offset..].iter().zip(&text[start..]);
        let after = after.take_while(|(one, other)| one == other).count();
        Match { value, part: offset - before..offset + after, found: start - before..start + after }
    }

    /// What is to be masked of a match: all of it where it is the whole secret, a long piece, or all that is left of
    /// a secret that was cut; else the lines of the secret that are whole.
    fn accept(&self, one: &Match, text: &Text, is_token: bool) -> Option<Range<usize>> {
        let secret = &self.values[one.value];
        if self.public.contains(&secret.bytes) {
            return None;
        }
        let (part, found) = (&one.part, &one.found);
        let is_whole = part.len() == secret.bytes.len();
        let is_all_of_a_token = is_token && found.len() == text.bytes.len();
        if is_whole || is_all_of_a_token {
            return (!self.is_in_a_public_word(found, text)).then(|| found.clone());
        }
        let piece = &text.bytes[found.clone()];
        let is_piece = piece.len() >= PIECE && self.not_said(piece) >= PIECE;
        if is_piece || self.is_left_of_a_cut(one, text) && self.not_said(piece) == piece.len() {
            return Some(found.clone());
        }
        let first = secret.lines.partition_point(|line| line.start < part.start);
        let mut lines = secret.lines[first..]
            .iter()
            .take_while(|line| line.end <= part.end)
            .filter(|line| !self.public.contains(&secret.bytes[(*line).clone()]));
        let first = lines.next()?;
        let last = lines.last().unwrap_or(first);
        Some(found.start + first.start - part.start..found.start + last.end - part.start)
    }

    /// Whether the text has a public word there of which this is a part: `inventory` in `inventory-api`.
    fn is_in_a_public_word(&self, found: &Range<usize>, text: &Text) -> bool {
        let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let before = text.bytes[..found.start].iter().rev().take_while(|byte| is_of_a_name(byte)).count();
        let after = text.bytes[found.end..].iter().take_while(|byte| is_of_a_name(byte)).count();
        let word = &text.bytes[found.start - before..found.end + after];
        word.len() > found.len() && word.len() < LONG && self.public.contains(word)
    }

    /// Whether the rest of the secret was cut off where the match begins or ends.
    fn is_left_of_a_cut(&self, one: &Match, text: &Text) -> bool {
        let secret = &self.values[one.value];
        let part = &one.part;
        let at_start =
            part.start == 0 || secret.lines.binary_search_by_key(&part.start, |line| line.start).is_ok();
        let at_end = part.end == secret.bytes.len()
            || secret.lines.binary_search_by_key(&part.end, |line| line.end).is_ok();
        let (before, after) = (text.is_cut_before(one.found.start), text.is_cut_after(one.found.end));
        (at_start || before) && (at_end || after) && (before || after)
    }

    /// How many bytes of a piece belong to no public word.
    fn not_said(&self, piece: &[u8]) -> usize {
        let mut said = vec![false; piece.len()];
        for word in &self.public {
            if word.windows(piece.len().min(word.len())).any(|window| window == piece) {
                return 0;
            }
            for (start, window) in piece.windows(word.len()).enumerate() {
                if window == word.as_slice() {
                    said[start..start + word.len()].fill(true);
                }
            }
        }
        said.iter().filter(|said| !**said).count()
    }
}

impl Secret {
    fn of(secret: &[u8]) -> Self {
        let (mut bytes, mut lines) = (Vec::with_capacity(secret.len()), Vec::new());
        for line in secret.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let start = bytes.len() + usize::from(!bytes.is_empty());
            encoding::fold(line, |byte| {
                if !bytes.is_empty() && bytes.len() < start {
                    bytes.push(b' ');
                }
                bytes.push(byte);
            });
            let is_armor = line.trim_ascii_start().starts_with(b"-----");
            if bytes.len() >= start + SHORTEST && !is_armor {
                lines.push(start..bytes.len());
            }
        }
        if let [only] = lines.as_slice()
            && only.len() == bytes.len()
        {
            lines.clear();
        }
        Self { bytes, lines }
    }
}

/// Where [`Masker::maybe`] has the bit of these eight bytes.
fn slot(gram: u64) -> (usize, u64) {
    let hash = gram.wrapping_mul(SPREAD) >> 44;
    (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
}

/// The text with a mask in the place of each of these ranges; those that touch have one.
fn masked(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_by_key(|range| range.start);
    let (mut result, mut shown) = (String::with_capacity(text.len()), 0);
    let mut ranges = found.into_iter().peekable();
    while let Some(mut range) = ranges.next() {
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        let start = (0..=range.start).rev().find(|index| text.is_char_boundary(*index)).unwrap_or_default();
        let end = (range.end..text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
        result.push_str(text.get(shown..start).unwrap_or_default());
        result.push_str(MASK);
        shown = end;
    }
    result.push_str(&text[shown..]);
    result
}
