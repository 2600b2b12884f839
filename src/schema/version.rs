//! The schemas of one version of Kubernetes.

use super::table::{Field, LifecycleLine, Shape, TABLE, Table, Type, Versions};
use crate::text::Malformed;

/// The schemas of one version of Kubernetes.
#[derive(Debug, Clone, Copy)]
pub struct Schemas {
    pub(super) table: &'static Table,
    index: usize,
    /// The minor version: 37.
    minor: u32,
    is_exact: bool,
}

/// A kind, in the version that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `deployments`.
    pub plural: &'static str,
    /// Its objects live in namespaces.
    pub namespaced: bool,
    /// Its status is a subresource: whoever applies an object cannot set it.
    pub has_status: bool,
    pub(super) type_name: &'static str,
}

/// When a kind is deprecated and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// `1.14`.
    pub deprecated: &'static str,
    /// `1.22`, the first version that does not have it; `None` where that is not decided.
    pub removed: Option<&'static str>,
    /// `networking.k8s.io/v1/Ingress`; `None` where nothing replaces it.
    pub replacement: Option<&'static str>,
}

impl Schemas {
    /// Those of the newest version that is known.
    pub fn newest() -> Self {
        Self::at(TABLE.versions.len().saturating_sub(1), true)
    }

    /// Those of a version that is newer than every one that is known: what they do not know may exist.
    pub fn newer() -> Self {
        Self { is_exact: false, ..Self::newest() }
    }

    /// Those of every version that is known, the newest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..TABLE.versions.len()).rev().map(|index| Self::at(index, true))
    }

    /// Those of a version: `1.31`, `v1.31.4`, `v1.31.4-gke.1372000`. Where it is not known, those of the nearest one, and
    /// [`Self::is_exact`] is false.
    ///
    /// # Errors
    /// For what is not the version of a Kubernetes.
    pub fn of(version: &str) -> Result<Self, Malformed> {
        let minor = minor_of(version).ok_or_else(|| {
            Malformed::new(format!("`{version}` is not a version of Kubernetes")).with_hint("write `1.37`")
        })?;
        let known = TABLE.versions.iter().map(|one| minor_of(one).unwrap_or_default());
        let nearest = known.enumerate().min_by_key(|(_, one)| one.abs_diff(minor));
        let (index, found) = nearest.unwrap_or_default();
        Ok(Self::at(index, found == minor))
    }

    /// Those of the version at this place of the table.
    fn at(index: usize, is_exact: bool) -> Self {
        let version = TABLE.versions.get(index).copied().unwrap_or_default();
        Self { table: &TABLE, index, minor: minor_of(version).unwrap_or_default(), is_exact }
    }

    /// `1.37`.
    pub fn version(&self) -> &'static str {
        let full = self.table.versions.get(self.index).copied().unwrap_or_default();
        full.rsplit_once('.').map_or(full, |(minor, _)| minor)
    }

    /// Whether these are the schemas of the version that was asked for. If not, what they do not know may exist.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The minor version: 37.
    pub(super) fn minor(&self) -> u32 {
        self.minor
    }

    fn bit(&self) -> Versions {
        1 << self.index
    }

    /// A kind; `None` where this version does not have it.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let lines = self.table.kinds.get(&(api_version, kind))?;
        let line = lines.iter().find(|line| line.versions & self.bit() != 0)?;
        let (plural, namespaced, has_status) = (line.plural, line.namespaced, line.has_status);
        Some(Kind { plural, namespaced, has_status, type_name: line.type_name })
    }

    /// The kinds that this version has, as `(apiVersion, kind)`.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let bit = self.bit();
        let here =
            self.table.kinds.iter().filter(move |(_, lines)| lines.iter().any(|one| one.versions & bit != 0));
        here.map(|(name, _)| *name)
    }

    /// When a kind is deprecated and removed; `None` where it is not. Kinds that were removed before the oldest version of the
    /// table are known, too.
    pub fn lifecycle(&self, api_version: &str, kind: &str) -> Option<Lifecycle> {
        let LifecycleLine { deprecated, removed, replacement } =
            self.table.lifecycles.get(&(api_version, kind))?;
        let known = |text: &&&str| **text != "-";
        Some(Lifecycle {
            deprecated,
            removed: Some(removed).filter(known).copied(),
            replacement: Some(replacement).filter(known).copied(),
        })
    }

    /// The field at the end of a path of keys, `["spec", "ports"]`, through lists and maps: what the strategic merge of a tier's
    /// manifests asks for. `None` where the kind or the field is not known.
    pub fn field(&self, api_version: &str, kind: &str, path: &[&str]) -> Option<&'static Field> {
        let mut type_name = self.kind(api_version, kind)?.type_name;
        let (last, before) = path.split_last()?;
        for name in before {
            type_name = inner_type(&self.field_of(type_name, name)?.shape)?;
        }
        self.field_of(type_name, last)
    }

    /// The fields of what a path of keys leads to, those of a whole object where the path is empty.
    pub fn fields(&self, api_version: &str, kind: &str, path: &[&str]) -> Vec<&'static Field> {
        let of_path = || inner_type(&self.field(api_version, kind, path)?.shape);
        let of_kind = || Some(self.kind(api_version, kind)?.type_name);
        let type_name = if path.is_empty() { of_kind() } else { of_path() };
        type_name.map_or(Vec::new(), |type_name| self.fields_of(type_name).collect())
    }

    pub(super) fn type_of(&self, name: &str) -> Option<&'static Type> {
        self.table.types.get(name)
    }

    /// The fields that a type has in this version.
    pub(super) fn fields_of(&self, type_name: &str) -> impl Iterator<Item = &'static Field> {
        let bit = self.bit();
        let fields = self.type_of(type_name).map_or(&[][..], |one| &one.fields);
        fields.iter().filter(move |field| field.versions & bit != 0)
    }

    pub(super) fn field_of(&self, type_name: &str, name: &str) -> Option<&'static Field> {
        self.fields_of(type_name).find(|field| field.name == name)
    }
}

