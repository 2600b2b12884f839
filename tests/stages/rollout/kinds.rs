//! Rules of single kinds: Jobs, StatefulSets, what is paused, custom resources, Services, autoscalers.

use super::case::{Case, container, deployment, deployment_with, documents, job, script, stays, workload};
use super::observe::{deaths, is, waits};

pub(super) fn jobs() -> Vec<Case> {
    vec![
        Case::new("job-fails", "a Job that fails", job("job-fails", "backoffLimit: 0", &script("echo no such table; exit 2", "")))
            .fails("Job/job-fails job-failed")
            .says("no such table")
            .says("exited 2")
            .decided_by("jobs", |job| is(job, "FailureTarget") || is(job, "Failed"))
            .within(20),
        Case::new(
            "job-image",
            "a Job whose image does not exist",
            job("job-image", "backoffLimit: 3", "containers: [{name: app, image: \"${BASE}/nothing:2\"}]"),
        )
        .fails("Job/job-image image-not-found")
        .says("base/nothing:2")
        .decided_by("pods", |pod| waits(pod, "ErrImagePull"))
        .after_a_grace_of(15)
        .within(35),
        Case::new(
            "job-retries",
            "a Job that fails once and passes",
            job(
                "job-retries",
                "backoffLimit: 3",
                &format!(
                    "volumes: [{{name: v, hostPath: {{path: /tmp/windlass-test-retries, type: DirectoryOrCreate}}}}], {}",
                    script(
                        "f=/v/$HOSTNAME; ls /v | grep -q . && { rm -rf /v/*; exit 0; }; touch $f; exit 1",
                        "volumeMounts: [{name: v, mountPath: /v}]"
                    )
                ),
            ),
        )
        .within(50),
        Case::new(
            "job-back-off",
            "a Job that fails again and again, without a backoffLimit; the next release mends it",
            job("job-back-off", "completions: 1", &script("echo no such table; exit 2", "")),
        )
        .fails("Job/job-back-off job-failed")
        .says("no such table")
        .afterwards(|scene| {
            scene.release_changed("exit 2", "exit 0").exits(0);
        })
        .within(70),
        Case::new(
            "job-exec",
            "a Job whose program is a script without a first line that names its interpreter",
            job(
                "job-exec",
                "backoffLimit: 6",
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
        .fails("Job/job-exec cannot-run")
        .says("/v/run: exec format error")
        .within(30),
        Case::new("job-ttl", "a Job that is deleted when it is done", job("job-ttl", "ttlSecondsAfterFinished: 0", &script("sleep 1", "")))
            .within(20),
        Case::new("job-suspended", "a suspended Job", job("job-suspended", "suspend: true", &script("true", "")))
            .says("suspend")
            .within(15),
        Case::new(
            "job-deadline",
            "a Job that outlives its own deadline",
            job("job-deadline", "activeDeadlineSeconds: 3", &script("sleep 1000", "")),
        )
        .fails("Job/job-deadline job-failed")
        .says("deadline")
        .decided_by("jobs", |job| is(job, "FailureTarget") || is(job, "Failed"))
        .within(20),
    ]
}

pub(super) fn workloads() -> Vec<Case> {
    let stateful = |name: &str, fields: &str, spec: &str| {
        workload("StatefulSet", name, &format!("serviceName: {name}\n  {fields}"), spec)
    };
    vec![
        Case::new("paused", "a paused Deployment", deployment_with("paused", "paused: true", &stays()))
            .says("paused")
            .within(15),
        Case::new("zero", "scaled to zero", deployment_with("zero", "replicas: 0", &stays())).within(15),
        Case::new(
            "deadline",
            "a progress deadline of 10 s",
            deployment_with(
                "deadline",
                "progressDeadlineSeconds: 10",
                &script("sleep 1000", "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1}"),
            ),
        )
        .fails("Deployment/deadline readiness-probe")
        .decided_by("deployments", |deployment| {
            let conditions = deployment["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|one| one["reason"] == "ProgressDeadlineExceeded")
        })
        .within(30),
        Case::new(
            "stateful",
            "a StatefulSet stuck on a broken pod",
            stateful("stateful", "replicas: 3", &script("echo disk full; exit 5", "")),
        )
        .fails("StatefulSet/stateful exit-code")
        .says("disk full")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(45),
        Case::new(
            "on-delete",
            "a StatefulSet that is updated by hand",
            stateful("on-delete", "updateStrategy: {type: OnDelete}", &stays()),
        )
        .afterwards(|scene| {
            let run = scene.release_changed("periodSeconds: 1", "periodSeconds: 2");
            run.exits(0).says("on-delete-0");
        })
        .within(30),
        Case::new(
            "partition",
            "a StatefulSet of which a part is updated",
            stateful("partition", "updateStrategy: {rollingUpdate: {partition: 1}}\n  replicas: 2", &stays()),
        )
        .afterwards(|scene| {
            scene.release_changed("periodSeconds: 1", "periodSeconds: 2").exits(0);
        })
        .within(40),
        Case::new(
            "pod-ends",
            "a bare pod that ends with an error",
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: pod-ends}}\nspec: {{restartPolicy: Never, {}}}\n",
                script("echo broken; exit 9", "")
            ),
        )
        .fails("Pod/pod-ends exit-code")
        .says("exited 9")
        .decided_by("pods", |pod| pod["status"]["phase"] == "Failed")
        .within(20),
    ]
}

