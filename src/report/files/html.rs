//! `report.html`: the run as one page. It asks nobody for anything (no script, no font, no image) and says first
//! what a person who was called at night wants to know.
//!
//! Everything on it that windlass did not write itself goes through [`escaped`].

use std::fmt::Write as _;

use anstream::adapter::strip_str;
use jiff::Timestamp;

use crate::model::{Failure, Outcome, Stage};
use crate::report::event::{Finished, Warning};
use crate::report::files::run_log::{End, LogEntry, ObjectEntry, RunLog, StageEntry, StepEntry};
use crate::report::live::format::Symbol;
use crate::report::live::{format, summary};
use crate::text::display;

/// The page.
pub(crate) fn page(run: &RunLog) -> String {
    let sections = [
        header(run),
        list("Causes", run.end.iter().flat_map(|end| &end.causes).map(cause)),
        list("Warnings", run.warnings.iter().map(warning)),
        list("Answer", run.answer.iter().map(|answer| pre(answer))),
        list("Stages", run.stages.iter().map(|stage| self::stage(stage, run.end.is_some()))),
        list("Objects", objects(run)),
        list(
            "Images",
            run.end.iter().flat_map(|end| &end.images).map(|(name, reference)| image(name, reference)),
        ),
        list("Logs", run.logs.iter().map(log)),
        list("What to type next", run.end.iter().flat_map(|end| &end.next).map(|line| pre(line))),
    ];
    let title = escaped(&run.end.as_ref().map_or_else(|| "running".to_owned(), headline));
    let style = include_str!("page.css");
    let body = sections.concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · windlass</title>\n\
         <style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// The text as HTML shows it literally: no markup, no escape sequences of terminals.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in strip_str(text).to_string().chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// How it ended, in words, and the first thing to type.
fn header(run: &RunLog) -> String {
    let Some(end) = &run.end else {
        return unended(run);
    };
    let sign = Symbol::of(end.outcome);
    let mut inner = format!("<h1>{} {}</h1>\n", mark(sign), escaped(&headline(end)));
    inner.extend(
        lead(end).map(|text| format!("<p class=\"lead\">{}</p>\n", escaped(&display::shorten(&text)))),
    );
    inner.extend(end.snippet.iter().map(|snippet| pre(snippet)));
    inner.extend(summary::hint(end).map(hint));
    inner.extend(summary::deed(end).map(|text| paragraph("", &text)));
    inner.extend(end.next.first().map(|line| format!("<p>next: <code>{}</code></p>\n", escaped(line))));
    let began = run.span.map(|(first, _)| format!(" · began {}", clock(first))).unwrap_or_default();
    let numbers = format!("exit code {} · {}{began}", end.exit_code, display::seconds(end.seconds));
    inner.push_str(&paragraph("faint", &numbers));
    format!("<header class=\"{}\">\n{inner}</header>\n", class(sign))
}

/// A page is written now and then: this one is read while the run goes on, or because it was killed.
fn unended(run: &RunLog) -> String {
    let known = run.span.map_or_else(
        || "nothing has happened yet".to_owned(),
        |(first, last)| format!("began {}; this was known at {}", clock(first), clock(last.time)),
    );
    format!(
        "<header class=\"running\">\n<h1>{} the run has not ended, or was killed</h1>\n{}</header>\n",
        mark(Symbol::Running),
        paragraph("faint", &known)
    )
}

fn headline(end: &Finished) -> String {
    format!("{} {}", end.command, summary::word(end.outcome))
}

/// The sentence below the headline.
fn lead(end: &Finished) -> Option<String> {
    match end.outcome {
        Outcome::Ok | Outcome::Skipped => summary::result(end),
        _ => summary::message(end).map(str::to_owned),
    }
}

/// What failed, why, and what was seen.
fn cause(failure: &Failure) -> String {
    let mut inner = format!(
        "<h3>{}<span class=\"cause\">{}</span></h3>\n",
        escaped(&summary::subject(failure)),
        escaped(&failure.cause)
    );
    inner.push_str(&paragraph("", &display::shorten(&failure.message)));
    for evidence in &failure.evidence {
        inner.push_str(&paragraph("title", &evidence.title));
        inner.push_str(&pre(&evidence.lines.join("\n")));
    }
    inner.extend(failure.hint.as_deref().map(hint));
    format!("<div class=\"card\">\n{inner}</div>\n")
}

fn warning(warning: &Warning) -> String {
    let snippet = warning.snippet.as_deref().map(pre).unwrap_or_default();
    let help = warning.hint.as_deref().map(hint).unwrap_or_default();
    let message = paragraph("", &display::shorten(&warning.message));
    format!("<div class=\"card\">\n{message}{snippet}{help}</div>\n")
}

fn stage(entry: &StageEntry, run_ended: bool) -> String {
    let head = span("", format::stage_name(entry.stage), entry.end.as_ref(), run_ended);
    let title = paragraph("title", &display::shorten(&entry.title));
    let steps: Vec<_> = entry.steps.iter().map(|step| self::step(step, run_ended)).collect();
    format!("<div class=\"card stage\">\n{head}{title}{}</div>\n", steps.concat())
}

fn step(entry: &StepEntry, run_ended: bool) -> String {
    span(&entry.title, &entry.name, entry.end.as_ref(), run_ended)
}

/// A stage or a step: how it ended, or what it was about to do.
fn span(title: &str, name: &str, end: Option<&End>, run_ended: bool) -> String {
    match end {
        Some(end) => line(Symbol::of(end.outcome), name, &display::seconds(end.seconds), &end.summary),
        None if run_ended => line(Symbol::Doubtful, name, "", &format!("did not end; {title}")),
        None => line(Symbol::Running, name, "", title),
    }
}

/// The objects: what failed first, what is ready last.
fn objects(run: &RunLog) -> impl Iterator<Item = String> {
    let mut entries: Vec<&ObjectEntry> = run.objects.iter().collect();
    entries.sort_by_key(|entry| Symbol::of_verdict(entry.state.verdict).urgency());
    let was_released = run.objects.iter().any(|entry| entry.state.stage == Stage::Release);
    entries.into_iter().map(move |entry| object(run, entry, was_released))
}

fn object(run: &RunLog, entry: &ObjectEntry, was_released: bool) -> String {
    let state = &entry.state;
    let mut text = format::state_text(state);
    if was_released && state.stage == Stage::Rollback {
        text.push_str(" (after the rollback)");
    }
    let took = run.took(entry);
    let time = if took.is_zero() { String::new() } else { display::duration(took) };
    line(Symbol::of_verdict(state.verdict), &run.name(entry), &time, &text)
}

fn image(name: &str, reference: &str) -> String {
    format!("<div class=\"card\">\n<h3>{}</h3>\n<code>{}</code>\n</div>\n", escaped(name), escaped(reference))
}

fn log(entry: &LogEntry) -> String {
    let kept = display::count(entry.lines.len(), "line");
    let left_out = match entry.dropped {
        0 => String::new(),
        dropped => format!(", the first {dropped} are left out"),
    };
    let lines: Vec<&str> = entry.lines.iter().map(String::as_str).collect();
    let source = escaped(&entry.source);
    let text = pre(&lines.join("\n"));
    format!(
        "<details>\n<summary>{source} <span class=\"faint\">{kept}{left_out}</span></summary>\n{text}</details>\n"
    )
}

/// One line for one thing: how it is, its name, how long it took, what there is to say.
fn line(sign: Symbol, name: &str, time: &str, text: &str) -> String {
    let [name, time, text] = [name, time, &display::shorten(text)].map(escaped);
    format!(
        "<div class=\"row {}\">{}<span class=\"name\">{name}</span><span class=\"time\">{time}</span>\
         <span class=\"text\">{text}</span></div>\n",
        class(sign),
        mark(sign)
    )
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A heading and what stands below it; nothing where there is nothing.
fn list(heading: &str, items: impl Iterator<Item = String>) -> String {
    let mut inner = items.collect::<String>();
    if !inner.is_empty() {
        inner.insert_str(0, &format!("<h2>{heading}</h2>\n"));
    }
    inner
}

fn paragraph(class: &str, text: &str) -> String {
    let mut paragraph = String::from("<p");
    if !class.is_empty() {
        write!(paragraph, " class=\"{class}\"").expect("writing to a string cannot fail");
    }
    paragraph + ">" + &escaped(text) + "</p>\n"
}

fn hint(text: &str) -> String {
    paragraph("hint", &format!("hint: {text}"))
}

/// A line break right after the opening tag is no part of the text, but one that the text begins with is.
fn pre(text: &str) -> String {
    format!("<pre>\n{}</pre>\n", escaped(text))
}

fn mark(sign: Symbol) -> String {
    format!("<span class=\"sign\">{}</span>", sign.mark())
}

fn class(sign: Symbol) -> &'static str {
    match sign {
        Symbol::Good => "good",
        Symbol::Skipped => "faint",
        Symbol::Bad => "bad",
        Symbol::Doubtful => "doubtful",
        Symbol::Running => "running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_markup() {
        let text = "<script>alert(\"1\" + '2')</script> & \u{1b}[31mred\u{1b}[0m \u{85}";
        let shown = "&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39;)&lt;/script&gt; &amp; red \u{fffd}";
        assert_eq!(escaped(text), shown);
    }
}
