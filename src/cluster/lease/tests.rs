//! Leases against a server that breaks.

use std::time::Duration;

use super::*;
use crate::cluster::fake::{FakeServer, InjectedFault as Break};
use crate::model::labels;
use crate::report::Reporter;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";

fn request(holder: &str) -> LeaseRequest {
    let patience = LockWait { limit: Duration::ZERO, asked: false };
    let unlock = "windlass unlock shop".to_owned();
    let task = LeaseTask { command: "release".into(), commit: Some("89147efa".repeat(5)), by: holder.into() };
    LeaseRequest { name: "windlass-shop".into(), holder: holder.into(), task, patience, unlock }
}

fn session() -> Session {
    Session::new(Reporter::silent())
}

#[tokio::test]
async fn one_holds_it_at_a_time_and_a_lease_given_back_is_free_at_once() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let lease = Lease::acquire(&session, &cluster, &request("ann@laptop")).await.expect("it is free");
    let holder = Lease::holder(&cluster, "windlass-shop").await.expect("it can be read");
    assert_eq!(holder.expect("somebody holds it").name, "ann@laptop");
    let refused = Lease::acquire(&session, &cluster, &request("ann@laptop")).await.err().expect("it is held");
    assert_eq!(refused.kind(), Kind::Locked, "the same user twice are two holders");
    session.cancel.cancel();
    lease.release().await;
    let spec = &server.get(LEASES, "windlass-shop").expect("it stays")["spec"];
    assert_eq!(spec["holderIdentity"], "", "given back after a cancellation too");
    let again = self::session();
    let cluster = server.cluster(&again).await;
    Lease::acquire(&again, &cluster, &request("bob")).await.expect("it is free").release().await;
}

#[tokio::test]
async fn of_many_that_try_at_once_one_wins() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let request = request("ann");
    let tries = (0..8).map(|_| Lease::acquire(&session, &cluster, &request));
    let held: Vec<_> = futures::future::join_all(tries).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(held.len(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_got_lost_still_counts() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let wanted = taken(None, "shop", &request("ann"), "a1", cluster.now());
    server.put(LEASES, wanted.clone());
    let mut first = true;
    server.faults(move |method, _| (method == "POST" && std::mem::take(&mut first)).then_some(Break::Cut));
    let written = write(&cluster, &wanted, "a1").await.expect("it can be read");
    assert!(written.is_some());
}

#[tokio::test]
async fn a_lease_that_somebody_else_took_is_lost() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let lease = Lease::acquire(&session, &cluster, &request("ann")).await.expect("it is free");
    let mut stolen = server.get(LEASES, "windlass-shop").expect("it is there");
    stolen["metadata"]["annotations"]["note"] = json!("edited");
    server.put(LEASES, stolen.clone());
    assert!(lease.tenure.renew_once().await, "an edit by somebody else does not lose it");
    stolen["metadata"]["annotations"][labels::LOCK] = json!("other");
    server.put(LEASES, stolen);
    tokio::time::timeout(Duration::from_secs(8), lease.lost().cancelled())
        .await
        .expect("lost within a renewal");
    lease.release().await;
    let left = server.get(LEASES, "windlass-shop").expect("it is there");
    assert_eq!(left["spec"]["holderIdentity"], "ann", "what is not ours is left alone");
}

#[test]
fn the_lease_names_holder_and_run_and_keeps_what_others_wrote() {
    let now: Timestamp = "2026-11-23T09:05:00.5Z".parse().expect("a time");
    let first = taken(None, "shop", &request("ann@laptop"), "a1", now);
    assert_eq!(first["spec"]["renewTime"], "2026-11-23T09:05:00.500000Z");
    assert_eq!(first["spec"]["leaseTransitions"], 0);
    let mut found = first;
    found["metadata"]["resourceVersion"] = json!("7");
    found["metadata"]["annotations"]["note"] = json!("kept");
    let second = taken(Some(found), "shop", &request("ann@laptop"), "b2", now);
    let notes = &second["metadata"]["annotations"];
    assert_eq!((&notes[labels::LOCK], &notes["note"]), (&json!("b2"), &json!("kept")));
    assert_eq!(second["metadata"]["resourceVersion"], "7");
    assert_eq!(second["spec"]["leaseTransitions"], 1);
    assert_eq!(LeaseState::read(&second).holder, "ann@laptop");
}

#[test]
fn runs_of_the_same_user_differ() {
    assert_ne!(run_identity(), run_identity());
}

