//! A version that does not work: known quickly, its cause said last, and the way back.

use crate::bench::Project;

#[test]
fn a_broken_version_fails_with_its_cause_and_the_old_one_comes_back() {
    let shop = Project::shop("broken");
    let good = shop.windlass(&["pipeline", "staging", "-o", "json"]).exits(0).finished();
    shop.edit("shop/web.py", "os.environ[\"PORT\"]", "os.environ[\"SHOP_PORT\"]");
    shop.commit("read the port from SHOP_PORT");

    let broken = shop.windlass(&["pipeline", "staging", "-o", "json"]).exits(31);
    let finished = broken.finished();
    let cause = &finished["causes"][0];
    assert_eq!(cause["object"], "Deployment/web", "{broken}");
    assert_eq!(cause["cause"], "exit-code", "{broken}");
    assert!(cause["evidence"].to_string().contains("KeyError: 'SHOP_PORT'"), "{broken}");
    let way_back = finished["next"][0].as_str().unwrap();
    assert!(way_back.starts_with("windlass rollback staging"), "{broken}");
    shop.answer("has taken");

    // From an empty directory, as somebody else: no Git, no configuration.
    let elsewhere = tempfile::tempdir().unwrap();
    let arguments = [
        "rollback",
        "staging",
        "--project",
        &shop.name,
        "--context",
        "lab-real",
        "--namespace",
        &shop.namespace,
    ];
    shop.windlass_in(elsewhere.path(), &arguments).exits(0);
    let running = shop.object("deployment/web");
    assert_eq!(running["spec"]["template"]["spec"]["containers"][0]["image"], good["images"]["web"]);
    shop.answer("has taken");

    shop.windlass(&["rollback", "staging"]).exits(0).says("release 3 is already the rollback of 2 to 1");
    shop.windlass(&["history", "staging"]).exits(0).says("rollback of 2 to 1");
    shop.windlass(&["release", "staging"]).exits(34).says("rolled back");
}

#[test]
fn what_the_screen_says_last_is_the_cause_and_the_way_back() {
    let project = Project::small(
        "last-words",
        "ARG BASE\nFROM ${BASE}/busybox\nCMD [\"sh\", \"-c\", \"echo cannot open the ledger; exit 3\"]\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    \
         metadata: {labels: {app: web}}\n    spec:\n      containers: [{name: web, image: app}]\n",
    );
    let run = project.windlass(&["pipeline", "staging"]).exits(31);
    let last: Vec<&str> = run.stderr.lines().rev().take(20).collect();
    assert!(last.iter().any(|line| line.contains("cannot open the ledger")), "{run}");
    assert!(last.iter().any(|line| line.contains("exit-code")), "{run}");
    assert!(run.took.as_secs() < 60, "{:?}", run.took);
}
