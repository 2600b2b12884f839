//! Programs that die, and programs that come right by themselves.

use super::case::{Case, container, deployment, documents, script};
use super::observe::{deaths, is};

/// The script counts its runs in a volume that outlives it.
const COUNTED: &str = "n=$(cat /v/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /v/n; ";

fn counting(name: &str, then: &str, more: &str) -> String {
    let mount = format!("volumeMounts: [{{name: v, mountPath: /v}}]{more}");
    let container = script(&format!("{COUNTED}{then}"), &mount);
    deployment(name, &format!("volumes: [{{name: v, emptyDir: {{}}}}], {container}"))
}

pub(super) fn that_fail() -> Vec<Case> {
    vec![
        Case::new(
            "no-command",
            "a command that is not in the image",
            deployment("no-command", "containers: [{name: app, image: \"${BASE}/busybox\", command: [servre]}]"),
        )
        .fails("Deployment/no-command cannot-run")
        .says("servre")
        .within(30),
        Case::new("exit-1", "exits 1 at start", deployment("exit-1", &script("echo no such table; exit 1", "")))
            .fails("Deployment/exit-1 exit-code")
            .says("container app exited 1 three times")
            .says("no such table")
            .decided_by("pods", |pod| deaths(pod) >= 3)
            .within(40),
        Case::new("dies-late", "dies after three seconds", deployment("dies-late", &script("sleep 3; exit 7", "")))
            .fails("Deployment/dies-late exit-code")
            .says("exited 7 three times")
            .decided_by("pods", |pod| deaths(pod) >= 3)
            .within(45),
        Case::new(
            "exits-0",
            "a server that ends with 0 at once",
            deployment("exits-0", &script("exit 0", "")),
        )
        .fails("Deployment/exits-0 crash-loop")
        .says("should keep running, but exited with code 0 three times")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(40),
        Case::new(
            "no-memory",
            "needs more memory than its limit",
            deployment("no-memory", &script("tail /dev/zero", "resources: {limits: {memory: 16Mi}}")),
        )
        .fails("Deployment/no-memory out-of-memory")
        .says("ran out of memory (limit 16Mi)")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(45),
        Case::new(
            "init-fails",
            "an init container that fails",
            deployment(
                "init-fails",
                &format!(
                    "initContainers: [{}], {}",
                    container("migrate", "echo relation missing; exit 3", ""),
                    script("sleep 1000", "")
                ),
            ),
        )
        .fails("Deployment/init-fails init-failed")
        .says("init container migrate exited 3 three times")
        .says("relation missing")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(45),
        Case::new(
            "sidecar",
            "a sidecar that crashes",
            deployment(
                "sidecar",
                &format!(
                    "initContainers: [{}], {}",
                    container("proxy", "sleep 1; exit 4", "restartPolicy: Always"),
                    script("sleep 1000", "")
                ),
            ),
        )
        .fails("Deployment/sidecar exit-code")
        .says("sidecar container proxy exited 4 three times")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(45),
        Case::new(
            "liveness",
            "a liveness probe that kills it",
            deployment(
                "liveness",
                &script(
                    "sleep 1000",
                    "livenessProbe: {httpGet: {path: /alive, port: 8080}, periodSeconds: 1, failureThreshold: 2}",
                ),
            ),
        )
        .fails("Deployment/liveness liveness-probe")
        .says("/alive")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(60),
        Case::new(
            "startup",
            "a startup probe that kills it",
            deployment(
                "startup",
                &script(
                    "sleep 1000",
                    "startupProbe: {exec: {command: [cat, /started]}, periodSeconds: 1, failureThreshold: 2}",
                ),
            ),
        )
        .fails("Deployment/startup startup-probe")
        .says("cat /started")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(60),
        Case::new(
            "hook-fails",
            "a postStart hook that fails",
            deployment(
                "hook-fails",
                &script("sleep 1000", "lifecycle: {postStart: {exec: {command: [cat, /nothing]}}}"),
            ),
        )
        .fails("Deployment/hook-fails cannot-run")
        .says("the postStart hook of container app (command `cat /nothing`) failed")
        .within(60),
        Case::new(
            "no-interpreter",
            "a script without a first line that names its interpreter",
            deployment(
                "no-interpreter",
                &format!(
                    "volumes: [{{name: v, emptyDir: {{}}}}], initContainers: [{}], containers: [{{name: app, \
                     image: \"${{BASE}}/busybox\", command: [/v/run], volumeMounts: [{{name: v, mountPath: /v}}]}}]",
                    container(
                        "write",
                        "echo echo hello > /v/run; chmod +x /v/run",
                        "volumeMounts: [{name: v, mountPath: /v}]"
                    )
                ),
            ),
        )
        .fails("Deployment/no-interpreter cannot-run")
        .says("/v/run: exec format error")
        .decided_by("pods", |pod| deaths(pod) >= 2)
        .within(25),
        Case::new(
            "shield",
            "a crash, and another workload that is unready because of it",
            documents(&[
                &deployment("shield", &script("exit 1", "")),
                &deployment(
                    "shield-behind",
                    &script("sleep 1000", "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}"),
                ),
            ]),
        )
        .fails("Deployment/shield exit-code")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .after_a_grace_of(20)
        .within(60),
        Case::new(
            "both-crash",
            "two workloads that crash, neither of which excuses the other",
            documents(&[
                &deployment("both-crash", &script("exit 1", "")),
                &deployment("both-crash-too", &script("sleep 1; exit 2", "")),
            ]),
        )
        .fails("Deployment/both-crash exit-code")
        .says("exited 1 three times")
        .within(38),
        Case::new(
            "tiny-limit",
            "a memory limit without room for the pod itself",
            deployment("tiny-limit", &script("sleep 1000", "resources: {limits: {memory: 100Ki}}")),
        )
        .fails("Deployment/tiny-limit out-of-memory")
        .says("the memory limit of the pod (100Ki of container app) is too small")
        .within(60),
        Case::new(
            "never-ready",
            "a readiness probe that never passes",
            deployment(
                "never-ready",
                &script("sleep 1000", "readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}"),
            ),
        )
        .times_out(20, "Deployment/never-ready readiness-probe")
        .says("/ready")
        .says("8080"),
    ]
}

