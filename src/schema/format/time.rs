//! Times: `2026-01-31T12:00:00Z`.

use jiff::Timestamp;

/// Whether a text is a time as Go reads one: of RFC 3339, but an hour may have one digit, and a comma may stand before the
/// fraction. Where the server keeps microseconds, the fraction has six digits. Source: `Time.UnmarshalJSON` and
/// `MicroTime.UnmarshalJSON` of `k8s.io/apimachinery/pkg/apis/meta/v1`.
pub(in crate::schema) fn is_time(text: &str, has_micros: bool) -> bool {
    let Some((date, rest)) = text.split_once('T') else { return false };
    let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let (hour, minutes) = clock.split_once(':').unwrap_or_default();
    let is_fraction = match fraction {
        Some(digits) if has_micros => digits.len() == 6 && are_digits(digits),
        Some(digits) => are_digits(digits),
        None => !has_micros,
    };
    let has_form = (zone == "Z" || has_shape(zone.get(1..).unwrap_or_default(), "00:00"))
        && has_shape(date, "0000-00-00")
        && (has_shape(hour, "00") || has_shape(hour, "0"))
        && has_shape(minutes, "00:00")
        // Go has no leap seconds.
        && !minutes.ends_with("60")
        && is_fraction;
    has_form && format!("{date}T{hour:0>2}:{minutes}{zone}").parse::<Timestamp>().is_ok()
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text has digits where a model has them, and its other characters where it has those.
fn has_shape(text: &str, model: &str) -> bool {
    let is_same = |(byte, wanted): (u8, u8)| {
        if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted }
    };
    text.len() == model.len() && text.bytes().zip(model.bytes()).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_go_reads_them() {
        for right in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T2:00:00Z",
            "2026-01-31T12:00:00.5Z",
            "2026-01-31T12:00:00,5+01:00",
        ] {
            assert!(is_time(right, false), "{right}");
        }
        for wrong in [
            "2026-01-31",
            "2026-02-31T12:00:00Z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+0100",
            "2026-01-31t12:00:00z",
            "2026-01-31T24:00:00Z",
            "tomorrow",
            "",
        ] {
            assert!(!is_time(wrong, false), "{wrong}");
        }
        assert!(is_time("2026-01-31T12:00:00.000000Z", true));
        assert!(!is_time("2026-01-31T12:00:00Z", true) && !is_time("2026-01-31T12:00:00.0000000Z", true));
    }
}
