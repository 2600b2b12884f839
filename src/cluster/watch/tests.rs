//! Watches against a server that breaks.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::cluster::fake::{FakeServer, InjectedFault as Break};
use crate::report::Reporter;
use crate::session::Session;

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn subject() -> WatchSubject {
    WatchSubject { api_version: "v1".into(), kind: "Pod".into(), namespace: None, selector: None }
}

fn pod(name: &str, phase: &str) -> Value {
    json!({"metadata": {"name": name, "uid": name}, "status": {"phase": phase}})
}

async fn watching(server: &FakeServer) -> (Session, Watches) {
    let session = Session::new(Reporter::silent());
    let mut watches = Watches::new(&server.cluster(&session).await);
    assert!(watches.open(subject()));
    assert!(!watches.open(subject()), "one watch per subject");
    (session, watches)
}

/// The next item in a word or two.
async fn next(watches: &mut Watches) -> String {
    let (_, mut item) = tokio::time::timeout(Duration::from_secs(10), watches.next()).await.expect("an item");
    let mut listed = Vec::new();
    while let WatchItem::Page { first, items } = item {
        assert_eq!(first, listed.is_empty(), "a list begins once");
        listed.extend(items);
        (_, item) = watches.next().await;
    }
    let name = |object: &Value| {
        format!(
            "{} {}",
            object["metadata"]["name"].as_str().unwrap_or(""),
            object["status"]["phase"].as_str().unwrap_or("")
        )
    };
    match item {
        WatchItem::Listed => format!("listed {}", listed.iter().map(name).collect::<Vec<_>>().join(",")),
        WatchItem::Page { .. } => "a page after a page".to_owned(),
        WatchItem::Applied(object) => {
            assert_eq!(object["kind"], "Pod");
            format!("applied {}", name(&object))
        }
        WatchItem::Deleted(object) => format!("deleted {}", name(&object)),
        WatchItem::Denied(error) => format!("denied {error}"),
        WatchItem::Trouble(_) => "trouble".to_owned(),
        WatchItem::Back => "back".to_owned(),
    }
}

/// A server whose pages lead to one another.
#[tokio::test]
async fn a_list_that_does_not_come_to_an_end_is_given_up() {
    let server = FakeServer::start().await;
    server.answer_with(PODS, json!({"metadata": {"continue": "again"}, "items": []}));
    let (_session, mut watches) = watching(&server).await;
    assert!(next(&mut watches).await.starts_with("denied the list of Pod"));
    assert_eq!(server.requests().len(), 2);
}

/// As [`next`], past trouble and its end.
async fn next_object(watches: &mut Watches) -> String {
    loop {
        let word = next(watches).await;
        if word != "trouble" && word != "back" {
            return word;
        }
    }
}

#[tokio::test]
async fn a_watch_that_is_closed_resumes_where_it_was() {
    let server = FakeServer::start().await;
    server.put(PODS, pod("a", "Pending"));
    let (_session, mut watches) = watching(&server).await;
    assert_eq!(next(&mut watches).await, "listed a Pending");
    server.put(PODS, pod("a", "Running"));
    assert_eq!(next(&mut watches).await, "applied a Running");
    server.faults(|_, path| path.contains("watch=true").then_some(Break::Cut));
    server.cut_watches();
    assert_eq!(next(&mut watches).await, "trouble");
    server.put(PODS, pod("b", "Pending"));
    server.delete(PODS, "a");
    server.no_faults();
    assert_eq!(next_object(&mut watches).await, "applied b Pending", "nothing was missed");
    assert_eq!(next_object(&mut watches).await, "deleted a Running");
    let lists = server.requests().iter().filter(|request| !request.contains("watch=true")).count();
    assert_eq!(lists, 1, "nothing was listed again");
}

#[tokio::test]
async fn a_position_that_is_too_old_lists_again() {
    let server = FakeServer::start().await;
    server.put(PODS, pod("a", "Pending"));
    let (_session, mut watches) = watching(&server).await;
    assert_eq!(next(&mut watches).await, "listed a Pending");
    server.faults(|_, path| path.contains("watch=true").then_some(Break::Cut));
    server.cut_watches();
    assert_eq!(next(&mut watches).await, "trouble");
    server.delete(PODS, "a");
    server.put(PODS, pod("b", "Pending"));
    server.compact();
    server.no_faults();
    assert_eq!(next_object(&mut watches).await, "listed b Pending");
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_until_it_answers() {
    let server = FakeServer::start().await;
    let mut left = 3;
    server.faults(move |_, _| {
        left -= 1;
        (left >= 0).then_some(Break::Code(503, 0))
    });
    let (_session, mut watches) = watching(&server).await;
    for _ in 0..3 {
        assert_eq!(next(&mut watches).await, "trouble");
    }
    assert_eq!(next(&mut watches).await, "back");
    assert_eq!(next(&mut watches).await, "listed ");
}

#[tokio::test]
async fn a_missing_right_is_said_once() {
    let server = FakeServer::start().await;
    server.faults(|_, _| Some(Break::Code(403, 0)));
    let (_session, mut watches) = watching(&server).await;
    assert!(next(&mut watches).await.starts_with("denied the cluster refused to list pods"));
    let more = tokio::time::timeout(Duration::from_millis(200), watches.next()).await;
    assert!(more.is_err(), "nothing more comes");
    assert_eq!(server.requests().len(), 1);
}

/// A list of more than one page, on whose first page what is gone meanwhile stood.
#[tokio::test]
async fn pages_come_one_by_one_before_the_list_is_complete() {
    use wiremock::matchers::{query_param, query_param_is_missing};
    use wiremock::{Mock, MockServer, ResponseTemplate};
    let page = |name: &str, after: &str| {
        let metadata = json!({"resourceVersion": "7", "continue": after});
        ResponseTemplate::new(200)
            .set_body_json(json!({"metadata": metadata, "items": [pod(name, "Running")]}))
    };
    let server = MockServer::start().await;
    let hang = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(query_param("watch", "true")).respond_with(hang).mount(&server).await;
    Mock::given(query_param_is_missing("continue")).respond_with(page("a", "next")).mount(&server).await;
    Mock::given(query_param("continue", "next")).respond_with(page("b", "")).mount(&server).await;
    let session = Session::new(Reporter::silent());
    let mut watches = Watches::new(&Cluster::at(&server.uri(), "shop", &session).await);
    watches.open(subject());
    let mut said = Vec::new();
    while said.last() != Some(&"complete".to_owned()) {
        said.push(match watches.next().await.1 {
            WatchItem::Page { first, items } => format!("{first} {}", items[0]["metadata"]["name"]),
            WatchItem::Listed => "complete".to_owned(),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(said, ["true \"a\"", "false \"b\"", "complete"]);
}
