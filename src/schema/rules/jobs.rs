//! The rules of Jobs and CronJobs.

use serde_json::Value;

use super::{Checked, int};
use crate::model::object::{list, text};
use crate::schema::finding::{Finding, not_one_of, one_of, step};
use crate::schema::table::Shape;

/// `maxParallelismForIndexedJob`, `completionsSoftLimit` and their like.
const MOST_AT_ONCE: i64 = 100_000;
const MANY: i64 = 100_000;
const MOST_OF_MANY: i64 = 10_000;

/// Checks an object if it is a part of a Job.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "batch.v1.JobSpec" => {
            indexed(one, found);
            many(one, found);
            failure_policy(one, found);
            success_policy(one, found);
        }
        "batch.v1.PodFailurePolicyOnExitCodesRequirement" => exit_codes(one, found),
        "batch.v1.CronJobSpec" => {
            found.extend(time_zone(one));
            found.extend(zone_in_schedule(one));
            found.extend(selector(one));
            conditions(one, found);
        }
        _ => {}
    }
}

fn is_indexed(one: &Checked<'_>) -> bool {
    one.text("completionMode") == "Indexed"
}

/// Source: `validateJobSpec`.
fn indexed(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let is_indexed = is_indexed(one);
    // SetDefaults_Job: without `parallelism` it is 1, but for the Jobs of a CronJob.
    let has_default = one.pointer == "/spec" && one.get("parallelism").is_none();
    if is_indexed && one.get("completions").is_none() && !has_default {
        found.push(one.missing("the completionMode `Indexed` needs `completions`"));
    }
    for name in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
        if !is_indexed && one.get(name).is_some() {
            let message = format!("`{name}` needs the completionMode `Indexed`");
            found.push(Finding::error(one.at(name), message).at_key());
        }
    }
    if one.get("maxFailedIndexes").is_some() && one.get("backoffLimitPerIndex").is_none() {
        found.push(one.missing("`maxFailedIndexes` needs `backoffLimitPerIndex`"));
    }
}

/// Source: `validateJobSpec`.
fn many(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if !is_indexed(one) {
        return;
    }
    let (completions, failed) = (one.int("completions").unwrap_or_default(), one.int("maxFailedIndexes"));
    let parallelism = one.int("parallelism").unwrap_or(1);
    let mut limit = |name: &str, value: i64, most: i64| {
        if value > most {
            let message = format!("`{name}` of an indexed Job is at most {most} here, not {value}");
            found.push(Finding::error(one.at(name), message));
        }
    };
    limit("parallelism", parallelism, MOST_AT_ONCE);
    limit("maxFailedIndexes", failed.unwrap_or_default(), MANY.min(completions.max(0)));
    if completions <= MANY || one.get("backoffLimitPerIndex").is_none() {
        return;
    }
    limit("parallelism", parallelism, MOST_OF_MANY);
    limit("maxFailedIndexes", failed.unwrap_or_default(), MOST_OF_MANY);
    if failed.is_none() {
        found.push(one.missing(format!("more than {MANY} completions need `maxFailedIndexes`")));
    }
}

/// Source: `validatePodFailurePolicyRule`.
fn failure_policy(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some(policy) = one.get("podFailurePolicy") else { return };
    let template = one.get("template");
    if template.is_some_and(|template| text(template, "/spec/restartPolicy") == "OnFailure") {
        let message = "`podFailurePolicy` needs the restartPolicy `Never`";
        let pointer = format!("{}/template/spec/restartPolicy", one.pointer);
        found.push(Finding::error(pointer, message));
    }
    if one.get("podReplacementPolicy").is_some_and(Value::is_string)
        && one.text("podReplacementPolicy") == "TerminatingOrFailed"
    {
        let pointer = one.at("podReplacementPolicy");
        found.push(not_one_of(&pointer, one.text("podReplacementPolicy"), &["Failed"]));
    }
    let lists = ["/spec/containers", "/spec/initContainers"].into_iter();
    let containers = lists.flat_map(|at| template.map_or(&[][..], |template| list(template, at)));
    let containers: Vec<&str> = containers.map(|container| text(container, "/name")).collect();
    for (index, rule) in list(policy, "/rules").iter().enumerate() {
        let pointer = step(&step(&one.at("podFailurePolicy"), "rules"), index);
        if text(rule, "/action") == "FailIndex" && one.get("backoffLimitPerIndex").is_none() {
            let message = "the action `FailIndex` needs `backoffLimitPerIndex`";
            found.push(Finding::error(step(&pointer, "action"), message));
        }
        if let Some(name) = rule.pointer("/onExitCodes/containerName").and_then(Value::as_str)
            && !containers.contains(&name)
        {
            let finding = Finding::error(
                format!("{pointer}/onExitCodes/containerName"),
                format!("the pod has no container `{name}`"),
            );
            found.push(finding.with_hint(format!("write {}", one_of(&containers))));
        }
    }
}

/// Source: `validatePodFailurePolicyRuleOnExitCodes`.
fn exit_codes(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let codes: Vec<i64> = one.list("values").iter().filter_map(|code| int(&Shape::Int32, code)).collect();
    if one.text("operator") == "In" && codes.contains(&0) {
        let message = "0 is not a failure: the operator `In` cannot have it";
        found.push(Finding::error(one.at("values"), message));
    }
    if codes.windows(2).any(|two| two[0] > two[1]) {
        found.push(Finding::error(one.at("values"), "the exit codes must be in ascending order"));
    }
}

