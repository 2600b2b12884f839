//! What `windlass.yaml` says, as types: the words are those of the contract, section 4.
//!
//! Reading them, with the place of every mistake, is done in `read`; the JSON Schema is made from these types, so
//! that an editor knows what the program knows.

pub(crate) mod environment;
pub(crate) mod health;
pub(crate) mod ignored;
pub(crate) mod names;
pub(crate) mod quantity;
pub(crate) mod read;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod table;
pub(crate) mod verify;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;

use crate::error::{Error, Place};
use crate::project::config::health::HealthRules;
use crate::project::config::ignored::Ignored;
use crate::project::config::secrets::{External, SecretConfig, SecretSource};
use crate::project::config::verify::VerifyConfig;

/// The configuration of a project: the whole of `windlass.yaml`.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(deny_unknown_fields, title = "windlass.yaml", transform = schema::require_version)]
pub struct Config {
    /// The version of this format.
    #[schemars(schema_with = "schema::version")]
    pub version: u32,
    /// The project's name: a-z, 0-9 and `-`, 40 characters at most. Without it, `CI_PROJECT_PATH`, else the path of the `origin` remote.
    pub project: Option<String>,
    /// Where images are pushed to: `host/path`; an image is `<registry>/<image>`. May have `${NAME}`.
    pub registry: Option<String>,
    /// Speak plain HTTP to the registry.
    #[schemars(default)]
    pub insecure: bool,
    /// A file with the CA certificates of the registry.
    pub ca: Option<PathBuf>,
    /// The BuildKit daemon that builds and pushes; by default the Docker Engine does.
    #[schemars(default, schema_with = "schema::builder")]
    pub builder: Option<BuilderConfig>,
    /// The version of Kubernetes that `validate` checks the manifests against, as `"1.37"`; by default the newest that is known.
    pub kubernetes: Option<String>,
    /// Variables for the manifests of all tiers, as written: `${NAME}` in them is resolved per tier.
    #[schemars(default, schema_with = "schema::texts")]
    pub vars: BTreeMap<String, String>,
    /// The images that are built, by name. Without the key: `app`, where there is a Dockerfile.
    #[schemars(default)]
    pub images: BTreeMap<String, ImageConfig>,
    /// The tests, by name.
    #[schemars(default)]
    pub tests: BTreeMap<String, TestConfig>,
    /// Secrets whose values are stored elsewhere, by name; created in each tier.
    #[schemars(default, schema_with = "schema::secrets")]
    pub secrets: BTreeMap<String, SecretConfig>,
    /// Objects created elsewhere, such as `Secret/shop-tls`: checked before the first change. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::objects")]
    pub external: Vec<External>,
    /// How to tell the health of custom resources, in CEL in the form of Flux; the first of `paused`, `inProgress`,
    /// `failed`, `current` that is true decides.
    #[schemars(default, schema_with = "schema::health")]
    pub health: HealthRules,
    /// The tiers by name; `review/*` is a pattern for all tiers whose names begin with `review/`.
    #[schemars(default)]
    pub tiers: BTreeMap<String, TierConfig>,
    /// What the registry, the images and the tests want of the environment and did not find, by path.
    #[schemars(skip)]
    pub(crate) missing: Vec<(String, Error)>,
    /// What is valid and may not be meant, for `validate`.
    #[schemars(skip)]
    pub(crate) doubts: Vec<Error>,
    /// Where the values stand that are only understood later.
    #[schemars(skip)]
    pub(crate) places: Places,
}

/// A BuildKit daemon (`buildkitd`): the address or the name that `docker buildx` has for it, or a map with the files that its TLS
/// asks for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BuilderConfig {
    /// `tcp://buildkitd:1234`, `unix:///run/buildkit/buildkitd.sock`, or the name of a builder of `docker buildx`. May
    /// have `${NAME}`; empty means the Docker Engine.
    #[schemars(schema_with = "schema::text")]
    pub address: Option<String>,
    /// The CA certificates of the daemon, relative to the project's root; the connection uses TLS.
    pub ca: Option<PathBuf>,
    /// The client certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// One image; one for each combination of the values of its `matrix`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, transform = schema::with_matrix)]
