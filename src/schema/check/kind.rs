//! Whether Kubernetes has the kind that an object names, in the version of its API that it names.

use serde_json::Value;

use crate::model::group;
use crate::model::kinds::is_of_kubernetes;
use crate::model::object::{api_version, kind};
use crate::schema::finding::{Finding, Severity};
use crate::schema::format::Format;
use crate::schema::version::{Lifecycle, Schemas};
use crate::text::nearest;

impl Schemas {
    pub(super) fn check_kind(&self, object: &Value) -> Vec<Finding> {
        let (api_version, kind) = (api_version(object), kind(object));
        for (name, text) in [("apiVersion", api_version), ("kind", kind)] {
            if text.is_empty() {
                return vec![Finding::error("", format!("`{name}` is missing")).at_key()];
            }
        }
        if !is_api_version(api_version) {
            let finding = Finding::error("/apiVersion", format!("`{api_version}` is not an `apiVersion`"));
            return vec![finding.with_hint("write `v1`, or a group and a version: `apps/v1`")];
        }
        let lifecycle = self.lifecycle(api_version, kind);
        let found = match (self.kind(api_version, kind), lifecycle) {
            (Some(_), Some(lifecycle)) => self.deprecated(api_version, kind, &lifecycle),
            (Some(_), None) => None,
            (None, Some(lifecycle)) => Some(self.removed(api_version, kind, &lifecycle)),
            (None, None) => self.unknown(api_version, kind),
        };
        found.into_iter().collect()
    }

    fn deprecated(&self, api_version: &str, kind: &str, lifecycle: &Lifecycle) -> Option<Finding> {
        let since = minor(lifecycle.deprecated).filter(|minor| *minor <= self.minor())?;
        let end = lifecycle.removed.map(|version| format!(" and removed in {version}"));
        let message = format!(
            "`{kind}` of `{api_version}` is deprecated since Kubernetes 1.{since}{}",
            end.unwrap_or_default()
        );
        Some(Finding::warning("/apiVersion", message).with_hint_if(replacement(kind, lifecycle)))
    }

    fn removed(&self, api_version: &str, kind: &str, lifecycle: &Lifecycle) -> Finding {
        let removed = lifecycle.removed.and_then(minor).filter(|minor| *minor <= self.minor());
        let message = match removed {
            Some(removed) => {
                format!("`{kind}` of `{api_version}` was removed in Kubernetes 1.{removed}")
            }
            None => format!("Kubernetes {} has no `{kind}` of `{api_version}`", self.version()),
        };
        let severity = if removed.is_some() { Severity::Error } else { self.severity_of_unknown() };
        let hint = replacement(kind, lifecycle).or_else(|| self.other_version(api_version, kind));
        Finding { severity, ..Finding::error("/apiVersion", message).with_hint_if(hint) }
    }

    /// A kind that never was, in a group of Kubernetes; those of other groups are custom resources.
    fn unknown(&self, api_version: &str, kind: &str) -> Option<Finding> {
        if !is_of_kubernetes(group(api_version)) {
            return self.misspelled(api_version, kind);
        }
        let message = format!("Kubernetes {} has no `{kind}` of `{api_version}`", self.version());
        let finding = |pointer: &str, hint: Option<String>| {
            let severity = self.severity_of_unknown();
            Some(Finding { severity, ..Finding::error(pointer, message.clone()).with_hint_if(hint) })
        };
        if let Some(hint) = self.other_version(api_version, kind) {
            return finding("/apiVersion", Some(hint));
        }
        let here = self.kinds().filter(|(version, _)| *version == api_version).map(|(_, kind)| kind);
        // In alphabetical order, so that of two that are as near the same one is proposed each time.
        let mut near: Vec<&str> = here.collect();
        near.sort_unstable();
        let near = nearest(kind, near.into_iter()).map(|near| format!("did you mean `{near}`?"));
        finding("/kind", near)
    }

    /// A group that is nearly one of Kubernetes, with a kind that Kubernetes has in that one. The group of a definition has a dot,
    /// and those of `k8s.io` are not for everyone.
    fn misspelled(&self, api_version: &str, kind: &str) -> Option<Finding> {
        let (wrong, version) = api_version.split_once('/')?;
        let versions = self.kinds().filter(|(_, known)| *known == kind).map(|(known, _)| known);
        let mut groups: Vec<&str> = versions.map(group).filter(|group| !group.is_empty()).collect();
        groups.sort_unstable();
        let message = format!("there is no `{kind}` in the API group `{wrong}`");
        let finding = Finding::error("/apiVersion", message);
        if !wrong.contains('.') {
            let hint =
                nearest(wrong, groups.into_iter()).map(|right| format!("did you mean `{right}/{version}`?"));
            let other = self.other_version(api_version, kind)?;
            return Some(finding.with_hint(hint.unwrap_or(other)));
        }
        let right = nearest(wrong, groups.into_iter()).filter(|_| wrong.ends_with(".k8s.io"))?;
        Some(finding.with_hint(format!("did you mean `{right}/{version}`?")))
    }

    /// In which other `apiVersion` this version of Kubernetes has a kind: of the same group first, a stable one first.
    fn other_version(&self, api_version: &str, kind: &str) -> Option<String> {
        let versions = self.kinds().filter(|(version, name)| *name == kind && *version != api_version);
        let best = versions.map(|(version, _)| version).min_by_key(|version| {
            let is_unstable = version.contains("alpha") || version.contains("beta");
            (group(version) != group(api_version), is_unstable, *version)
        })?;
        Some(format!("write `apiVersion: {best}`"))
    }

    /// How bad something is that this version does not know: what it is not the very version of may have it.
    pub(super) fn severity_of_unknown(&self) -> Severity {
        if self.is_exact() { Severity::Error } else { Severity::Warning }
    }
}

/// `v1`, or a group and a version, as definitions may have them. Source: `ValidateCustomResourceDefinition`, `ValidateAPIService`.
fn is_api_version(text: &str) -> bool {
    let (group, version) =
        text.split_once('/').map_or((None, text), |(group, version)| (Some(group), version));
    Format::Label1035.check(version).is_ok()
        && group.is_none_or(|group| Format::Subdomain.check(group).is_ok())
}

fn replacement(kind: &str, lifecycle: &Lifecycle) -> Option<String> {
    let (api_version, new_kind) = lifecycle.replacement?.rsplit_once('/')?;
    if new_kind == kind {
        return Some(format!("write `apiVersion: {api_version}`; its fields may differ"));
    }
    Some(format!("use `{new_kind}` of `{api_version}`"))
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}
