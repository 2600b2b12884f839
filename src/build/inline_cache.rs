//! What an image says of the steps that made its layers, so that a later build finds them: BuildKit's inline cache, a list of
//! records in the image's configuration. A build leaves records of the layers that it made, and none of many that it took over;
//! the build after it would make those again. The records of the images that it took them from say the rest.
//!
//! The form is that of BuildKit's `cache/remotecache/v1` and `cache/remotecache/inline`: a record has the digest of its step, for each
//! input the records that it may come from (`link`, by number), and the layers that the step led to, by number.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Where the records stand in a configuration: JSON, in base64.
const FIELD: &str = "moby.buildkit.cache.v0";
/// More records than any Dockerfile leads to.
const MOST: usize = 10_000;
/// Longer than the chain of steps of any Dockerfile.
const DEEPEST: usize = 300;

/// The configuration of an image with what earlier images know of the layers that they share with it; `None` where they know
/// nothing that it does not say itself.
pub(super) fn with_records_of(image: &Value, earlier: &[Value]) -> Option<Value> {
    let mut records = records(image)?;
    let mut is_changed = false;
    for other in earlier {
        is_changed |= take_over(&mut records, other, shared_layers(image, other));
    }
    let written = is_changed.then(|| serde_json::to_vec(&records).ok()).flatten()?;
    let mut image = image.clone();
    image[FIELD] = Value::from(STANDARD.encode(written));
    Some(image)
}

/// The records of an image; `None` where it has none that can be read.
fn records(image: &Value) -> Option<Vec<Value>> {
    let bytes = STANDARD.decode(image.get(FIELD)?.as_str()?).ok()?;
    let records: Vec<Value> = serde_json::from_slice(&bytes).ok()?;
    (records.len() <= MOST && records.iter().all(Value::is_object)).then_some(records)
}

/// How many layers two images have in common, from the lowest on.
fn shared_layers(one: &Value, other: &Value) -> u64 {
    let layers = |image: &Value| image.pointer("/rootfs/diff_ids").and_then(Value::as_array).cloned();
    let (one, other) = (layers(one).unwrap_or_default(), layers(other).unwrap_or_default());
    one.iter().zip(&other).take_while(|(one, other)| one == other).map(|_| 1).sum()
}

/// Gives the records without layers those that the same steps have in another image, as far as both have these layers.
fn take_over(records: &mut [Value], other: &Value, shared: u64) -> bool {
    let Some(others) = self::records(other) else { return false };
    let layers = |record: &Value| Some(list(&record["layers"]).to_vec()).filter(|layers| !layers.is_empty());
    let is_shared = |layer: &Value| layer["layer"].as_u64().is_some_and(|layer| layer < shared);
    let mut found = Vec::new();
    let mut steps = Steps { one: records, other: &others, alike: HashMap::new() };
    for number in (0..records.len()).filter(|number| layers(&records[*number]).is_none()) {
        let same = (0..others.len()).find_map(|other| {
            let layers = layers(&others[other]).filter(|layers| layers.iter().all(is_shared))?;
            steps.are_alike(number, other, DEEPEST).then_some(layers)
        });
        found.extend(same.map(|layers| (number, layers)));
    }
    for (number, layers) in &found {
        records[*number]["layers"] = Value::from(layers.clone());
    }
    !found.is_empty()
}

/// The records of two images, and which were found to be of the same step.
struct Steps<'a> {
    one: &'a [Value],
    other: &'a [Value],
    alike: HashMap<(usize, usize), bool>,
}

impl Steps<'_> {
    /// Whether two records are of the same step: of the same digest, and with a way in common to each of their inputs.
    fn are_alike(&mut self, one: usize, other: usize, depth: usize) -> bool {
        let (Some(a), Some(b)) = (self.one.get(one), self.other.get(other)) else { return false };
        if a["digest"] != b["digest"] || !a["digest"].is_string() || depth == 0 {
            return false;
        }
        if let Some(known) = self.alike.get(&(one, other)) {
            return *known;
        }
        // What leads back to itself is no chain of steps.
        self.alike.insert((one, other), false);
        let (a, b) = (inputs(a), inputs(b));
        let are_alike = a.len() == b.len()
            && a.iter().zip(&b).all(|(a, b)| {
                a.iter().any(|(from, part)| {
                    b.iter().any(|(to, other)| part == other && self.are_alike(*from, *to, depth - 1))
                })
            });
        self.alike.insert((one, other), are_alike);
        are_alike
    }
}

