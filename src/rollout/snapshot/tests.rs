//! Owners, subjects of events, and what a watch removes.

use serde_json::json;

use super::*;

fn pod(name: &str, owner_uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": owner_uid}]}})
}

fn set(uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": uid}})
}

#[test]
fn children_are_those_of_this_uid() {
    let mut snapshot = ClusterSnapshot::new([set("a"), pod("p", "a"), pod("q", "b")]);
    let names = |snapshot: &ClusterSnapshot, set: &Value| -> Vec<String> {
        snapshot.pods_of(set).map(|pod| pod.name.to_string()).collect()
    };
    assert_eq!(names(&snapshot, &set("a")), ["p"]);
    assert_eq!(names(&snapshot, &set("")), ["p", "q"]);
    assert_eq!(snapshot.owners(&pod("p", "a")).len(), 1);
    assert_eq!(snapshot.owners(&pod("q", "b")).len(), 0);
    snapshot.upsert(pod("q", "a"));
    assert_eq!(names(&snapshot, &set("a")), ["p", "q"]);
    snapshot.remove(&ObjectId::of(&pod("p", "a")));
    assert_eq!(names(&snapshot, &set("a")), ["q"]);
}

#[test]
fn objects_without_a_name_do_not_replace_one_another() {
    let nameless = || json!({"apiVersion": "v1", "kind": "ConfigMap"});
    assert_eq!(ClusterSnapshot::new([nameless(), nameless()]).objects().count(), 2);
}

#[test]
fn events_of_an_earlier_object_of_the_same_name_are_not_its_own() {
    let happened = |uid: &str, at: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": at, "namespace": "shop"},
            "reason": at, "lastTimestamp": format!("2026-10-03T14:00:0{at}Z"),
            "involvedObject": {"kind": "ReplicaSet", "name": "web-1", "namespace": "shop", "uid": uid}})
    };
    let snapshot = ClusterSnapshot::new([happened("a", "2"), happened("a", "1"), happened("b", "3")]);
    let reasons: Vec<&str> = snapshot.events_of(&set("a")).iter().map(|event| event.reason).collect();
    assert_eq!(reasons, ["1", "2"]);
}

#[test]
fn what_is_on_no_page_of_a_new_list_is_gone_but_not_what_another_watch_has() {
    let mut snapshot = ClusterSnapshot::default();
    let mut see = |name: &str, watch: u32, list: u32| {
        let cached = Cached::of(pod(name, "a"), &mut Interner::default());
        snapshot.insert(cached, Mark { watch, list });
    };
    see("both", 1, 1);
    see("gone", 1, 1);
    see("stays", 1, 1);
    see("both", 2, 1);
    see("stays", 1, 2);
    snapshot.remove_unlisted(Mark { watch: 1, list: 2 });
    let names = |snapshot: &ClusterSnapshot| -> Vec<String> {
        snapshot.pods_of(&set("a")).map(|pod| pod.name.to_string()).collect()
    };
    assert_eq!(names(&snapshot), ["both", "stays"]);
    let both = Cached::of(pod("both", "a"), &mut Interner::default());
    snapshot.remove_seen(&both, 1);
    assert_eq!(names(&snapshot), ["both", "stays"], "the other watch has it still");
    snapshot.remove_seen(&both, 2);
    assert_eq!(names(&snapshot), ["stays"]);
}

#[test]
fn events_are_replaced_sorted_and_removed() {
    let happened = |name: &str, at: &str| {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"},
            "reason": name, "lastTimestamp": format!("2026-10-03T14:00:0{at}Z"),
            "involvedObject": {"kind": "ReplicaSet", "name": "web-1"}});
        Cached::of(event, &mut Interner::default())
    };
    let mut snapshot = ClusterSnapshot::default();
    for (name, at) in [("c", "1"), ("b", "2"), ("a", "2"), ("c", "3")] {
        snapshot.insert(happened(name, at), Mark { watch: 1, list: 1 });
    }
    let reasons = |snapshot: &ClusterSnapshot| -> Vec<String> {
        snapshot.events_of(&set("a")).iter().map(|event| event.reason.to_owned()).collect()
    };
    assert_eq!(reasons(&snapshot), ["a", "b", "c"]);
    snapshot.remove_seen(&happened("b", "9"), 1);
    assert_eq!(reasons(&snapshot), ["a", "c"]);
    snapshot.insert(happened("a", "4"), Mark { watch: 1, list: 2 });
    snapshot.remove_unlisted(Mark { watch: 1, list: 2 });
    assert_eq!(reasons(&snapshot), ["a"]);
}
