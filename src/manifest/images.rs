//! From the name of an image of the project to the digest that was built, and where pods stand in an object.

use std::collections::BTreeMap;

use crate::error::{Error, Kind};
use crate::manifest::yaml::node::{Content, Entry, Node, Scalar};
use crate::model::{PinnedImage, Reference, group, kinds};
use crate::text::nearest::distance;

/// Where the specification of pods is, kind by kind: a Pod, the workloads, a `PodTemplate`, a `CronJob`.
pub(super) const POD_SPECS: [&[&str]; 4] = [
    &["spec"],
    &["spec", "template", "spec"],
    &["template", "spec"],
    &["spec", "jobTemplate", "spec", "template", "spec"],
];

/// The lists of containers in custom resources: those of pods, and those of workflows and pipelines.
const CONTAINER_LISTS: [&str; 5] =
    ["containers", "initContainers", "ephemeralContainers", "steps", "sidecars"];
/// The single containers of workflows.
const CONTAINERS: [&str; 2] = ["container", "script"];
/// The names of a field, and of fields beside one, that hold a part of a reference: with a digest in it the whole would be none.
const REPOSITORY: &str = "repository";
const BESIDE: [&str; 3] = ["tag", "newTag", "digest"];

/// The images of the project.
pub(super) struct Images<'a> {
    /// The names in `windlass.yaml`.
    pub(super) declared: &'a [String],
    /// What each is to be replaced by.
    pub(super) references: &'a BTreeMap<String, PinnedImage>,
    /// Where they are pushed to, as `host/path`.
    pub(super) registry: Option<&'a str>,
}

/// What a container asks for.
enum Asked<'a> {
    /// An image of the project.
    Own(&'a str),
    /// Probably an image of the project.
    Near(&'a str),
    /// An image of the project's name with a tag, which means one of Docker Hub.
    Tagged(&'a str),
    Other,
}

/// What is found on the way.
struct Notes<'a> {
    mistakes: &'a mut Vec<Error>,
    warnings: &'a mut Vec<Error>,
}

impl Images<'_> {
    /// Pins the project's images in all containers of an object; of a custom resource, of which nobody knows where it has images,
    /// everything that names the project's registry as well.
    pub(super) fn pin(&self, object: &mut Node, mistakes: &mut Vec<Error>, warnings: &mut Vec<Error>) {
        let mut found = Notes { mistakes, warnings };
        if !kinds::is_of_kubernetes(group(object.text_at(&["apiVersion"]).unwrap_or_default())) {
            self.pin_custom(object, &mut found);
            return;
        }
        for path in POD_SPECS {
            let Some(pod) = object.at_mut(path) else { continue };
            for list in ["initContainers", "containers"] {
                let containers = pod.get_mut(list).map(Node::items_mut).unwrap_or_default();
                for image in containers.iter_mut().filter_map(|container| container.get_mut("image")) {
                    self.pin_image(image, &mut found);
                }
            }
        }
    }

    /// Pins the images in a value of a custom resource that is no container.
    fn pin_custom(&self, node: &mut Node, found: &mut Notes<'_>) {
        match &mut node.content {
            Content::Map(entries) => {
                let is_divided = entries.iter().any(|entry| BESIDE.contains(&entry.key.as_str()));
                for entry in entries {
                    let is_part = is_divided || entry.key == REPOSITORY;
                    if !(is_part && entry.value.scalar().is_some()) {
                        self.pin_entry(entry, found);
                    }
                }
            }
            Content::List(items) => items.iter_mut().for_each(|item| self.pin_custom(item, found)),
            Content::Scalar(_) => {
                let is_pushed = |text: &str| {
                    let mut own = self.declared.iter().filter(|name| text.contains(&***name));
                    text.contains('/') && own.any(|name| self.is_pushed_as(name, text))
                };
                if node.text().is_some_and(is_pushed) {
                    self.pin_image(node, found);
                }
            }
        }
    }

    fn pin_entry(&self, Entry { key, value, .. }: &mut Entry, found: &mut Notes<'_>) {
        if CONTAINER_LISTS.contains(&key.as_str()) {
            self.pin_containers(value, found);
        } else if CONTAINERS.contains(&key.as_str()) {
            self.pin_container(value, found);
        } else {
            self.pin_custom(value, found);
        }
    }

    /// Pins the images of a list of containers, or of a list of such lists, as the steps of a workflow are.
    fn pin_containers(&self, node: &mut Node, found: &mut Notes<'_>) {
        match &mut node.content {
            Content::List(items) => items.iter_mut().for_each(|item| self.pin_containers(item, found)),
            Content::Map(_) | Content::Scalar(_) => self.pin_container(node, found),
        }
    }

    fn pin_container(&self, node: &mut Node, found: &mut Notes<'_>) {
        let Content::Map(entries) = &mut node.content else { return self.pin_custom(node, found) };
        for entry in entries {
            if entry.key == "image" && entry.value.scalar().is_some() {
                self.pin_image(&mut entry.value, found);
            } else {
                self.pin_entry(entry, found);
            }
        }
    }

    fn pin_image(&self, image: &mut Node, found: &mut Notes<'_>) {
        let Some(text) = image.text().map(str::to_owned) else { return };
        match self.ask(&text) {
            Asked::Own(name) => match self.references.get(name) {
                Some(reference) => {
                    let value = reference.to_string().into();
                    image.content = Content::Scalar(Scalar { value, plain: false });
                }
                None => found.mistakes.push(not_built(name).at(image.spot.place())),
            },
            Asked::Near(name) => found.mistakes.push(
                image.spot.mistake(format!("`{text}` is no image of windlass.yaml")).with_hint(format!(
                    "did you mean `{name}`? An image of Docker Hub is written `docker.io/library/{text}`"
                )),
            ),
            Asked::Tagged(name) => found.warnings.push(
                image
                    .spot
                    .mistake(format!("`{text}` is an image of Docker Hub"))
                    .with_hint(format!("the project's image is written `{name}`, without a tag")),
            ),
            Asked::Other => {}
        }
    }

    fn ask(&self, text: &str) -> Asked<'_> {
        if let Some(name) = self.declared.iter().find(|name| *name == text || self.is_pushed_as(name, text)) {
            return Asked::Own(name);
        }
        let near = |name: &&String| is_near(name, text);
        if let Some(name) = self.declared.iter().filter(|_| is_bare(text)).find(near) {
            return Asked::Near(name);
        }
        match self
            .declared
            .iter()
            .find(|name| text.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(':')))
        {
            Some(name) => Asked::Tagged(name),
            None => Asked::Other,
        }
    }

    /// `<registry>/<name>` with or without a tag. With a digest, it says itself which one is meant.
    fn is_pushed_as(&self, name: &str, text: &str) -> bool {
        let Some(registry) = self.registry else { return false };
        let parse = |text: &str| text.parse::<Reference>().ok();
        let (own, asked) = (parse(&format!("{registry}/{name}")), parse(text));
        matches!((own, asked), (Some(own), Some(asked)) if own.name() == asked.name() && asked.digest.is_none())
    }
}