/// The type of a value, or of its items.
fn inner_type(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::Type(name) => Some(name),
        Shape::List(item) | Shape::Map(item) => inner_type(item),
        _ => None,
    }
}

/// 31 of `v1.31.4-gke.1`; `None` where that is not the version of a Kubernetes.
fn minor_of(version: &str) -> Option<u32> {
    let rest = version.trim().trim_start_matches('v').strip_prefix("1.")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    // Some providers write `1.27+`.
    if !after.is_empty() && !after.starts_with(['.', '+', '-']) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::ListKeys;

    #[test]
    fn every_version_is_found_and_a_missing_one_by_its_neighbour() {
        for minor in 27..=37 {
            let schemas = Schemas::of(&format!("1.{minor}")).expect("a version");
            assert_eq!((schemas.version(), schemas.is_exact()), (&*format!("1.{minor}"), true));
        }
        for (asked, found, exact) in [
            ("v1.31.4", "1.31", true),
            ("1.31.4-gke.1372000", "1.31", true),
            ("1.29+", "1.29", true),
            ("1.38", "1.37", false),
            ("1.20", "1.27", false),
        ] {
            let schemas = Schemas::of(asked).expect("a version");
            assert_eq!((schemas.version(), schemas.is_exact()), (found, exact), "{asked}");
        }
        for wrong in ["", "1", "2.1", "1.x", "latest", "1.31x", "1.99999999999"] {
            assert!(Schemas::of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Schemas::newest().version(), "1.37");
    }

    #[test]
    fn kinds_come_and_go() {
        let (old, new) = (Schemas::of("1.27").expect("known"), Schemas::newest());
        let has = |schemas: &Schemas, kind: &str| {
            schemas.kind("flowcontrol.apiserver.k8s.io/v1beta2", kind).is_some()
        };
        assert!(has(&old, "FlowSchema") && !has(&new, "FlowSchema"));
        let deployment = new.kind("apps/v1", "Deployment").expect("it is there");
        assert_eq!(deployment.plural, "deployments");
        assert!(deployment.namespaced && deployment.has_status);
        assert!(!new.kind("v1", "Namespace").expect("it is there").namespaced);
        assert!(new.kind("extensions/v1beta1", "Ingress").is_none());
        let gone = new.lifecycle("extensions/v1beta1", "Ingress").expect("it is known");
        assert_eq!((gone.removed, gone.replacement), (Some("1.22"), Some("networking.k8s.io/v1/Ingress")));
        assert_eq!(new.lifecycle("apps/v1", "Deployment"), None);
    }

    #[test]
    fn the_fields_of_a_place() {
        let schemas = Schemas::of("1.37").expect("known");
        let names = |path: &[&str]| -> Vec<&str> {
            schemas.fields("v1", "Service", path).iter().map(|field| field.name).collect()
        };
        assert_eq!(names(&[]), ["apiVersion", "kind", "metadata", "spec", "status"]);
        assert!(names(&["spec", "ports"]).contains(&"nodePort") && names(&["spec", "type"]).is_empty());
        assert!(names(&["spec", "prots"]).is_empty() && schemas.fields("v1", "Servce", &[]).is_empty());
    }

    #[test]
    fn fields_come_and_go() {
        let path = ["spec", "template", "spec", "containers", "restartPolicyRules"];
        let field =
            |version: &str| Schemas::of(version).expect("known").field("apps/v1", "Deployment", &path);
        assert!(field("1.27").is_none() && field("1.37").is_some());
    }

    /// What the overlays of tiers are merged by (case 17 and the selector of a `PodDisruptionBudget`).
    #[test]
    fn merge_keys_and_strategies_are_those_of_kubernetes() {
        let schemas = Schemas::newest();
        let ports = schemas.field("v1", "Service", &["spec", "ports"]).expect("it is there");
        assert_eq!(ports.keys, ListKeys::Map(vec!["port", "protocol"]));
        assert_eq!((ports.patch_strategy, ports.merge_key), ("merge", "port"));
        let selector = schemas.field("policy/v1", "PodDisruptionBudget", &["spec", "selector"]);
        assert_eq!(selector.expect("it is there").patch_strategy, "replace");
        let volumes = ["spec", "template", "spec", "volumes"];
        let volumes = schemas.field("apps/v1", "Deployment", &volumes).expect("it is there");
        assert_eq!(volumes.patch_strategy, "merge,retainKeys");
        assert!(schemas.field("apps/v1", "Deployment", &[]).is_none());
        assert!(schemas.field("apps/v1", "Deployment", &["spec", "replicas", "x"]).is_none());
    }
}
