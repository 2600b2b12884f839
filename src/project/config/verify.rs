//! `verify:` of a tier: what must hold after a rollout before the release is called good.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;

use crate::error::{Error, Kind, Place, Result};
use crate::project::config::schema;
use crate::project::config::table::{Keys, Table, list, text};
use crate::project::config::yaml::{ConfigNode, Value};

/// What is checked after a rollout.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, transform = schema::require_any)]
pub struct VerifyConfig {
    /// Addresses that must respond with 2xx. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::one_or_several")]
    pub http: Vec<String>,
    /// Headers of these requests, such as `Host`. May have `${NAME}`.
    #[schemars(default, schema_with = "schema::texts")]
    pub headers: BTreeMap<String, String>,
    /// How long they must keep responding: one request per second, of which no three in a row may fail
    /// (5s: the first responses may still come from the previous release).
    #[schemars(rename = "for", default = "schema::five_seconds", schema_with = "schema::duration")]
    pub hold: Duration,
    /// How long to wait for the first good response (30s).
    #[schemars(default = "schema::half_a_minute", schema_with = "schema::duration")]
    pub within: Duration,
    /// A test that is run against the tier: it has the tier's variables, `WINDLASS_TIER` and `WINDLASS_URL`. It does not run
    /// anywhere else unless it is named.
    pub test: Option<String>,
    /// How long to keep watching the objects: none may fail, and at the end all must be ready.
    #[schemars(default, schema_with = "schema::duration")]
    pub soak: Option<Duration>,
    /// Where it stands.
    #[schemars(skip)]
    pub(in crate::project) place: Option<Place>,
}

pub(super) const VERIFY: Keys =
    Keys { known: &["http", "headers", "for", "within", "test", "soak"], unbuilt: &[] };
/// How long it must go on answering where nothing is said.
const FIVE_SECONDS: Duration = Duration::from_secs(5);
/// How long the first good answer may take where nothing is said.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Reads `tiers.<name>.verify`.
pub(super) fn verify(path: &str, node: ConfigNode) -> Result<VerifyConfig> {
    let place = node.place.clone();
    let mut table = Table::open(path, node, &VERIFY)?;
    let http = table.take("http");
    let of_http = |table: &Table| ["headers", "for", "within"].into_iter().find(|key| table.has(key));
    if let Some(key) = of_http(&table).filter(|_| http.is_none()) {
        return Err(Error::new(Kind::Invalid, format!("`{path}.{key}` needs `http`"))
            .at(place)
            .with_hint("add an address: `http: \"https://${HOST}/health\"`"));
    }
    let http = match http {
        Some(ConfigNode { value: Value::Scalar(one), .. }) => vec![one],
        Some(node) => list(&table.path("http"), node)?,
        None => Vec::new(),
    };
    let test = match table.take("test") {
        Some(node) => Some(text(&table.path("test"), &node)?),
        None => None,
    };
    let soak = table.has("soak").then(|| table.duration("soak", Duration::ZERO)).transpose()?;
    if http.is_empty() && test.is_none() && soak.is_none() {
        return Err(Error::new(Kind::Invalid, format!("`{path}` checks nothing"))
            .at(place)
            .with_hint("add `http`, `test` or `soak`"));
    }
    Ok(VerifyConfig {
        http,
        headers: table.texts("headers")?,
        hold: table.duration("for", FIVE_SECONDS)?,
        within: table.duration("within", HALF_A_MINUTE)?,
        test,
        soak,
        place: Some(place),
    })
}
