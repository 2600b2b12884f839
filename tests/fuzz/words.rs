//! Words that readers stumble over, whatever they read.

use crate::random::Random;

/// Scalars as they are written.
const SCALARS: [&str; 64] = [
    "",
    "~",
    "null",
    "true",
    "yes",
    "off",
    "0",
    "-1",
    "1",
    "2",
    "0644",
    "0x1F",
    "1e3",
    "1e999",
    "-0.0",
    ".inf",
    ".nan",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775809",
    "1e308",
    "4294967296",
    "99999999999999999999999999999999999999",
    "0.1",
    "100%",
    "50%",
    "1h30m",
    "99999999h",
    "18446744073709551615s",
    "512Mi",
    "500m",
    "2026-10-03T14:00:00Z",
    "-9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "2026-10-03T14:00:00+25:00",
    "${HOST}",
    "${REPLICAS}",
    "${NONE}",
    "${EMPTY:-x}",
    "${NO:-${HOST}}",
    "${NO:?why}",
    "${",
    "$$",
    "${LONG}",
    "a/b",
    "..",
    "../../etc",
    "/",
    "-",
    "--upload-pack=x",
    "*",
    "a: b",
    "# x",
    "<<",
    "€€€",
    "\u{feff}",
    "\u{2028}",
    "\u{0}",
    "a\u{301}",
    "\u{202e}abc",
    "\u{1b}[31m",
    "👩‍👩‍👧‍👦",
    "eA==",
];

/// A scalar, or a long one.
pub(crate) fn scalar(random: &mut Random) -> String {
    if random.once_in(60) {
        let length = *random.one(&[100, 4_000, 40_000]);
        let unit = random.one(&["x", "é", "/", "$", "${HOST}", "[", "a.", "0", "\n", "%", "9"]);
        return unit.repeat(1 + length / unit.len());
    }
    (*random.one(&SCALARS)).to_owned()
}
