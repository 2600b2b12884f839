//! Which pods belong to the tier: those with an object of the tier as a direct or indirect owner.

use std::collections::HashMap;

use serde_json::Value;

use crate::cluster::{self, Cluster};
use crate::error::Result;
use crate::model::{labels, object};
use crate::record::Record;
use crate::tier::logs::pod::{LogPod, owner};

/// The longest chain of owners that is followed.
const FARTHEST: usize = 6;

/// The object of the tier that a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    title: String,
    pod: String,
    /// The tier's Services that select the pod.
    services: Vec<String>,
}

impl Member {
    pub(crate) fn new(kind: &str, name: &str) -> Self {
        Self { title: format!("{kind}/{name}"), pod: String::new(), services: Vec::new() }
    }

    /// `Deployment/web`.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// `web`.
    pub(crate) fn name(&self) -> &str {
        self.title.split_once('/').map_or("", |(_, name)| name)
    }

    /// Whether the user's argument means it: `Deployment/web`, `deploy/web`, `web`, the pod's name, `Service/web`.
    pub(crate) fn is(&self, words: Option<&str>) -> bool {
        let Some(words) = words else { return true };
        let (kind, name) = words.split_once('/').map_or((None, words), |(kind, name)| (Some(kind), name));
        let own = self.title.split_once('/').map_or("", |(kind, _)| kind);
        let is_kind = |own: &str| kind.is_none_or(|kind| is_word_for(kind, own));
        let of_service = || {
            kind.is_some_and(|kind| is_word_for(kind, "Service"))
                && self.services.iter().any(|one| one == name)
        };
        (is_kind(own) && name == self.name())
            || (is_kind("Pod") && !name.is_empty() && name == self.pod)
            || of_service()
    }
}

/// Whether kubectl would accept the word for this kind.
fn is_word_for(word: &str, kind: &str) -> bool {
    let (word, kind) = (word.to_lowercase(), kind.to_lowercase());
    let short = match kind.as_str() {
        "pod" => "po",
        "deployment" => "deploy",
        "statefulset" => "sts",
        "daemonset" => "ds",
        "replicaset" => "rs",
        "cronjob" => "cj",
        "service" => "svc",
        _ => "",
    };
    word == kind || word.strip_suffix('s') == Some(&kind) || (!short.is_empty() && word == short)
}

/// Finds the object that a pod belongs to, with one request per owner.
pub(crate) struct Members {
    cluster: Cluster,
    project: String,
    tier: String,
    /// Kind, name and selector of the objects that the last release applied, for users who may not read the owners.
    selectors: Vec<(Member, String, Value)>,
    /// The same for Services.
    services: Vec<(Member, String, Value)>,
    known: HashMap<String, Option<Member>>,
}

impl Members {
    pub(crate) fn new(cluster: &Cluster, project: &str, tier_slug: &str, last: &Record) -> Self {
        Self {
            cluster: cluster.clone(),
            project: project.to_owned(),
            tier: tier_slug.to_owned(),
            selectors: selectors(last, "/spec/selector/matchLabels", |kind| kind != "Service"),
            services: selectors(last, "/spec/selector", |kind| kind == "Service"),
            known: HashMap::new(),
        }
    }

    /// The object of the tier that the pod belongs to.
    pub(crate) async fn of(&mut self, pod: &LogPod) -> Result<Option<Member>> {
        let own = pod.name.to_string();
        let found = match &pod.owner {
            None => self.is_ours(|key| pod.label(key)).then(|| Member::new("Pod", &own)),
            Some((uid, _)) if self.known.contains_key(uid) => self.known[uid].clone(),
            Some((uid, _)) => {
                let found = match self.root(pod).await {
                    Err(error) if cluster::is_denied(&error) => self.selected(pod),
                    found => found?,
                };
                self.known.insert(uid.clone(), found.clone());
                found
            }
        };
        let services: Vec<String> = selecting(&self.services, pod).map(|one| one.name().to_owned()).collect();
        Ok(found.map(|member| Member { pod: own, services, ..member }))
    }

    /// The topmost owner that is an object of the tier.
    async fn root(&self, pod: &LogPod) -> Result<Option<Member>> {
        let mut found = self.is_ours(|key| pod.label(key)).then(|| Member::new("Pod", &pod.name));
        let mut next = pod.owner.clone();
        for _ in 0..FARTHEST {
            let Some((_, reference)) = next else { break };
            let Some(object) = self.cluster.get(&reference).await? else { break };
            if self.is_ours(|key| object::label(&object, key)) {
                found = Some(Member::new(&reference.kind, &reference.name));
            }
            next = owner(&object);
        }
        Ok(found)
    }

    fn is_ours<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        label(labels::PROJECT) == Some(&*self.project) && label(labels::TIER) == Some(&*self.tier)
    }

    /// The object of the last release whose selector matches the pod's labels.
    fn selected(&self, pod: &LogPod) -> Option<Member> {
        selecting(&self.selectors, pod).next().cloned()
    }
}

/// The objects of the release that have a pod selector, with their namespace.
fn selectors(last: &Record, pointer: &str, is_wanted: fn(&str) -> bool) -> Vec<(Member, String, Value)> {
    let selector = |object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let labels = object.pointer(pointer).filter(|_| is_wanted(text("/kind")))?;
        let member = Member::new(text("/kind"), text("/metadata/name"));
        Some((member, text("/metadata/namespace").to_owned(), labels.clone()))
    };
    last.objects.iter().filter_map(|one| selector(&one.object)).collect()
}

fn selecting<'a>(
    selectors: &'a [(Member, String, Value)],
    pod: &'a LogPod,
) -> impl Iterator<Item = &'a Member> {
    let has_all = move |wanted: &Value| {
        let wanted = wanted.as_object().filter(|wanted| !wanted.is_empty());
        wanted.is_some_and(|wanted| {
            wanted
                .iter()
                .all(|(key, value)| value.as_str().is_some_and(|value| pod.label(key) == Some(value)))
        })
    };
    let is_there = move |namespace: &str| namespace.is_empty() || *pod.namespace == *namespace;
    selectors
        .iter()
        .filter(move |(_, namespace, wanted)| is_there(namespace) && has_all(wanted))
        .map(|(member, ..)| member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_meant_by_several_words() {
        let services = vec!["front".to_owned()];
        let web = Member { pod: "web-5d9-x2x".into(), services, ..Member::new("Deployment", "web") };
        for words in [
            "web",
            "Deployment/web",
            "deployment/web",
            "deploy/web",
            "deployments/web",
            "web-5d9-x2x",
            "pod/web-5d9-x2x",
            "Service/front",
            "svc/front",
        ] {
            assert!(web.is(Some(words)), "{words}");
        }
        for words in ["we", "StatefulSet/web", "deployment/web-5d9-x2x", "sts/web", "", "front", "svc/web"] {
            assert!(!web.is(Some(words)), "{words}");
        }
        assert!(web.is(None));
    }
}