/// Source: `validateSuccessPolicyRule`.
fn success_policy(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let (Some(policy), Some(completions)) = (one.get("successPolicy"), one.int("completions")) else {
        return;
    };
    for (index, rule) in list(policy, "/rules").iter().enumerate() {
        let pointer = step(&step(&one.at("successPolicy"), "rules"), index);
        let count = int(&Shape::Int32, &rule["succeededCount"]);
        let indexes = rule["succeededIndexes"].as_str().map(|text| read_indexes(text, completions));
        let most = match indexes {
            Some(Err(why)) => {
                found
                    .push(Finding::error(step(&pointer, "succeededIndexes"), why).with_hint("write `0,2-4`"));
                continue;
            }
            Some(Ok(total)) => total.min(completions),
            None => completions,
        };
        if let Some(count) = count.filter(|count| *count > most) {
            let message = format!("`succeededCount` ({count}) is more than the number of indexes, {most}");
            found.push(Finding::error(step(&pointer, "succeededCount"), message));
        }
    }
}

/// How many indexes `0,2-4` has. Source: `validateIndexesFormat`.
fn read_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let (mut last, mut total) = (None, 0);
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let (from, to) = match interval.split_once('-') {
            Some((from, to)) => (from, Some(to)),
            None => (interval, None),
        };
        let read = |text: &str| {
            let number = text.parse::<i64>().map_err(|_| format!("`{interval}` is not an index"))?;
            if number < completions { Ok(number) } else { Err(format!("the Job has no index {number}")) }
        };
        let from = read(from)?;
        let to = to.map(read).transpose()?;
        if last.is_some_and(|last| last >= from) || to.is_some_and(|to| to <= from) {
            return Err(format!("`{text}` is not in ascending order"));
        }
        last = Some(to.unwrap_or(from));
        total += to.unwrap_or(from) - from + 1;
    }
    Ok(total)
}

/// Source: `validateTimeZone`. Which zones there are depends on the server: one that is not known here is a warning.
fn time_zone(one: &Checked<'_>) -> Option<Finding> {
    let zone = one.get("timeZone")?.as_str()?;
    let pointer = one.at("timeZone");
    let is_part = |part: &str| {
        !["", ".", ".."].contains(&part)
            && !part.starts_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
    };
    let hint = "write `Europe/Berlin`";
    if !zone.split('/').all(is_part) || zone.eq_ignore_ascii_case("local") {
        let message = format!("`{zone}` is not a time zone");
        return Some(Finding::error(pointer, message).with_hint(hint));
    }
    let known = jiff::tz::db().available().map(|name| name.to_string()).collect::<Vec<_>>();
    // Without a database nothing is known.
    if known.len() < 100 || known.iter().any(|name| name == zone) || ["UTC", "Etc/UTC"].contains(&zone) {
        return None;
    }
    let message = format!("`{zone}` is not a time zone");
    if let Some(right) = known.iter().find(|name| name.eq_ignore_ascii_case(zone)) {
        return Some(Finding::error(pointer, message).with_hint(format!("write `{right}`")));
    }
    let near = crate::text::nearest(zone, known.iter().map(String::as_str));
    let hint = near.map_or(hint.to_owned(), |near| format!("did you mean `{near}`?"));
    Some(Finding::warning(pointer, format!("{message} that windlass knows")).with_hint(hint))
}

/// Since 1.29 the zone stands in `timeZone` alone. Source: `validateScheduleFormat`.
fn zone_in_schedule(one: &Checked<'_>) -> Option<Finding> {
    let has_zone = one.text("schedule").contains("TZ");
    (has_zone && (one.schemas.minor() >= 29 || one.get("timeZone").is_some())).then(|| {
        let message = "the schedule cannot name a time zone";
        Finding::error(one.at("schedule"), message).with_hint("write it as `timeZone`")
    })
}

/// Source: `ValidateJobTemplateSpec`.
fn selector(one: &Checked<'_>) -> Option<Finding> {
    let job = one.get("jobTemplate")?.get("spec")?;
    let name = if !job["selector"].is_null() {
        "selector"
    } else if job["manualSelector"] == true {
        "manualSelector"
    } else {
        return None;
    };
    let pointer = format!("{}/jobTemplate/spec/{name}", one.pointer);
    Some(Finding::error(pointer, format!("the Jobs of a CronJob have no `{name}` of their own")).at_key())
}

/// Until `SetDefaults_PodFailurePolicyOnPodConditionsPattern` was a function of its own, it was called for Jobs alone.
fn conditions(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let policy = "/spec/podFailurePolicy/rules";
    let rules =
        one.get("jobTemplate").filter(|_| one.schemas.minor() < 32).map_or(&[][..], |job| list(job, policy));
    for (index, rule) in rules.iter().enumerate() {
        for (at, condition) in list(rule, "/onPodConditions").iter().enumerate() {
            if condition.is_object() && condition.get("status").is_none_or(super::is_empty) {
                let pointer = format!("{}{policy}/{index}/onPodConditions/{at}", one.at("jobTemplate"));
                found.push(Finding::error(pointer, "`status` is missing").at_key());
            }
        }
    }
}
