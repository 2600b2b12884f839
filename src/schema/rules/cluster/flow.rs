//! Flow control: which requests wait for which.

use serde_json::Value;

use crate::schema::finding::{Finding, not_one_of, step};
use crate::schema::format::Format;
use crate::schema::rules::Checked;

/// `supportedVerbs`.
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Kinds of subjects, and the field of each.
const SUBJECTS: [(&str, &str); 3] =
    [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

/// Checks an object if it is about the order of requests.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    match one.type_name {
        "flowcontrol.v1.FlowSchemaSpec" => found.extend(precedence(one)),
        "flowcontrol.v1.Subject" => found.extend(subject(one)),
        "flowcontrol.v1.ServiceAccountSubject" => {
            let name = one.text("name");
            if !["", "*"].contains(&name)
                && let Err(malformed) = Format::Subdomain.check(name)
            {
                found.push(Finding::error(one.at("name"), malformed.message));
            }
        }
        "flowcontrol.v1.ResourcePolicyRule" => {
            verbs(one, found);
            for name in ["apiGroups", "resources", "namespaces"] {
                alone(one, name, found);
            }
            namespaces(one, found);
        }
        "flowcontrol.v1.NonResourcePolicyRule" => {
            verbs(one, found);
            alone(one, "nonResourceURLs", found);
            urls(one, found);
        }
        "flowcontrol.v1.PriorityLevelConfigurationSpec" => found.extend(level(one)),
        "flowcontrol.v1.LimitResponse" => found.extend(response(one)),
        "flowcontrol.v1.QueuingConfiguration" => found.extend(queuing(one)),
        _ => {}
    }
}

/// Source: `ValidateFlowSchemaSpec`: the first is for requests that never wait.
fn precedence(one: &Checked<'_>) -> Option<Finding> {
    (one.int("matchingPrecedence") == Some(1)).then(|| {
        let message = "only the schema `exempt` has the matchingPrecedence 1";
        Finding::error(one.at("matchingPrecedence"), message)
    })
}

/// Source: `ValidateFlowSchemaSubject`.
fn subject(one: &Checked<'_>) -> Option<Finding> {
    let kind = one.text("kind");
    let Some((_, field)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        return (!kind.is_empty())
            .then(|| not_one_of(&one.at("kind"), kind, &SUBJECTS.map(|(known, _)| known)));
    };
    if one.get(field).is_none() {
        return Some(one.missing(format!("a subject of the kind `{kind}` needs `{field}`")));
    }
    let other = SUBJECTS.iter().find(|(_, other)| other != field && one.get(other).is_some())?.1;
    let message = format!("a subject of the kind `{kind}` has no `{other}`");
    Some(Finding::error(one.at(other), message).at_key())
}

/// Source: `ValidateFlowSchemaResourcePolicyRule`, `ValidateFlowSchemaNonResourcePolicyRule`.
fn verbs(one: &Checked<'_>, found: &mut Vec<Finding>) {
    alone(one, "verbs", found);
    let verbs = one.list("verbs");
    if verbs.iter().any(|verb| verb == "*") {
        return;
    }
    for (index, verb) in verbs.iter().enumerate().filter_map(|(index, verb)| Some((index, verb.as_str()?))) {
        if !VERBS.contains(&verb) {
            found.push(not_one_of(&step(&one.at("verbs"), index), verb, &VERBS));
        }
    }
}

fn alone(one: &Checked<'_>, name: &str, found: &mut Vec<Finding>) {
    let items = one.list(name);
    if items.len() > 1 && items.iter().any(|item| item == "*") {
        found.push(Finding::error(one.at(name), format!("`*` must be the only item in `{name}`")));
    }
}

/// Source: `ValidateFlowSchemaResourcePolicyRule`.
fn namespaces(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let names = one.list("namespaces");
    if names.is_empty() && !one.is("clusterScope") {
        found.push(one.missing("a rule needs `namespaces` or `clusterScope: true`"));
    }
    for (index, name) in names.iter().enumerate().filter_map(|(index, name)| Some((index, name.as_str()?))) {
        if name != "*"
            && let Err(malformed) = Format::Label.check(name)
        {
            found.push(Finding::error(step(&one.at("namespaces"), index), malformed.message));
        }
    }
}

/// Source: `ValidateNonResourceURLPath`.
fn urls(one: &Checked<'_>, found: &mut Vec<Finding>) {
    for (index, url) in one.list("nonResourceURLs").iter().enumerate() {
        let Some(url) = url.as_str().filter(|url| *url != "*") else { continue };
        let is_right = url == "/"
            || (url.starts_with('/')
                && !url.contains(' ')
                && !url.contains("//")
                && url.find('*').is_none_or(|at| at + 1 == url.len() && url.ends_with("/*")));
        if !is_right {
            let finding = Finding::error(
                step(&one.at("nonResourceURLs"), index),
                format!("`{}` is not a path", url.chars().take(80).collect::<String>()),
            );
            found.push(finding.with_hint("write `/healthz`, `/apis/*` or `*`"));
        }
    }
}

/// Source: `ValidatePriorityLevelConfigurationSpec`.
fn level(one: &Checked<'_>) -> Option<Finding> {
    let (wanted, other) = match one.text("type") {
        "Limited" => ("limited", "exempt"),
        "Exempt" => ("", "limited"),
        _ => return None,
    };
    let kind = one.text("type");
    if !wanted.is_empty() && one.get(wanted).is_none() {
        return Some(one.missing(format!("the type `{kind}` needs `{wanted}`")));
    }
    one.get(other)?;
    Some(Finding::error(one.at(other), format!("the type `{kind}` has no `{other}`")).at_key())
}

/// Source: `ValidateLimitResponse`.
fn response(one: &Checked<'_>) -> Option<Finding> {
    match (one.text("type"), one.get("queuing")) {
        ("Queue", None) => Some(one.missing("the type `Queue` needs `queuing`")),
        ("Reject", Some(_)) => {
            Some(Finding::error(one.at("queuing"), "the type `Reject` has no `queuing`").at_key())
        }
        _ => None,
    }
}

/// 64 queues, hands of 8 where they are left out. Source: `ValidatePriorityLevelQueuingConfiguration`, `RequiredEntropyBits`.
fn queuing(one: &Checked<'_>) -> Option<Finding> {
    let number = |name: &str, default: i64| one.int(name).filter(|number| *number != 0).unwrap_or(default);
    let (queues, hand) = (number("queues", 64), number("handSize", 8));
    let is_hand = one.get("handSize").and_then(Value::as_i64).is_some_and(|hand| hand != 0);
    let at = if is_hand { "handSize" } else { "queues" };
    if queues <= 0 || hand <= 0 {
        return None;
    }
    if hand > queues {
        let message = format!("`handSize` ({hand}) is greater than `queues` ({queues})");
        return Some(Finding::error(one.at(at), message));
    }
    // So many bits tell one hand from another; there are 60.
    let bits: f64 = (0..hand.min(100))
        .map(|dealt| f64::from(i32::try_from(queues - dealt).unwrap_or(i32::MAX)).log2())
        .sum();
    (bits.ceil() > 60.0).then(|| {
        let message = format!("a `handSize` of {hand} is too large for {queues} `queues`");
        Finding::error(one.at(at), message).with_hint("write a smaller `handSize`")
    })
}
