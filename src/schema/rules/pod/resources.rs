//! What containers and pods ask for, and may use.

use serde_json::{Map, Value};

use super::{containers, step};
use crate::schema::finding::{Finding, one_of};
use crate::schema::format::{Format, Quantity};
use crate::schema::rules::Checked;

/// Resources that a container may ask for by a name without a `/`.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Source: `validateResourceRequirements`, `validateContainerResourceName`. Before 1.29 the resources of a claim have the same
/// type; of them other things are asked.
pub(super) fn check(one: &Checked<'_>, found: &mut Vec<Finding>) {
    if one.schemas.minor() < 29 && one.pointer.ends_with("/spec/resources") {
        return;
    }
    let empty = Map::new();
    let map = |name: &str| one.object(name).unwrap_or(&empty);
    for section in ["limits", "requests"] {
        for (name, amount) in map(section) {
            let pointer = step(&one.at(section), name);
            found.extend(container_resource(name, &pointer));
            found.extend(Quantity::of(amount).and_then(|amount| whole(name, amount, &pointer)));
            found.extend(odd_memory(name, amount, &pointer));
        }
    }
    for (name, request) in map("requests") {
        let pointer = step(&one.at("requests"), name);
        let limit = map("limits").get(name).and_then(Quantity::of);
        found.extend(Quantity::of(request).and_then(|request| compare(name, request, limit, &pointer)));
    }
    let has = |wanted: &dyn Fn(&str) -> bool| {
        ["limits", "requests"].iter().any(|section| map(section).keys().any(|name| wanted(name)))
    };
    if has(&|name| name.starts_with("hugepages-")) && !has(&|name| ["cpu", "memory"].contains(&name)) {
        found.push(one.missing("huge pages need `cpu` or `memory` beside them"));
    }
}

/// A name of a resource that no container can ask for.
pub(in crate::schema::rules) fn container_resource(name: &str, pointer: &str) -> Option<Finding> {
    if name.contains('/') {
        let malformed = Format::Qualified.check(name).err()?;
        let finding = Finding::error(pointer, malformed.message).at_key();
        return Some(finding.with_hint_if(malformed.hint.map(ToOwned::to_owned)));
    }
    if RESOURCES.contains(&name) || name.starts_with("hugepages-") {
        return None;
    }
    let near = crate::text::nearest(name, RESOURCES.into_iter());
    let finding = Finding::error(pointer, format!("there is no resource `{name}`")).at_key();
    let known = format!("write {} or `example.com/name`", one_of(&RESOURCES));
    Some(finding.with_hint(near.map_or(known, |near| format!("did you mean `{near}`?"))))
}

/// Source: `ValidateResourceQuantityValue`, `IsHugePageResourceValueDivisible`.
fn whole(name: &str, amount: Quantity, pointer: &str) -> Option<Finding> {
    if amount.is_negative() {
        return Some(Finding::error(pointer, format!("`{name}` cannot be negative")));
    }
    if is_extended(name) && !amount.is_whole() {
        return Some(integer(name, pointer));
    }
    let page = Quantity::read(name.strip_prefix("hugepages-")?);
    let is_wrong = page.is_none_or(|page| page.is_zero() || !amount.is_multiple_of(page));
    is_wrong.then(|| {
        Finding::error(pointer, format!("the amount is not a multiple of the page size of `{name}`"))
    })
}

/// An amount that must be a whole number.
pub(in crate::schema::rules) fn integer(name: &str, pointer: &str) -> Finding {
    Finding::error(pointer, format!("`{name}` must be an integer"))
}

/// Of these a node has as many as it has: none is used by two. Source: `IsOvercommitAllowed`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn compare(name: &str, request: Quantity, limit: Option<Quantity>, pointer: &str) -> Option<Finding> {
    let is_fixed = is_extended(name) || name.starts_with("hugepages-");
    match limit {
        None if is_fixed => {
            Some(Finding::error(pointer, format!("`{name}` needs a limit of the same amount")))
        }
        Some(limit) if is_fixed && !limit.is_equal(request) => {
            Some(Finding::error(pointer, format!("the request of `{name}` must be its limit")))
        }
        Some(limit) if request.is_greater(limit) => {
            Some(Finding::error(pointer, format!("the request of `{name}` is greater than its limit")))
        }
        _ => None,
    }
}

/// Memory in thousandths of a byte, or of less than 1 MiB, is a mistake that the server takes.
fn odd_memory(name: &str, amount: &Value, pointer: &str) -> Option<Finding> {
    let is_memory = ["memory", "ephemeral-storage"].contains(&name);
    let read = Quantity::of(amount).filter(|read| is_memory && !read.is_zero() && !read.is_negative())?;
    let text = amount.as_str().map_or_else(|| amount.to_string(), |text| text.trim().to_owned());
    if text.ends_with('m') {
        let message = format!("`{text}` is thousandths of a byte");
        let hint = format!("did you mean `{}Mi`?", text.trim_end_matches('m'));
        return Some(Finding::warning(pointer, message).with_hint(hint));
    }
    let is_less = Quantity::read("1Mi").is_some_and(|least| least.is_greater(read));
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    is_less.then(|| {
        let finding = Finding::warning(pointer, format!("`{text}` of `{name}` is less than 1 MiB"));
        finding.with_hint_if(read.is_whole().then(|| format!("did you mean `{digits}Mi`?")))
    })
}

/// What a pod as a whole may use, and what its containers ask for. Source: `validatePodResourceConsistency`.
pub(super) fn of_pod(one: &Checked<'_>, found: &mut Vec<Finding>) {
    let Some(own) = one.object("resources") else { return };
    if own.get("claims").is_some_and(|claims| !claims.is_null()) {
        let pointer = step(&one.at("resources"), "claims");
        found.push(
            Finding::error(pointer, "a pod as a whole has no `claims`: its containers have them").at_key(),
        );
    }
    let amount =
        |section: &str, name: &str| own.get(section).and_then(|map| map.get(name)).and_then(Quantity::of);
    for (pointer, container) in containers(one, &["containers"]) {
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        for (name, limit) in limits.into_iter().flatten() {
            if let (Some(limit), Some(most)) = (Quantity::of(limit), amount("limits", name))
                && limit.is_greater(most)
            {
                let pointer = step(&format!("{pointer}/resources/limits"), name);
                found.push(Finding::error(
                    pointer,
                    format!("the limit of `{name}` is greater than the pod's"),
                ));
            }
        }
    }
    requests_of_pod(one, own, found);
}

fn requests_of_pod(one: &Checked<'_>, own: &Map<String, Value>, found: &mut Vec<Finding>) {
    let requests = own.get("requests").and_then(Value::as_object);
    for (name, request) in requests.into_iter().flatten() {
        let parts = containers(one, &["containers"]);
        let parts = parts.iter().filter_map(|(_, container)| container["resources"]["requests"].get(name));
        let sum = parts
            .filter_map(Quantity::of)
            .fold(None, |sum: Option<Quantity>, part| Some(sum.map_or(part, |sum| sum.plus(part))));
        if let (Some(sum), Some(request)) = (sum, Quantity::of(request))
            && sum.is_greater(request)
        {
            let pointer = step(&step(&one.at("resources"), "requests"), name);
            found.push(Finding::error(
                pointer,
                format!("the containers request more of `{name}` than the pod"),
            ));
        }
    }
}
