//! Changes of what has no structure but lines and bytes.

use crate::random::Random;
use crate::words;

/// Tokens of all that is read line by line.
const TOKENS: [&str; 72] = [
    "FROM ",
    "AS ",
    "ARG A=",
    "ARG A=$A$A",
    "ARG B=${A}${A}",
    "COPY --from=",
    "RUN <<EOF\n",
    "EOF\n",
    "\\\n",
    "# escape=`\n",
    "# syntax=",
    "--mount=type=bind,from=",
    "${A:-",
    "}",
    "$A",
    "ONBUILD ",
    "--link",
    "--checksum=",
    "!",
    "**",
    "*",
    "?",
    "[",
    "]",
    "[^",
    "a-z",
    "\\",
    "/",
    "..",
    "./",
    "**/",
    "[a-",
    "windlass-report-0123 0\n",
    "windlass-report-0123 1\n",
    "windlass-report-0123 end\n",
    "windlass-report-0123 99999999999999999999\n",
    "windlass-report-0123 4000000\n",
    "eA==",
    "<testsuite>",
    "<testcase name=\"a\">",
    "</testcase>",
    "<failure message=\"m\">",
    "</failure>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "&lt;",
    "&#x0;",
    "&#1114112;",
    "&a;",
    "<!ENTITY a \"aaaa\">",
    "'",
    "\"",
    ">",
    "/>",
    "{",
    "}",
    "[[[[[[[[",
    "]]]]",
    "Bearer realm=\"",
    "Basic ",
    "rel=\"next\"",
    "</v2/a/tags/list?n=1>; ",
    "sha256:",
    "\r",
    "\t",
    ": ",
    ",",
    "{\"a\":",
    "\u{0}",
    "\u{feff}",
];

/// Changes a text in one place.
pub(crate) fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    match random.below(10) {
        0..4 => lines(input, other, random),
        4..7 => tokens(input, random),
        _ => bytes(input, other, random),
    }
}

fn lines(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (from, to) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(6) {
        0 => drop(lines.remove(from)),
        1 => lines.insert(to, lines[from].clone()),
        2 => lines.swap(from, to),
        3 => {
            let line = lines[from].clone();
            let times = random.count().min(60_000 / (line.len() + 1));
            lines.splice(to..to, std::iter::repeat_n(line, times));
        }
        4 => {
            let others: Vec<&[u8]> = other.split(|byte| *byte == b'\n').collect();
            lines.insert(to, (*random.one(&others)).to_vec());
        }
        _ => lines.truncate(from),
    }
    *input = lines.join(&b'\n');
}

fn tokens(input: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(input.len() + 1);
    let token = if random.once_in(4) { words::scalar(random) } else { (*random.one(&TOKENS)).to_owned() };
    let times = if random.once_in(12) { random.count() } else { 1 };
    let token = token.repeat(times.min(60_000 / token.len().max(1)).max(1));
    input.splice(place..place, token.into_bytes());
}

fn bytes(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if input.is_empty() {
        input.extend_from_slice(other);
        return;
    }
    let place = random.below(input.len());
    let length = random.below(input.len() - place).min(random.count());
    match random.below(6) {
        0 => input[place] ^= 1 << random.below(8),
        1 => drop(input.drain(place..place + length)),
        2 => {
            let piece = input[place..place + length].to_vec();
            let times = random.count().min(60_000 / (length + 1));
            input.splice(place..place, piece.repeat(times));
        }
        3 => {
            let from = random.below(other.len());
            let piece = &other[from..(from + 200).min(other.len())];
            input.splice(place..place, piece.iter().copied());
        }
        4 => input[place] = *random.one(&[0, 0xff, 0xfe, 0xc0, 0x80, b'"', b'\n', b' ', 0xed]),
        _ => input.truncate(place),
    }
}

/// Makes the checksums of a tar right again, so that it is read to where it was changed.
pub(crate) fn mend_tar(input: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = input.get_mut(at..at + 512) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = String::from_utf8_lossy(&header[124..136]).into_owned();
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        at = at.saturating_add(512).saturating_add(size.min(1 << 30).div_ceil(512) * 512);
    }
}
