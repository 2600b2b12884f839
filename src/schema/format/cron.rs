//! Schedules of CronJobs, as `ParseStandard` of `github.com/robfig/cron/v3` reads them.

use crate::text::Malformed;

/// A field of a schedule: its name, its least and its greatest value, and words for values.
struct Unit(&'static str, u32, u32, &'static [&'static str]);

const UNITS: [Unit; 5] = [
    Unit("minute", 0, 59, &[]),
    Unit("hour", 0, 23, &[]),
    Unit("day of the month", 1, 31, &[]),
    Unit(
        "month",
        1,
        12,
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    ),
    Unit("day of the week", 0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

const WORDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

const HINT: &str = "write minute, hour, day of the month, month and day of the week: `*/5 * * * *`";

/// What is wrong with a schedule.
pub(super) fn check(text: &str) -> Result<(), Malformed> {
    let wrong = |why: &str| Malformed::new(format!("`{text}` is not a cron schedule{why}")).with_hint(HINT);
    // The time zone of old objects stays valid.
    let schedule = match text.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => text,
    };
    if schedule.starts_with('@') {
        let is_known =
            WORDS.contains(&schedule) || schedule.strip_prefix("@every ").is_some_and(is_go_duration);
        return if is_known { Ok(()) } else { Err(wrong("")) };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != UNITS.len() {
        return Err(wrong(&format!(": it has {} fields instead of 5", fields.len())));
    }
    for (field, unit) in fields.iter().zip(&UNITS) {
        if !field.split(',').filter(|range| !range.is_empty()).all(|range| is_range(range, unit)) {
            return Err(wrong(&format!(": `{field}` is not a {} ({}-{})", unit.0, unit.1, unit.2)));
        }
    }
    Ok(())
}

/// `*`, `5`, `1-5`, each also with `/2`.
fn is_range(text: &str, unit: &Unit) -> bool {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (text, None),
    };
    if !step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0)) {
        return false;
    }
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    if low == "*" || low == "?" {
        return true;
    }
    match (value(low, unit), value(high, unit)) {
        (Some(low), Some(high)) => unit.1 <= low && low <= high && high <= unit.2,
        _ => false,
    }
}

fn value(text: &str, unit: &Unit) -> Option<u32> {
    let lower = text.to_lowercase();
    let named = unit.3.iter().zip(unit.1..).find(|(word, _)| **word == lower).map(|(_, value)| value);
    named.or_else(|| text.parse().ok())
}

/// `1h30m`, `1.5s`, `100ms`: `time.ParseDuration`.
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let unit = units.into_iter().filter(|unit| after.starts_with(unit)).max_by_key(|unit| unit.len());
        let Some(unit) = unit.filter(|_| number.bytes().any(|byte| byte.is_ascii_digit())) else {
            return false;
        };
        if number.matches('.').count() > 1 {
            return false;
        }
        rest = after.get(unit.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for right in [
            "*/5 * * * *",
            "0 3 * * 1-5",
            "0 0 1,15 * SUN",
            "? * * JAN-Mar 0",
            "@daily",
            "@every 1h30m",
            "5/10 * * * *",
            "TZ=Europe/Berlin 0 3 * * *",
            "00 03 * * *",
            "*-7 * * * *",
        ] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for wrong in [
            "every 5 min",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "5-1 * * * *",
            "@sometimes",
            "@every 5",
            "@every 5 min",
            "",
            "a * * * *",
            "1-2-3 * * * *",
            "1//2 * * * *",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        let error = check("every 5 min").expect_err("it is wrong");
        assert_eq!(error.message, "`every 5 min` is not a cron schedule: it has 3 fields instead of 5");
        let error = check("* * * * 7").expect_err("it is wrong");
        assert_eq!(error.message, "`* * * * 7` is not a cron schedule: `7` is not a day of the week (0-6)");
    }

    #[test]
    fn durations_of_go() {
        for right in ["1h", "1h30m", "1.5s", "100ms", "3µs", "0", "+1s"] {
            assert!(is_go_duration(right), "{right}");
        }
        for wrong in ["", "1", "h", "1d", "1h 30m", "1..2s"] {
            assert!(!is_go_duration(wrong), "{wrong}");
        }
    }
}