pub struct ImageConfig {
    /// The directory that is sent to the build, relative to the project's root.
    #[schemars(default = "schema::here")]
    pub context: PathBuf,
    /// The Dockerfile, relative to the project's root; by default the one in the context.
    #[schemars(with = "Option<PathBuf>")]
    pub dockerfile: PathBuf,
    /// The stage of the Dockerfile that is the image; by default the last.
    pub target: Option<String>,
    /// The build arguments. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::texts")]
    pub args: BTreeMap<String, String>,
    /// Images that must be built first, by the build argument that gets their `repository@sha256:…`; for a list of names the
    /// arguments are `WINDLASS_IMAGE_<NAME>`.
    #[schemars(default, schema_with = "schema::names_or_map")]
    pub needs: BTreeMap<String, String>,
    /// Build secrets for `RUN --mount=type=secret,id=…`, by id; the image does not keep them. The id is part of the
    /// content tag, the value is not.
    #[schemars(default, schema_with = "schema::sources")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Whether `RUN --mount=type=ssh` may use the SSH agent of `SSH_AUTH_SOCK`.
    #[schemars(default)]
    pub ssh: bool,
    /// The platforms to build for, such as `linux/arm64`; with several, the image is an index. By default the builder's own.
    #[schemars(default)]
    pub platforms: Vec<String>,
    /// Whether builds reuse layers that the branch or the default branch left in the registry: `true`, `false`, or `{mode:
    /// max}`, which also saves the layers of intermediate stages.
    #[schemars(default = "schema::yes", schema_with = "schema::cache")]
    pub cache: CacheMode,
    /// More tags for the image: `["${WINDLASS_TAG}", stable]`. A tag whose variables have no value is skipped.
    #[schemars(default)]
    pub tags: Vec<String>,
    /// Labels of the image, such as `org.opencontainers.image.title`. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::texts")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the image's manifest; only a BuildKit daemon supports them. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::texts")]
    pub annotations: BTreeMap<String, String>,
    /// Directories, images (`docker-image://…`) and repositories that `FROM` and `COPY --from` can use by these names. Only a
    /// BuildKit daemon supports them.
    #[schemars(default, schema_with = "schema::texts")]
    pub contexts: BTreeMap<String, String>,
    /// Host names and their addresses for `RUN`.
    #[schemars(default, schema_with = "schema::texts")]
    pub extra_hosts: BTreeMap<String, String>,
    /// The network of `RUN`: `default`, `none` or `host`; with the classic builder also a network of the Engine.
    pub network: Option<String>,
    /// The size of `/dev/shm` in `RUN`, in bytes, written as `64Mi`.
    #[schemars(default, schema_with = "schema::quantity")]
    pub shm_size: Option<u64>,
    /// Limits of the processes of `RUN`, as `{nofile: 65536}` or `{nofile: {soft: 1024, hard: 65536}}`.
    #[schemars(default, schema_with = "schema::ulimits")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Privileges to request from a BuildKit daemon: `network.host`, `security.insecure`.
    #[schemars(default)]
    pub entitlements: Vec<String>,
    /// How long a build may take (1h).
    #[schemars(default = "schema::one_hour", schema_with = "schema::duration")]
    pub timeout: Duration,
}

impl Config {
    /// The Secrets of all tiers, and those of single ones.
    pub fn all_secrets(&self) -> impl Iterator<Item = (&String, &SecretConfig)> {
        self.secrets.iter().chain(self.tiers.values().flat_map(|tier| &tier.secrets))
    }
}

impl Default for ImageConfig {
    /// What `{}` means: the Dockerfile of the project's root.
    fn default() -> Self {
        Self {
            context: PathBuf::from("."),
            dockerfile: PathBuf::from("Dockerfile"),
            target: None,
            args: BTreeMap::new(),
            needs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ssh: false,
            platforms: Vec::new(),
            cache: CacheMode::Inline,
            tags: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            contexts: BTreeMap::new(),
            extra_hosts: BTreeMap::new(),
            network: None,
            shm_size: None,
            ulimits: BTreeMap::new(),
            entitlements: Vec::new(),
            timeout: ONE_HOUR,
        }
    }
}

/// How long a build may take where nothing is said.
pub(crate) const ONE_HOUR: Duration = Duration::from_secs(3600);

