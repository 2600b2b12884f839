//! The text of a first `windlass.yaml`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::init::images::Image;
use crate::init::repository::Registry;
use crate::manifest::quoted;
use crate::model::PULL_SECRET;

/// What the commented line of a pull secret is for.
const PRIVATE: &str = "A private registry: nodes pull with this deploy token.";

/// What it says.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) project: String,
    pub(super) registry: Option<Registry>,
    pub(super) images: Vec<Image>,
    /// What `${NAME}` in the manifests means, as written.
    pub(super) vars: BTreeMap<String, String>,
    /// The keys of each Secret, with the variable of the environment that each comes from.
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) context: String,
    pub(super) tiers: Vec<TierEntry>,
    /// The branch that the last tier is released from.
    pub(super) branch: String,
}

/// A tier.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct TierEntry {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) vars: BTreeMap<String, String>,
    /// Files of values for a chart.
    pub(super) values: Vec<String>,
}

impl Configuration {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# What to build, test and release, and where. `windlass validate` checks it, `windlass \
             doctor` tries it.\n\
             version: 1\nproject: {}\n",
            quoted(&self.project)
        );
        text += &self.registry();
        text += &self.pull_secret();
        text += &self.images();
        if !self.vars.is_empty() {
            text += &format!("\nvars:\n{}", lines(&self.vars, 2));
        }
        if !self.secrets.is_empty() {
            text += "\n# Created in each tier; the values come from the environment and are stored nowhere else.\nsecrets:\n";
            if !self.images.is_empty() {
                text += &format!("  # {PRIVATE}\n  # {PULL_SECRET}\n");
            }
            for (name, keys) in &self.secrets {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(key, from)| format!("{}: {{env: {}}}", quoted(key), quoted(from)))
                    .collect();
                text += &format!("  {}: {{{}}}\n", quoted(name), keys.join(", "));
            }
        }
        text += "\ntiers:\n";
        let mut before: Option<&str> = None;
        for tier in &self.tiers {
            let is_last = tier.name == self.tiers[self.tiers.len() - 1].name;
            text += &self.tier(tier, before.filter(|_| is_last), is_last && self.tiers.len() > 1);
            before = Some(&tier.name);
        }
        text
    }

    fn registry(&self) -> String {
        match &self.registry {
            Some(Registry { address, is_of_gitlab: true }) => {
                format!("registry: ${{CI_REGISTRY_IMAGE:-{address}}}\n")
            }
            Some(Registry { address, .. }) => format!("registry: {}\n", quoted(address)),
            None if self.images.is_empty() => String::new(),
            None => "# Where images are pushed to; without it, GitLab jobs push to CI_REGISTRY_IMAGE.\n# registry: HOST/PATH\n".to_owned(),
        }
    }

    /// A line to uncomment; where there are Secrets, it is among them.
    fn pull_secret(&self) -> String {
        if self.images.is_empty() || !self.secrets.is_empty() {
            return String::new();
        }
        format!("# {PRIVATE}\n# secrets: {{{PULL_SECRET}}}\n")
    }

    fn images(&self) -> String {
        let Some(first) = self.images.first() else { return "\nimages: {}\n".to_owned() };
        let mut text = "\nimages:\n".to_owned();
        for image in &self.images {
            text += &format!("  {}: {{{}}}\n", quoted(&image.name), keys(image).join(", "));
        }
        text + &format!(
            "\n# A command that runs in the built image; releases require that it passed.\n\
             # tests:\n#   unit:\n#     image: {}\n#     run: [sh, -c, ./run-tests]\n#     reports: {{junit: [/tmp/reports/*.xml]}}\n",
            first.name
        )
    }

    fn tier(&self, tier: &TierEntry, after: Option<&str>, is_guarded: bool) -> String {
        let mut text = format!(
            "  {}:\n    context: {}\n    namespace: {}\n",
            quoted(&tier.name),
            quoted(&self.context),
            quoted(&tier.namespace)
        );
        if !tier.values.is_empty() {
            let files: Vec<String> = tier.values.iter().map(|file| quoted(file)).collect();
            text += &format!("    values: [{}]\n", files.join(", "));
        }
        if !tier.vars.is_empty() {
            text += &format!("    vars:\n{}", lines(&tier.vars, 6));
        }
        if let Some(before) = after.filter(|_| !self.images.is_empty()) {
            text += &format!(
                "    # The same images and manifests must have been good there before.\n    after: {}\n",
                quoted(before)
            );
        }
        if is_guarded {
            text += &format!("    branches: [{}]\n    rollback: auto\n", quoted(&self.branch));
            text += "    # How long to keep watching once everything is ready: a program may crash just after.\n    verify: {soak: 15s}\n";
        }
        text
    }
}

fn lines(values: &BTreeMap<String, String>, indent: usize) -> String {
    let line = |(name, value): (&String, &String)| format!("{:indent$}{name}: {}\n", "", quoted(value));
    values.iter().map(line).collect()
}

/// What differs from what every image has.
fn keys(image: &Image) -> Vec<String> {
    let path = |path: &Path| quoted(&path.display().to_string());
    let mut keys = vec![format!("context: {}", path(&image.context))];
    let usual =
        if image.context == Path::new(".") { "Dockerfile".into() } else { image.context.join("Dockerfile") };
    if image.dockerfile != usual {
        keys.push(format!("dockerfile: {}", path(&image.dockerfile)));
    }
    keys.extend(image.target.as_ref().map(|target| format!("target: {}", quoted(target))));
    if !image.args.is_empty() {
        let args: Vec<String> =
            image.args.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
        keys.push(format!("args: {{{}}}", args.join(", ")));
    }
    keys
}
