//! What an image is, its history and its times aside: builds of different sources that come to the same layers and the same
//! configuration are one image. A tag in the repository, `windlass.layers-…`, finds it again.

use serde_json::{Map, Value, json};

use crate::text::hex;

/// What of a configuration a container notices. What else there is tells of the build: who made it, when, by which steps.
const FIELDS: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "OnBuild",
    "Labels",
    "StopSignal",
    "Shell",
];
/// Fields of which only the keys count; some write them as a list.
const KEYS: [&str; 2] = ["ExposedPorts", "Volumes"];

/// The fingerprint of images by their configurations in the registry: of an image's own, or of each image of an index. `None`
/// where one of them is not understood, or there is none.
pub(super) fn of_configs(configs: &[Value]) -> Option<String> {
    let one = |image: &Value| {
        let platform = [&image["os"], &image["architecture"], &image["variant"]];
        of(platform, &image["config"], &image["rootfs"]["diff_ids"])
    };
    together(configs.iter().map(one).collect())
}

/// The same by what an Engine says of its images (`docker image inspect`).
pub(super) fn of_inspected(images: &[Value]) -> Option<String> {
    let one = |image: &Value| {
        let platform = [&image["Os"], &image["Architecture"], &image["Variant"]];
        of(platform, &image["Config"], &image["RootFS"]["Layers"])
    };
    together(images.iter().map(one).collect())
}

fn together(fingerprints: Option<Vec<String>>) -> Option<String> {
    let mut fingerprints = fingerprints.filter(|found| !found.is_empty())?;
    // An index may list its images in any order.
    fingerprints.sort();
    Some(hex::sha256(fingerprints.join("\n")))
}

fn of(platform: [&Value; 3], config: &Value, layers: &Value) -> Option<String> {
    let layers = layers.as_array().filter(|layers| layers.iter().all(Value::is_string))?;
    let fields: Map<String, Value> = FIELDS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), plain(name, config.get(name)?)?)))
        .collect();
    let platform = platform.map(|part| part.as_str().unwrap_or_default());
    Some(hex::sha256(json!([platform, fields, layers]).to_string()))
}

/// A value without what stands for nothing, its keys in order; `None` where nothing is left.
fn plain(name: &str, value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if KEYS.contains(&name) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            (!keys.is_empty()).then(|| json!(keys))
        }
        Value::Array(items) if KEYS.contains(&name) => {
            let mut keys: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            keys.sort_unstable();
            (!keys.is_empty()).then(|| json!(keys))
        }
        Value::Object(map) => {
            let mut fields: Vec<(&String, Value)> =
                map.iter().filter_map(|(key, value)| Some((key, plain(key, value)?))).collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Map<String, Value> =
                fields.into_iter().map(|(key, value)| (key.clone(), value)).collect();
            (!fields.is_empty()).then(|| fields.into())
        }
        Value::Null | Value::Bool(false) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl Fn(&mut Value)) -> Value {
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "history": [{"created_by": "RUN make"}], "moby.buildkit.cache.v0": "abc",
            "config": {"Env": ["PATH=/bin", "A=b"], "Cmd": ["sh"], "Labels": {"b": "2", "a": "1"}, "Image": "sha256:00",
                "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:01", "sha256:02"]},
        });
        change(&mut config);
        config
    }

    #[test]
    fn history_and_times_do_not_count_and_all_else_does() {
        let of = |change: &dyn Fn(&mut Value)| of_configs(&[config(change)]).unwrap();
        let first = of(&|_| ());
        let same: [&dyn Fn(&mut Value); 6] = [
            &|config| config["created"] = "2027-01-01T00:00:00Z".into(),
            &|config| config["history"] = json!([]),
            &|config| config["config"]["Image"] = "sha256:11".into(),
            &|config| config["config"]["Labels"] = json!({"a": "1", "b": "2"}),
            &|config| config["config"]["User"] = "".into(),
            &|config| config["container_config"] = json!({"Cmd": ["x"]}),
        ];
        for change in same {
            assert_eq!(of(change), first, "{}", config(change));
        }
        let other: [&dyn Fn(&mut Value); 7] = [
            &|config| config["architecture"] = "arm64".into(),
            &|config| config["variant"] = "v8".into(),
            &|config| config["config"]["Env"] = json!(["A=b", "PATH=/bin"]),
            &|config| config["config"]["Cmd"] = json!(["sh", ""]),
            &|config| config["config"]["Labels"]["a"] = "3".into(),
            &|config| config["config"]["Healthcheck"]["Interval"] = 6.into(),
            &|config| config["rootfs"]["diff_ids"][1] = "sha256:03".into(),
        ];
        for change in other {
            assert_ne!(of(change), first, "{}", config(change));
        }
    }

    #[test]
    fn an_engine_and_a_registry_mean_the_same_image() {
        let inspected = json!({
            "Id": "sha256:77", "Os": "linux", "Architecture": "amd64", "Created": "x", "Parent": "sha256:66",
            "Config": {"Hostname": "", "Tty": false, "Env": ["PATH=/bin", "A=b"], "Cmd": ["sh"], "Entrypoint": null,
                "Labels": {"a": "1", "b": "2"}, "ExposedPorts": ["443/tcp", "80/tcp"], "OnBuild": null,
                "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5, "Retries": 0}},
            "RootFS": {"Type": "layers", "Layers": ["sha256:01", "sha256:02"]},
        });
        assert_eq!(of_inspected(&[inspected]), of_configs(&[config(|_| ())]));
    }

    #[test]
    fn images_of_an_index_are_known_in_any_order_and_what_is_none_is_not() {
        let arm = config(|config| config["architecture"] = "arm64".into());
        let both = of_configs(&[config(|_| ()), arm.clone()]).unwrap();
        assert_eq!(of_configs(&[arm.clone(), config(|_| ())]).unwrap(), both);
        assert_ne!(of_configs(&[arm]).unwrap(), both);
        assert_eq!(of_configs(&[]), None);
        assert_eq!(of_configs(&[json!({"config": {}})]), None, "nothing says which layers it has");
    }
}