/// What a build takes over from earlier ones by the registry, and leaves for later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Nothing.
    Off,
    /// The layers of the image itself.
    Inline,
    /// Those of the intermediate stages, too, where the builder can.
    Max,
}

/// A limit of the processes of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// What holds at first; `-1` means no limit.
    pub soft: i64,
    /// What a process may raise it to.
    pub hard: i64,
}

/// One test: a command inside a built image.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TestConfig {
    /// The image, by its name in `images`.
    pub image: String,
    /// The command, one item per word; it does not run in a shell.
    pub run: Vec<String>,
    /// Where it runs: in the Docker Engine (`engine`), or as a Job on the tier's cluster (`cluster`).
    #[schemars(default)]
    pub on: On,
    /// Containers beside the test, by the host name that the test uses for them.
    #[schemars(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// The test's environment variables.
    #[schemars(default, schema_with = "schema::texts")]
    pub env: BTreeMap<String, String>,
    /// Files to copy out, by kind (`junit`, `coverage` …): globs of absolute paths in the container.
    #[schemars(default)]
    pub reports: BTreeMap<String, Vec<String>>,
    /// How long the test may take (10m).
    #[schemars(default = "schema::ten_minutes", schema_with = "schema::duration")]
    pub timeout: Duration,
    /// Tests that must have passed before this one begins.
    #[schemars(default)]
    pub needs: Vec<String>,
    /// The test runs once for every combination of these values, each given to it as an environment variable.
    #[schemars(default, schema_with = "schema::matrix")]
    pub matrix: BTreeMap<String, Vec<String>>,
    /// Splits the test into this many parts; `CI_NODE_INDEX` (from 1) and `CI_NODE_TOTAL` tell each part which one it is.
    #[schemars(default = "schema::one", range(min = 1, max = 200))]
    pub parallel: u32,
    /// How often to retry a test that could not be run: a service is not ready, the Engine cannot be reached. A failed test is
    /// never retried.
    #[schemars(default, range(max = 5))]
    pub retry: u32,
    /// The memory limit in bytes, written `512Mi`.
    #[schemars(default, schema_with = "schema::quantity")]
    pub memory: Option<u64>,
    /// The CPU limit in thousandths, written `0.5` or `500m`.
    #[schemars(default, schema_with = "schema::quantity")]
    pub cpus: Option<u32>,
}

/// Where a test runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum On {
    /// In a Docker Engine.
    #[default]
    Engine,
    /// As a Job on the cluster of a tier.
    Cluster,
}

/// A container beside a test.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServiceConfig {
    /// The image. May have `${NAME}`.
    pub image: String,
    /// Its environment variables.
    #[schemars(default, schema_with = "schema::texts")]
    pub env: BTreeMap<String, String>,
    /// When the test may begin; by default as soon as the service runs.
    pub ready: Option<Ready>,
}

/// When a service is ready: when everything named here holds.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ready {
    /// A command inside the service that exits with 0.
    #[schemars(default)]
    pub command: Vec<String>,
    /// A port that accepts connections.
    #[schemars(range(min = 1))]
    pub tcp: Option<u16>,
    /// An address that responds with 2xx: `http://:8080/health`, or `:8080/health`.
    pub http: Option<String>,
    /// A regular expression that matches a line of its log.
    pub log: Option<String>,
    /// How long to wait for it (1m).
    #[schemars(default = "schema::one_minute", schema_with = "schema::duration")]
    pub timeout: Duration,
}

