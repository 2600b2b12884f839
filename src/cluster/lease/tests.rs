//! Leases against a server that breaks.

use std::time::Duration;

use super::*;
use crate::cluster::fake::{FakeServer, Fault as Break};
use crate::report::Reporter;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";

fn request(holder: &str) -> LeaseRequest {
    let patience = Patience { limit: Duration::ZERO, asked: false };
    let unlock = "windlass unlock shop".to_owned();
    LeaseRequest { name: "windlass-shop".into(), holder: holder.into(), patience, unlock }
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
    stolen["metadata"]["annotations"][IDENTITY] = json!("other");
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
    assert_eq!(second["metadata"]["annotations"], json!({IDENTITY: "b2", "note": "kept"}));
    assert_eq!(second["metadata"]["resourceVersion"], "7");
    assert_eq!(second["spec"]["leaseTransitions"], 1);
    assert_eq!(Claim::read(&second).holder, "ann@laptop");
}

#[test]
fn runs_of_the_same_user_differ() {
    assert_ne!(random(), random());
}

#[test]
fn a_locked_tier_names_the_holder_and_since_when() {
    let now: Timestamp = "2026-11-23T09:05:00Z".parse().expect("a time");
    let claim = Claim::read(&taken(None, "shop", &request("ann@laptop"), "a1", now));
    let later = now + jiff::SignedDuration::from_secs(65);
    let error = locked(&claim, later, &request("bob"));
    assert_eq!(error.kind(), Kind::Locked);
    assert_eq!(error.message(), "ann@laptop holds the lock of this tier since 2026-11-23T09:05:00Z (1m 05s)");
}

#[tokio::test]
async fn a_person_locks_and_unlocks() {
    let server = FakeServer::start().await;
    let session = session();
    let cluster = server.cluster(&session).await;
    let hold = |message| Hold::new(message, None).expect("words");
    Lease::lock(&session, &cluster, &request("ann"), &hold("audit")).await.expect("it is free");
    let refused = Lease::acquire(&session, &cluster, &request("bob")).await.err().expect("it is locked");
    assert_eq!(refused.kind(), Kind::Locked);
    assert!(refused.message().contains("ann has locked this tier since"), "{refused}");
    assert!(refused.message().ends_with(": audit"), "{refused}");
    assert_eq!(refused.advice(), Some("ask ann, or remove the lock: windlass unlock shop"));
    Lease::lock(&session, &cluster, &request("bob"), &hold("mine")).await.expect_err("it is ann's");
    let holder = Lease::lock(&session, &cluster, &request("ann"), &hold("still")).await.expect("it is hers");
    assert_eq!(holder.hold, Some(hold("still")));
    let before = Holder { name: "eve".to_owned(), ..holder.clone() };
    assert!(!Lease::unlock(&cluster, "windlass-shop", &before).await.expect("it can be read"));
    assert!(Lease::unlock(&cluster, "windlass-shop", &holder).await.expect("it can be written"));
    let lease = Lease::acquire(&session, &cluster, &request("bob")).await.expect("it is free");
    let notes = &server.get(LEASES, "windlass-shop").expect("it is there")["metadata"]["annotations"];
    assert!(notes.get(MESSAGE).is_none(), "{notes}");
    lease.release().await;
}
