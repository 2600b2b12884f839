//! The first files of a repository: valid, and enough for a first release.

use crate::bench::Project;

#[test]
fn from_a_dockerfile_to_a_first_release() {
    let project = Project::empty("init");
    project.windlass(&["init"]).exits(3).says("there is no Dockerfile here");
    project.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}/busybox\nEXPOSE 3000\nCMD [\"httpd\", \"-f\", \"-p\", \"3000\", \"-h\", \"/\"]\n",
    );
    let begun = project.windlass(&["init", "--project", "init-shop"]);
    assert_eq!(begun.code, 2, "the name is the configuration's to say: {begun}");
    let begun = project.windlass(&["init"]).exits(0);
    for file in ["windlass.yaml", ".kube/app.yaml", ".gitlab-ci.yml", ".dockerignore"] {
        assert!(begun.stdout.contains(&format!("wrote  {file}")), "{begun}");
    }
    let ignored = std::fs::read_to_string(project.path().join(".dockerignore")).unwrap();
    assert_eq!(ignored, ".git\n.kube\nwindlass.yaml\n.gitlab-ci.yml\nreport/\n");
    project.commit("begun");
    project.windlass(&["validate"]).exits(0);
    // What nobody can guess.
    let text = std::fs::read_to_string(project.path().join("windlass.yaml")).unwrap();
    let name = text.lines().find_map(|line| line.strip_prefix("project: ")).unwrap().to_owned();
    let text = text
        .replace("images:\n  app: {context: .}", "images:\n  app: {context: ., args: {BASE: \"${BASE}\"}}");
    let text =
        text.replace(&format!("namespace: {name}-staging"), &format!("namespace: {}", project.namespace));
    let contexts: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with("    context: ") {
                "    context: lab-real".to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    project.write("windlass.yaml", &(contexts.join("\n") + "\n"));
    project.commit("what nobody can guess");
    let released = project.windlass(&["pipeline", "staging"]).exits(0);
    assert!(released.stderr.contains("Deployment/app"), "{released}");
    assert_eq!(project.object("service/app")["spec"]["ports"][0]["targetPort"], "http");

    let again = project.windlass(&["init"]).exits(0);
    assert!(!again.stdout.contains("wrote"), "what is there stays: {again}");
    // A pipeline without tests has nothing to run, and says so.
    project.windlass(&["test"]).exits(0);
}