#[test]
fn a_locked_tier_names_the_run_that_holds_it_and_how_to_end_it() {
    let now: Timestamp = "2026-11-23T09:05:00Z".parse().expect("a time");
    let later = now + jiff::SignedDuration::from_secs(65);
    let held_by =
        |request: &LeaseRequest| Holder::of(LeaseState::read(&taken(None, "shop", request, "a1", now)));
    let person = held_by(&request("ann@laptop"));
    let error = person.refusal(None, later, "windlass unlock shop");
    assert_eq!(error.kind(), Kind::Locked);
    assert_eq!(
        error.message(),
        "`windlass release` of 89147efa by ann@laptop holds the lock of this tier since 2026-11-23T09:05:00Z (1m 05s)"
    );
    let hint = error.hint().expect("what ends it");
    assert!(hint.contains("stop that run") && hint.ends_with("windlass unlock shop"), "{hint}");
    let job = LeaseRequest { holder: "https://gitlab.test/shop/-/jobs/42".into(), ..request("nora") };
    let error = held_by(&job).refusal(Some("release 12"), later, "windlass unlock shop");
    assert!(
        error.message().starts_with(
            "release 12 of 89147efa by nora (https://gitlab.test/shop/-/jobs/42) holds the lock"
        ),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("cancel that job")), "{error}");
    // An older version, or whoever else writes leases, says only who it is.
    let plain = json!({"spec": {"holderIdentity": "eve", "acquireTime": "2026-11-23T09:05:00Z"}});
    assert_eq!(Holder::of(LeaseState::read(&plain)).described(None), "eve");
}

/// Writes a lease that a process holds which has ended, and changes it.
fn left_by_the_dead(server: &FakeServer, change: impl FnOnce(&mut String)) {
    let mut child = std::process::Command::new("true").spawn().expect("it can be started");
    let own = Process::own().expect("this is Linux").to_string();
    let words: Vec<&str> = own.split(' ').collect();
    let mut dead = format!("{} {} {} {} 1", words[0], words[1], words[2], child.id());
    child.wait().expect("it ends");
    change(&mut dead);
    let mut lease = taken(None, "shop", &request("eve"), "a1", Timestamp::now());
    let dead = Process::read(&dead);
    assert!(dead.is_some());
    lease["metadata"]["annotations"][labels::RUN] =
        json!(write_run("a1", &request("eve").task, dead.as_ref()));
    server.put(LEASES, lease);
}

#[tokio::test]
async fn a_process_of_this_machine_that_died_is_not_waited_for() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    left_by_the_dead(&server, |_| {});
    assert_eq!(Lease::holder(&cluster, "windlass-shop").await.expect("it can be read"), None);
    let began = Instant::now();
    let lease = Lease::acquire(&session, &cluster, &request("bob")).await.expect("nobody alive holds it");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let state = LeaseState::read(&server.get(LEASES, "windlass-shop").expect("it is there"));
    assert_eq!(state.process, Process::own());
    // A version that knows nothing of it takes the lease over: whatever is left says nothing of its run.
    let mut other = server.get(LEASES, "windlass-shop").expect("it is there");
    other["metadata"]["annotations"][labels::LOCK] = json!("b2");
    let state = LeaseState::read(&other);
    assert_eq!((state.process, state.task), (None, LeaseTask::default()));
    lease.release().await;
}

#[tokio::test]
async fn a_process_of_another_machine_is_waited_for() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    left_by_the_dead(&server, |process| process.insert(0, 'x'));
    assert!(Lease::holder(&cluster, "windlass-shop").await.expect("it can be read").is_some());
    let (session, request) = (session.clone(), request("bob"));
    let acquiring = Lease::acquire(&session, &cluster, &request);
    assert!(tokio::time::timeout(Duration::from_secs(3), acquiring).await.is_err(), "it may be alive");
}

#[tokio::test]
async fn a_write_under_way_ends_with_the_lease() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let metadata = json!({"name": "a", "namespace": "shop"});
    let other = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata});
    server.faults(|method, _| (method == "POST").then_some(Break::Hang));
    cluster.transport.fence().open(Moment::now(), Duration::from_millis(700));
    let began = Instant::now();
    let refused = cluster.create(&other).await.expect_err("there is no answer");
    assert!(refused.message.contains("the lock expired before"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Reading changes nothing.
    server.no_faults();
    cluster.get(&ObjectRef::of(&other)).await.expect("reads pass");
}

#[tokio::test]
async fn a_person_locks_and_unlocks() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let hold = |message| ManualLock::new(message, None).expect("words");
    Lease::lock(&session, &cluster, &request("ann"), &hold("audit")).await.expect("it is free");
    let refused = Lease::acquire(&session, &cluster, &request("bob")).await.err().expect("it is locked");
    assert_eq!(refused.kind(), Kind::Locked);
    assert!(refused.message().contains("ann has locked this tier since"), "{refused}");
    assert!(refused.message().ends_with(": audit"), "{refused}");
    assert_eq!(refused.hint(), Some("ask ann, or remove the lock: windlass unlock shop"));
    Lease::lock(&session, &cluster, &request("bob"), &hold("mine")).await.expect_err("it is ann's");
    let holder = Lease::lock(&session, &cluster, &request("ann"), &hold("still")).await.expect("it is hers");
    assert_eq!(holder.hold, Some(hold("still")));
    let before = Holder { name: "eve".to_owned(), ..holder.clone() };
    assert!(!Lease::unlock(&cluster, "windlass-shop", &before).await.expect("it can be read"));
    assert!(Lease::unlock(&cluster, "windlass-shop", &holder).await.expect("it can be written"));
    let lease = Lease::acquire(&session, &cluster, &request("bob")).await.expect("it is free");
    let notes = &server.get(LEASES, "windlass-shop").expect("it is there")["metadata"]["annotations"];
    assert!(notes.get(labels::MESSAGE).is_none(), "{notes}");
    lease.release().await;
}
