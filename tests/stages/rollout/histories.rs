//! What a release finds, and what is done to it while it runs.

use super::case::{Case, deployment, deployment_with, documents, script, stays};

fn broken(name: &str, deadline: u32) -> String {
    deployment_with(
        name,
        &format!("progressDeadlineSeconds: {deadline}"),
        &script("sleep 1000", "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}"),
    )
}

pub(super) fn histories() -> Vec<Case> {
    vec![
        Case::new(
            "after-deadline",
            "the release after one that exceeded its progress deadline",
            deployment_with("after-deadline", "progressDeadlineSeconds: 60", &stays()),
        )
        .before(|scene| {
            let good = scene.manifests();
            scene.write(&broken("after-deadline", 5));
            scene.release(None).run.exits(31);
            scene.write(&good);
        })
        .within(20),
        Case::new(
            "after-crash",
            "the release after one whose pods still crash",
            deployment("after-crash", &stays()),
        )
        .before(|scene| {
            let good = scene.manifests();
            scene.write(&deployment("after-crash", &script("exit 1", "")));
            scene.release(None).run.exits(31);
            scene.write(&good);
        })
        .within(20),
        Case::new(
            "after-quota",
            "the release after one that exceeded a quota",
            deployment("after-quota", &stays()),
        )
        .before(|scene| {
            let good = scene.manifests();
            scene.project.kubectl(&["create", "quota", "tight", "--hard=pods=1"]);
            scene.until("the quota", |project| !project.object("quota/tight")["status"]["hard"].is_null());
            let two = deployment_with("after-quota", "replicas: 2", &script("sleep 1000", ""));
            scene.write(&two);
            scene.release(None).run.exits(31);
            scene.project.kubectl(&["delete", "quota", "tight"]);
            scene.write(&good);
        })
        .within(40)
        .alone(),
        Case::new(
            "dies-after",
            "a program that dies just after its release was good",
            deployment(
                "dies-after",
                &script("sleep 12; exit 1", "readinessProbe: {exec: {command: [\"true\"]}, periodSeconds: 1}"),
            ),
        )
        .afterwards(|scene| {
            scene.until("its death", |project| {
                let pods = project.kubectl(&["get", "pods", "-l", "app=dies-after", "-o", "json"]);
                pods.contains("\"exitCode\": 1")
            });
            let died = "release 1 was good, but Deployment/dies-after died";
            for command in [&["status", "staging"][..], &["plan", "staging"], &["rollback", "staging", "--dry-run"]] {
                scene.project.windlass(command).says(died);
            }
            scene.release_changed("exit 1", "sleep 100000").exits(0).says(died);
            let plan = scene.project.windlass(&["plan", "staging"]).exits(0);
            assert!(!plan.stderr.contains("was good, but"), "{plan}");
        })
        .within(20),
        Case::new(
            "first-death",
            "a program whose first death tells why, and whose later ones do not",
            deployment(
                "first-death",
                &format!(
                    "volumes: [{{name: v, emptyDir: {{}}}}], {}",
                    script(
                        "[ -f /v/lock ] && { echo the lock is held; exit 1; }; touch /v/lock; echo no such table; exit 1",
                        "volumeMounts: [{name: v, mountPath: /v}]"
                    )
                ),
            ),
        )
        .fails("Deployment/first-death exit-code")
        .says("no such table")
        .says("the lock is held")
        .says("first death, last line")
        .within(40),
        Case::new(
            "namespace-ends",
            "the release after somebody deleted the namespace, while it is still terminating",
            deployment("namespace-ends", &stays())
                .replace("terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 8"),
        )
        .before(|scene| {
            scene.release(None).run.exits(0);
            scene.project.kubectl(&["delete", "namespace", &scene.project.namespace, "--wait=false"]);
        })
        .says("is terminating: waiting until it is deleted")
        .within(60)
        .alone(),
        Case::new("again", "the same release again", deployment("again", &stays()))
            .before(|scene| {
                scene.release(None).run.exits(0);
            })
            .within(5),
        Case::new(
            "dies-again",
            "the same release again, while its pods die without a probe",
            deployment("dies-again", &script("sleep 3; exit 1", "")),
        )
        .before(|scene| scene.until("its failure", |_| scene.release(None).run.code == 31))
        .fails("Deployment/dies-again exit-code")
        .within(60),
        Case::new(
            "taken",
            "an object that is deleted under our feet",
            documents(&[
                &deployment("taken", &script("sleep 1000", "readinessProbe: {exec: {command: [cat, /up]}}")),
                &deployment("taken-not", &stays()),
            ]),
        )
        .meanwhile(|scene| {
            scene.until("the Deployment", |project| !project.object("deployment/taken").is_null());
            std::thread::sleep(std::time::Duration::from_secs(2));
            scene.project.kubectl(&["delete", "deployment", "taken", "--wait=false"]);
        })
        .fails("Deployment/taken being-deleted")
        .within(20),
    ]
}
