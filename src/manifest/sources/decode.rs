//! From the bytes of a file to its text, as kubectl decodes it: UTF-8, or UTF-16 where a byte order mark says so.

use crate::error::{Error, Kind, Place};
use crate::manifest::yaml::source::number;

const SAVE_AS_UTF8: &str = "save it as UTF-8; in PowerShell use `| Out-File -Encoding utf8`";

/// The text of a file, without its byte order mark.
///
/// # Errors
/// [`Kind::Invalid`] at the line of the first character that the encoding does not have. kubectl would silently put a question
/// mark there.
pub(crate) fn text(bytes: Vec<u8>, place: Place) -> Result<String, Error> {
    let units =
        |of_bytes: fn([u8; 2]) -> u16| bytes.chunks_exact(2).map(move |two| of_bytes([two[0], two[1]]));
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => utf16(units(u16::from_le_bytes), bytes.len(), place),
        [0xfe, 0xff, ..] => utf16(units(u16::from_be_bytes), bytes.len(), place),
        // No manifest begins with a character that has a zero in UTF-8.
        [0, 1..=255, ..] | [1..=255, 0, ..] => {
            let error = Error::new(Kind::Invalid, "the manifest is UTF-16 without a byte order mark");
            Err(error.at(place).with_hint(SAVE_AS_UTF8))
        }
        _ => utf8(bytes, place),
    }
}

fn utf16(units: impl Iterator<Item = u16>, bytes: usize, place: Place) -> Result<String, Error> {
    // The byte order mark comes first.
    let letters = char::decode_utf16(units).skip(1);
    let mut text = String::with_capacity(bytes);
    for letter in letters {
        match letter {
            Ok(letter) => text.push(letter),
            Err(_) => return Err(broken("UTF-16", &text, place).with_hint(SAVE_AS_UTF8)),
        }
    }
    if bytes % 2 == 1 {
        return Err(broken("UTF-16", &text, place).with_hint(SAVE_AS_UTF8));
    }
    Ok(text)
}

fn utf8(bytes: Vec<u8>, place: Place) -> Result<String, Error> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
            Err(broken("UTF-8", &before, place))
        }
    }
}

/// The mistake behind the text that could be read.
fn broken(encoding: &str, before: &str, place: Place) -> Error {
    let line = number(before.matches('\n').count() + 1);
    let column =
        before.rsplit('\n').next().map_or(1, |line| line.trim_start_matches('\u{feff}').chars().count() + 1);
    let place = Place { line: Some(line), column: Some(number(column)), ..place };
    Error::new(Kind::Invalid, format!("the manifest is not {encoding}")).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        text(bytes.to_vec(), Place::file("a.yaml")).map_err(|error| error.to_string())
    }

    /// The text in UTF-16 behind a byte order mark.
    fn encoded(text: &str, of_unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(of_unit).collect()
    }

    #[test]
    fn byte_order_marks_say_which_encoding_it_is() {
        let wanted = "kind: A\r\nname: ü €😀\r\n";
        assert_eq!(read(wanted.as_bytes()).as_deref(), Ok(wanted));
        assert_eq!(read(format!("\u{feff}{wanted}").as_bytes()).as_deref(), Ok(wanted));
        assert_eq!(read(&encoded(wanted, u16::to_le_bytes)).as_deref(), Ok(wanted));
        assert_eq!(read(&encoded(wanted, u16::to_be_bytes)).as_deref(), Ok(wanted));
        for nothing in [&b""[..], b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"] {
            assert_eq!(read(nothing).as_deref(), Ok(""));
        }
    }

    #[test]
    fn what_the_encoding_does_not_have_is_a_mistake_with_its_place() {
        assert_eq!(read(b"a: 1\nb: \xc3\xbc\xff\n"), Err("a.yaml:2:5: the manifest is not UTF-8".to_owned()));
        assert_eq!(read(b"\xef\xbb\xbfa\xff"), Err("a.yaml:1:2: the manifest is not UTF-8".to_owned()));
        let mut halved = encoded("a: 1\nb: 2\n", u16::to_le_bytes);
        halved.pop();
        assert_eq!(read(&halved), Err("a.yaml:2:5: the manifest is not UTF-16".to_owned()));
        let lone = [&encoded("a: 1\n", u16::to_be_bytes)[..], b"\xd8\x00\x00b"].concat();
        assert_eq!(read(&lone), Err("a.yaml:2:1: the manifest is not UTF-16".to_owned()));
    }

    #[test]
    fn utf_16_without_a_mark_is_named() {
        let unmarked = &encoded("kind: A\n", u16::to_le_bytes)[2..];
        assert_eq!(
            read(unmarked),
            Err("a.yaml: the manifest is UTF-16 without a byte order mark".to_owned())
        );
        assert_eq!(read(&[0, b'k', 0, b'i']), read(unmarked));
    }
}