/// One tier: a cluster, a namespace, variables and rules.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TierConfig {
    /// Contexts of the kubeconfig; the first that it has is used.
    #[schemars(rename = "context", schema_with = "schema::one_or_several")]
    pub contexts: Vec<String>,
    /// The uid of the cluster's `kube-system` namespace: any other cluster is refused.
    pub cluster: Option<String>,
    /// The namespace. May have `${WINDLASS_SLUG}` and other variables.
    pub namespace: String,
    /// Variables for the manifests of this tier, as written.
    #[schemars(default, schema_with = "schema::texts")]
    pub vars: BTreeMap<String, String>,
    /// Values files for the chart in `.kube`, relative to the root; later files win. May have
    /// `${NAME}`.
    #[schemars(default, schema_with = "schema::one_or_several")]
    pub values: Vec<String>,
    /// Whether a release needs a passed record of every test; by default it does where the project has tests.
    pub tested: Option<Tested>,
    /// What happens when a rollout fails.
    #[schemars(default, with = "Rollback")]
    pub rollback: Rollback,
    /// What happens when a release is cancelled.
    #[schemars(default, with = "OnCancel")]
    pub on_cancel: OnCancel,
    /// The tier on which the same images and manifests must have been good before.
    pub after: Option<String>,
    /// The branches that may be released here; `release/*` matches all that begin with `release/`. By default all.
    #[schemars(default)]
    pub branches: Vec<String>,
    /// The Git tags that may be released here; `v*` matches all that begin with `v`. With `branches`, either is enough.
    #[schemars(default)]
    pub tags: Vec<String>,
    /// Whether a release must be confirmed, by an answer or by --yes.
    #[schemars(default)]
    pub confirm: bool,
    /// Whether uncommitted changes and unprotected branches are refused.
    #[schemars(default)]
    pub protected: bool,
    /// How long a rollout may take (10m).
    #[schemars(default = "schema::ten_minutes", schema_with = "schema::duration")]
    pub timeout: Duration,
    /// What must hold after the rollout before the release is good.
    pub verify: Option<VerifyConfig>,
    /// Like `health` at the top level, for this tier; a rule here takes precedence over one for the same kind there.
    #[schemars(default, schema_with = "schema::health")]
    pub health: HealthRules,
    /// Objects that others create in every namespace, such as `Secret/builder-*`: `remove` may delete them with a namespace
    /// that windlass created.
    #[schemars(default, schema_with = "schema::objects")]
    pub ignore: Vec<Ignored>,
    /// Secrets of this tier only, by name; they replace secrets of all tiers with the same name.
    #[schemars(default, schema_with = "schema::secrets")]
    pub secrets: BTreeMap<String, SecretConfig>,
    /// Objects created elsewhere on this tier, in addition to those of all tiers.
    #[schemars(default, schema_with = "schema::objects")]
    pub external: Vec<External>,
}

/// Whether a release to a tier needs passed tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Tested {
    /// Each test that the commit declares must have passed for these digests.
    Required,
    /// Releases are not held back.
    Optional,
}

/// What happens when a rollout fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Rollback {
    /// The command that rolls back is printed.
    #[default]
    Manual,
    /// The last good release is brought back.
    Auto,
}

/// What happens when a release is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum OnCancel {
    /// What was applied stays.
    #[default]
    Keep,
    /// The objects of the release before are applied again, as far as the time allows, and not watched.
    Rollback,
}

/// Where values stand in the file, by the keys that lead to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(BTreeMap<Vec<String>, Place>, BTreeSet<Vec<String>>);

impl Places {
    /// Remembers a place.
    pub(crate) fn note(&mut self, keys: &[&str], place: Place) {
        self.0.insert(keys.iter().map(|&key| key.to_owned()).collect(), place);
    }

    /// Remembers that a value stands in quotes.
    pub(crate) fn note_text(&mut self, keys: &[&str]) {
        self.1.insert(keys.iter().map(|&key| key.to_owned()).collect());
    }

    /// Whether a value stands in quotes.
    pub(crate) fn is_text(&self, keys: &[&str]) -> bool {
        self.1.contains(&keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>())
    }

    /// The place of a value, if it stands in the file.
    pub(crate) fn of(&self, keys: &[&str]) -> Option<&Place> {
        self.0.get(&keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>())
    }
}

impl Config {
    /// Whether there are tests to run before a release.
    pub fn has_tests(&self) -> bool {
        self.tests.keys().any(|test| !self.is_verifying(test))
    }

    /// Whether a test is there to verify tiers: it has nothing to run against anywhere else.
    pub fn is_verifying(&self, test: &str) -> bool {
        let verifies =
            |tier: &TierConfig| tier.verify.as_ref().is_some_and(|one| one.test.as_deref() == Some(test));
        self.tiers.values().any(verifies)
    }

    /// Whether a release to a tier needs passed tests, if the tier does not say it.
    pub(crate) fn tested_by_default(&self) -> Tested {
        if self.has_tests() { Tested::Required } else { Tested::Optional }
    }
}