fn not_built(name: &str) -> Error {
    Error::new(Kind::Rule, format!("the image `{name}` of this commit was not built"))
        .with_hint("run `windlass build`")
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', ':', '@'])
}

/// One letter off, or two where there are letters enough for that to be a slip.
fn is_near(name: &str, text: &str) -> bool {
    let longest = name.len().max(text.len());
    let most =
        if longest > 3 || (longest == 3 && name.chars().next() == text.chars().next()) { 2 } else { 1 };
    (1..=most).contains(&distance(name, text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::manifest::yaml::compose;
    use crate::manifest::yaml::source::Source;

    /// The image of the project that the manifests get.
    const PINNED: &str = "registry.test:5000/shop/web:1f@sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn pinned(text: &str) -> (Value, Vec<Error>, Vec<Error>) {
        let source = Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), rendered: false });
        let mut object = compose::documents(&source).expect("it is YAML").remove(0);
        let declared = ["web".to_owned(), "worker".to_owned()];
        let references = [("web".to_owned(), PINNED.parse().expect("it is pinned"))].into();
        let images = Images {
            declared: &declared,
            references: &references,
            registry: Some("registry.test:5000/shop"),
        };
        let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
        images.pin(&mut object, &mut mistakes, &mut warnings);
        (object.to_json(), mistakes, warnings)
    }

    fn image(name: &str) -> (String, Vec<Error>, Vec<Error>) {
        let (json, mistakes, warnings) = pinned(&format!("spec: {{containers: [{{image: \"{name}\"}}]}}\n"));
        (json["spec"]["containers"][0]["image"].as_str().expect("a string").to_owned(), mistakes, warnings)
    }

    #[test]
    fn the_projects_images_are_pinned_and_no_others() {
        for name in ["web", "registry.test:5000/shop/web", "registry.test:5000/shop/web:main"] {
            assert_eq!(image(name).0, PINNED, "{name}");
        }
        let digest = format!("registry.test:5000/shop/web@sha256:{}", "0".repeat(64));
        for name in [&digest, "nginx", "docker.io/library/web", "other.test/shop/web", "redis:7"] {
            let (image, mistakes, warnings) = image(name);
            assert_eq!((image.as_str(), mistakes.len(), warnings.len()), (name, 0, 0));
        }
        assert_eq!(image("web:1").2.len(), 1);
    }

    #[test]
    fn a_slip_of_the_pen_is_a_mistake() {
        for name in ["wbe", "webb", "eb", "wxyb", "workr", "workers"] {
            let (_, mistakes, _) = image(name);
            assert!(mistakes[0].hint().is_some_and(|hint| hint.starts_with("did you mean `w")), "{name}");
        }
        assert_eq!(image("wbe").1[0].to_string(), "a.yaml:1:29: `wbe` is no image of windlass.yaml");
        for name in ["db", "php", "wb:2"] {
            assert!(image(name).1.is_empty(), "{name}");
        }
    }

    #[test]
    fn an_image_that_was_never_built_is_said_so() {
        let (_, mistakes, _) = image("worker");
        assert_eq!(mistakes[0].kind(), Kind::Rule);
    }

    /// The images that a custom resource with this `spec` has then, the pinned one as `PINNED`.
    fn custom(spec: &str) -> (Value, Vec<Error>, Vec<Error>) {
        let (json, mistakes, warnings) = pinned(&format!("apiVersion: example.com/v1\nspec: {spec}\n"));
        let text = json["spec"].to_string().replace(PINNED, "PINNED");
        (text.parse().expect("it is JSON"), mistakes, warnings)
    }

    #[test]
    fn custom_resources_have_containers_anywhere() {
        for (spec, wanted) in [
            ("{jobTargetRef: {template: {spec: {containers: [{image: web}]}}}}", 1),
            (
                "{containers: [{image: web}], initContainers: [{image: web}], ephemeralContainers: [{image: web}]}",
                3,
            ),
            (
                "{templates: [{container: {image: web}}, {script: {image: web, source: web}}, {sidecars: [{image: web}]}]}",
                3,
            ),
            ("{templates: [{steps: [[{image: web}], [{image: web, template: web}]]}]}", 2),
            ("{taskSpec: {steps: [{image: web, script: web, env: [{value: web}]}]}}", 1),
            ("{template: {spec: {containers: [{image: \"registry.test:5000/shop/web:main\"}]}}}", 1),
            ("{image: web, agent: {image: web}, images: [web], container: web, steps: [web]}", 0),
            ("{image: \"registry.test:5000/shop/web\", agentImage: \"registry.test:5000/shop/web:v1\"}", 2),
            ("{args: [\"registry.test:5000/shop/web\", \"--of=registry.test:5000/shop/web\"]}", 1),
            ("{image: docker.io/library/web, containers: [{image: \"nginx:1\"}]}", 0),
        ] {
            let (json, mistakes, warnings) = custom(spec);
            assert_eq!(json.to_string().matches("PINNED").count(), wanted, "{spec}: {json}");
            assert!(mistakes.is_empty() && warnings.is_empty(), "{spec}");
        }
    }

    #[test]
    fn a_part_of_a_reference_is_left_as_it_is() {
        let own = "registry.test:5000/shop/web";
        for spec in [
            format!("{{values: {{image: {{repository: \"{own}\"}}}}}}"),
            format!("{{values: {{image: {{name: \"{own}\", tag: v1}}}}}}"),
            format!("{{images: [{{name: web, newName: \"{own}\", newTag: v1}}]}}"),
        ] {
            assert!(!custom(&spec).0.to_string().contains("PINNED"), "{spec}");
        }
        let inside = format!("{{repository: {{image: \"{own}\"}}, tag: {{image: \"{own}\"}}}}");
        assert_eq!(custom(&inside).0.to_string().matches("PINNED").count(), 2);
    }

    #[test]
    fn slips_in_containers_of_custom_resources_are_mistakes_and_elsewhere_not() {
        let (_, mistakes, _) = custom("{template: {spec: {containers: [{image: wbe}]}}, image: wbe}");
        let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["a.yaml:2:47: `wbe` is no image of windlass.yaml"]);
        let (_, _, warnings) = custom("{steps: [{image: \"web:1\"}], image: \"web:1\"}");
        assert_eq!(warnings.len(), 1);
        let own = "registry.test:5000/shop/worker";
        let (_, mistakes, _) = custom(&format!("{{containers: [{{image: \"{own}\"}}], image: \"{own}\"}}"));
        assert_eq!(mistakes.iter().filter(|one| one.kind() == Kind::Rule).count(), 2, "each is said once");
    }

    #[test]
    fn objects_of_kubernetes_have_containers_where_it_knows_them() {
        let (json, _, _) = pinned(
            "apiVersion: v1\nkind: ConfigMap\ndata: {image: \"registry.test:5000/shop/web\"}\nspec: {x: {containers: [{image: web}]}}\n",
        );
        assert!(!json.to_string().contains(PINNED), "{json}");
    }

    #[test]
    fn every_kind_of_workload_is_read() {
        let pod = "{initContainers: [{image: web}], containers: [{image: web}], ephemeralContainers: [{image: web}]}";
        for text in [
            format!("spec: {pod}"),
            format!("spec: {{template: {{spec: {pod}}}}}"),
            format!("template: {{spec: {pod}}}"),
            format!("spec: {{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
        ] {
            let (json, _, _) = pinned(&text);
            assert_eq!(json.to_string().matches(PINNED).count(), 2, "{text}");
        }
    }
}
