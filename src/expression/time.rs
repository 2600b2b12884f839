//! Times and durations of expressions.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Stop;
use super::function::{Operation, Part};
use super::value::Value;

/// Calls a function on times; `None` where it does not take such values.
pub(super) fn call<'a>(operation: Operation, values: &[Value<'a>]) -> Result<Option<Value<'a>>, Stop> {
    let no_time = |text: &str| Stop::error(format!("`{}` is not a time", short(text)));
    Ok(Some(match (operation, values) {
        (Operation::Timestamp, [time @ Value::Timestamp(_)]) => time.clone(),
        (Operation::Timestamp, [Value::Int(seconds)]) => {
            Value::Timestamp(Timestamp::from_second(*seconds).map_err(|_| no_time(&seconds.to_string()))?)
        }
        (Operation::Timestamp, [Value::Text(text)]) => {
            Value::Timestamp(text.parse().map_err(|_| no_time(text))?)
        }
        (Operation::Duration, [duration @ Value::Duration(_)]) => duration.clone(),
        (Operation::Duration, [Value::Text(text)]) => {
            let duration = duration(text);
            let wrong = || Stop::error(format!("`{}` is not a duration such as 90s or 1h30m", short(text)));
            Value::Duration(duration.ok_or_else(wrong)?)
        }
        (Operation::Part(part), [Value::Duration(duration)]) => {
            let milliseconds = duration.as_millis();
            Value::Int(
                i64::try_from(match part {
                    Part::Hours => milliseconds / 3_600_000,
                    Part::Minutes => milliseconds / 60_000,
                    Part::Seconds => milliseconds / 1000,
                    Part::Milliseconds => milliseconds % 1000,
                    _ => return Ok(None),
                })
                .unwrap_or(i64::MAX),
            )
        }
        (Operation::Part(part), [Value::Timestamp(time)]) => part_of(part, *time, TimeZone::UTC),
        (Operation::Part(part), [Value::Timestamp(time), Value::Text(zone)]) => {
            let unknown = || Stop::error(format!("`{}` is not a time zone", short(zone)));
            part_of(part, *time, time_zone(zone).ok_or_else(unknown)?)
        }
        _ => return Ok(None),
    }))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect::<String>().escape_debug().to_string()
}

/// `Europe/Berlin`, `UTC`, `+02:00`.
fn time_zone(text: &str) -> Option<TimeZone> {
    if let Some((hours, minutes)) = text.split_once(':') {
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let is_possible = hours.abs() < 24 && (0..60).contains(&minutes);
        let seconds = is_possible.then(|| hours * 3600 + sign * minutes * 60)?;
        return jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(text).ok()
}

fn part_of<'a>(part: Part, time: Timestamp, zone: TimeZone) -> Value<'a> {
    let time = time.to_zoned(zone);
    Value::Int(match part {
        Part::Year => time.year().into(),
        Part::Month => i64::from(time.month()) - 1,
        Part::Date => time.day().into(),
        Part::DayOfMonth => i64::from(time.day()) - 1,
        Part::DayOfWeek => time.weekday().to_sunday_zero_offset().into(),
        Part::DayOfYear => i64::from(time.day_of_year()) - 1,
        Part::Hours => time.hour().into(),
        Part::Minutes => time.minute().into(),
        Part::Seconds => time.second().into(),
        Part::Milliseconds => time.millisecond().into(),
    })
}

/// A duration as Go writes it: `1h30m`, `-1.5s`, `100ms`, `0`.
fn duration(text: &str) -> Option<SignedDuration> {
    const UNITS: &[(&str, i128)] = &[
        ("ns", 1),
        ("us", 1000),
        ("µs", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let width =
            after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(width);
        let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.len() > 18 || whole.len() > 18 {
            return None;
        }
        let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let nanoseconds =
            parse(whole)?.checked_mul(unit)?.checked_add(parse(part)?.checked_mul(unit)? / scale)?;
        total = total.checked_add(nanoseconds)?;
        rest = after;
    }
    let total = sign * total;
    let seconds = i64::try_from(total / 1_000_000_000).ok()?;
    let nanoseconds = i32::try_from(total % 1_000_000_000).ok()?;
    // So far Go and CEL go as well: about 292 years.
    (seconds.abs() < 9_223_372_036).then(|| SignedDuration::new(seconds, nanoseconds))
}