pub(super) fn others() -> Vec<Case> {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: nobody}\nspec: {selector: {app: nobody-at-all}, ports: [{port: 80}]}\n";
    let scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: scaler}\nspec:\n  \
        scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaler}\n  maxReplicas: 3\n  \
        metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]\n";
    let disruption = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: scaler}\nspec: {maxUnavailable: 1, selector: {matchLabels: {app: scaler}}}\n";
    let balancer = "apiVersion: v1\nkind: Service\nmetadata: {name: balancer}\nspec: {type: LoadBalancer, selector: {app: scaler}, ports: [{port: 80}]}\n";
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: entry}\nspec: {ingressClassName: nowhere, rules: [{host: entry.test, http: {paths: \
        [{path: /, pathType: Prefix, backend: {service: {name: not-there, port: {number: 80}}}}]}}]}\n";
    vec![
        Case::new("nobody", "a Service whose selector matches nothing", service)
            .fails("Service/nobody no-endpoints")
            .says("selects app=nobody-at-all")
            .within(45),
        Case::new("entry", "an Ingress whose Service is missing", ingress)
            .fails("Ingress/entry no-endpoints")
            .says("backend Service `not-there` does not exist")
            .says("the cluster has no IngressClass `nowhere`")
            .within(45),
        Case::new("balancer", "a load balancer that nobody makes", balancer)
            .times_out(10, "Service/balancer load-balancer-pending"),
        Case::new(
            "scaler",
            "an autoscaler without metrics",
            documents(&[&deployment("scaler", &stays()), scaler, disruption]),
        )
        .says("metric")
        .within(50),
        Case::new("definition", "a definition and its first object in one release", definition("widgets"))
            .afterwards(|scene| {
                scene.project.kubectl(&[
                    "delete",
                    "crd",
                    "widgets.windlass-test.example.com",
                    "--wait=false",
                ]);
            })
            .within(45),
        Case::new(
            "two-containers",
            "one container of two is broken",
            deployment(
                "two-containers",
                &format!(
                    "containers: [{}, {}]",
                    container("web", "sleep 1000", ""),
                    container("agent", "echo no token; exit 1", "")
                ),
            ),
        )
        .fails("Deployment/two-containers exit-code")
        .says("container agent exited 1 three times")
        .says("no token")
        .decided_by("pods", |pod| deaths(pod) >= 3)
        .within(45),
    ]
}

fn definition(plural: &str) -> String {
    let schema = "openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}";
    documents(&[
        &format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata: {{name: {plural}.windlass-test.example.com}}\nspec:\n  group: windlass-test.example.com\n  scope: Namespaced\n  \
             names: {{plural: {plural}, singular: widget, kind: Widget}}\n  \
             versions: [{{name: v1, served: true, storage: true, schema: {{{schema}}}}}]\n"
        ),
        "apiVersion: windlass-test.example.com/v1\nkind: Widget\nmetadata: {name: first}\nspec: {size: 1}\n",
    ])
}