/// For each input of a record the records that it may come from, and which part of their result it is.
fn inputs(record: &Value) -> Vec<Vec<(usize, &str)>> {
    let ways =
        |input| list(input).iter().map(|way| (link(way), way["selector"].as_str().unwrap_or_default()));
    list(&record["inputs"]).iter().map(|input| ways(input).collect()).collect()
}

/// The number of a record; one that there is not where none is said.
fn link(way: &Value) -> usize {
    way["link"].as_u64().and_then(|link| usize::try_from(link).ok()).unwrap_or(usize::MAX)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(layers: &[&str], records: &Value) -> Value {
        let records = STANDARD.encode(records.to_string());
        json!({"os": "linux", "rootfs": {"diff_ids": layers}, FIELD: records})
    }

    /// An image of a base (layer 0), a step that installs (layer 1) and one that compiles (layer 2).
    fn first() -> Value {
        image(
            &["base", "installed", "compiled"],
            &json!([
                {"digest": "compile", "inputs": [[{"link": 1}]], "layers": [{"layer": 2, "createdAt": "b"}]},
                {"digest": "install", "inputs": [[{"link": 2}]], "layers": [{"layer": 1, "createdAt": "a"}]},
                {"digest": "from base"},
            ]),
        )
    }

    /// The same with other sources; nothing is said of what was taken over.
    fn second(digest_of_base: &str) -> Value {
        image(
            &["base", "installed", "compiled again"],
            &json!([
                {"digest": digest_of_base},
                {"digest": "install", "inputs": [[{"link": 3}, {"link": 0}]]},
                {"digest": "compile again", "inputs": [[{"link": 1}]], "layers": [{"layer": 2, "createdAt": "c"}]},
                {"digest": "base by another name"},
            ]),
        )
    }

    #[test]
    fn a_layer_that_was_taken_over_keeps_its_record_for_ever() {
        let merged = with_records_of(&second("from base"), &[first()]).expect("a layer's record was missing");
        let found = records(&merged).unwrap();
        assert_eq!(found[1]["layers"], json!([{"layer": 1, "createdAt": "a"}]));
        assert_eq!(found[2]["layers"], json!([{"layer": 2, "createdAt": "c"}]));
        assert_eq!(found[0].get("layers"), None);
        assert_eq!(merged["rootfs"], second("from base")["rootfs"]);
        assert_eq!(with_records_of(&merged, &[first()]), None, "nothing is missing any more");
        let third = with_records_of(&second("from base"), &[second("from base"), merged]);
        assert_eq!(records(&third.unwrap()).unwrap()[1]["layers"], json!([{"layer": 1, "createdAt": "a"}]));
    }

    #[test]
    fn another_step_or_another_layer_is_not_taken_for_the_same() {
        assert_eq!(with_records_of(&second("from another base"), &[first()]), None, "it begins elsewhere");
        let mut other = first();
        other["rootfs"]["diff_ids"][1] = json!("installed elsewhere");
        assert_eq!(with_records_of(&second("from base"), &[other]), None, "the step led to another layer");
    }

    #[test]
    fn what_is_no_cache_says_nothing() {
        for broken in [
            json!({}),
            json!({FIELD: 7}),
            json!({FIELD: "%"}),
            json!({FIELD: STANDARD.encode("{}")}),
            image(&["base", "installed"], &json!([7])),
            image(
                &["base", "installed"],
                &json!([{"digest": "install", "inputs": 1, "layers": [{"layer": "1"}]}]),
            ),
            image(
                &["base", "installed"],
                &json!([{"digest": "install", "inputs": [[{"link": 0}, {"link": 99}]], "layers": [{"layer": 1}]}]),
            ),
        ] {
            assert_eq!(
                with_records_of(&second("from base"), std::slice::from_ref(&broken)),
                None,
                "{broken}"
            );
            assert_eq!(with_records_of(&broken, &[first()]), None, "{broken}");
        }
    }
}