pub(super) fn that_recover() -> Vec<Case> {
    let database = deployment(
        "database",
        &script(
            "sleep 22; mkdir -p /w; echo ok > /w/index.html; httpd -f -p 5432 -h /w",
            "readinessProbe: {tcpSocket: {port: 5432}, periodSeconds: 1}",
        ),
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: database}\nspec: {selector: {app: database}, ports: [{port: 5432}]}\n";
    let web = deployment(
        "needs-database",
        &script(
            "wget -q -O /dev/null http://database:5432/ || { echo no database; exit 1; }; touch /up; sleep 100000",
            "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}",
        ),
    );
    vec![
        Case::new(
            "crashes-twice",
            "crashes twice and recovers",
            counting("crashes-twice", "[ $n -gt 2 ] || exit 1; sleep 100000", ""),
        )
        .within(60),
        Case::new(
            "needs-database",
            "exits until the database of the same release is up",
            documents(&[&database, service, &web]),
        )
        .within(100),
        Case::new(
            "slow-start",
            "is ready only after 40 s",
            deployment(
                "slow-start",
                &script(
                    "sleep 40; touch /up; sleep 100000",
                    "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}",
                ),
            ),
        )
        .decided_by("deployments", |deployment| {
            is(deployment, "Available") && deployment["status"]["readyReplicas"] == 1
        })
        .within(70),
        Case::new(
            "liveness-once",
            "is killed by its liveness probe once and is well then",
            counting(
                "liveness-once",
                "[ $n -gt 1 ] && touch /alive; sleep 100000",
                ", livenessProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1, failureThreshold: 2}, \
                 readinessProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1}",
            ),
        )
        .within(45),
    ]
}
