//! Whole directories: the shop of `fixtures`, and small ones with mistakes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::error::Kind;
use crate::model::PinnedImage;
use crate::project::{Options, Project, TierOverrides};
use crate::schema::Schemas;

fn open(directory: &Path) -> Project {
    let options = Options { directory: directory.to_path_buf(), ..Options::default() };
    Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable)
        .expect("the project can be read")
}

fn shop() -> Project {
    open(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/shop"))
}

fn project(files: &[(&str, &str)]) -> (TempDir, Project) {
    let root = TempDir::new().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let project = open(root.path());
    (root, project)
}

fn loaded(project: &Project, tier: &str) -> crate::error::Result<Manifests> {
    let tier = project.tier(tier, &TierOverrides::default()).expect("the tier exists");
    let reference = |image: &String| {
        let text = format!("registry.test/shop/{image}:1f@sha256:{}", "0".repeat(64));
        text.parse().expect("it is pinned")
    };
    let references: BTreeMap<String, PinnedImage> =
        project.config.images.keys().map(|image| (image.clone(), reference(image))).collect();
    block_on(read(project, &tier))?.manifests(references, Vec::new())
}

fn names(manifests: &Manifests) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |object: &Object| {
        format!("{}/{}", text(&object.json["kind"]), text(&object.json["metadata"]["name"]))
    };
    manifests.objects.iter().map(name).collect()
}

const CONFIG: &str = "\
version: 1
project: shop
registry: registry.test/shop
images: {web: {context: .}}
vars: {LOG: info}
tiers:
  staging: {context: lab, namespace: shop-staging, vars: {HOST: staging.shop.test}}
  production: {context: prod, namespace: shop, vars: {HOST: shop.test, DATABASE: db.test}}
  review/*: {context: lab, namespace: \"shop-${WINDLASS_SLUG}\", vars: {HOST: review.shop.test}}
";

#[test]
fn the_shop_is_valid() {
    assert_eq!(
        block_on(validate(&shop(), Schemas::newest()))
            .errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[test]
fn the_tiers_of_the_shop_differ_as_their_files_say() {
    let staging = loaded(&shop(), "staging").expect("it is valid");
    assert_eq!(
        names(&staging),
        [
            "ConfigMap/shop",
            "Secret/shop",
            "Service/web",
            "Service/db",
            "StatefulSet/db",
            "Job/migrate",
            "Deployment/web",
            "CronJob/nightly",
            "Ingress/web",
        ]
    );
    assert!(staging.warnings.is_empty(), "{:?}", staging.warnings);
    assert_eq!(staging.objects[4].phase, Phase::Before);
    let production = loaded(&shop(), "production").expect("it is valid");
    assert_eq!(production.objects.len(), 8);
    let database = production
        .objects
        .iter()
        .find(|object| object.json["metadata"]["name"] == "db")
        .expect("it is there");
    assert_eq!(database.json["spec"], json!({"type": "ExternalName", "externalName": "db.example.com"}));
    assert_eq!(database.origin.place().to_string(), ".kube/tiers/production/database.yaml:2:1");
}

#[test]
fn an_object_of_the_shop_is_finished() {
    let staging = loaded(&shop(), "staging").expect("it is valid");
    let web =
        &staging.objects.iter().find(|object| object.json["kind"] == "Deployment").expect("it is there").json;
    assert_eq!(web["spec"]["replicas"], 2);
    let image = format!("registry.test/shop/web:1f@sha256:{}", "0".repeat(64));
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], Value::from(image));
    assert_eq!(web["metadata"]["namespace"], "shop-staging");
    assert_eq!(web["metadata"]["labels"]["windlass.dev/project"], "shop");
    let secret = &staging.objects[1].json;
    assert_eq!(secret.get("stringData"), None);
    assert!(secret["data"]["PGPASSWORD"].is_string());
}

#[test]
fn the_shop_is_written_so_that_kubectl_reads_the_same() {
    let objects: Vec<Value> = loaded(&shop(), "production")
        .expect("it is valid")
        .objects
        .into_iter()
        .map(|object| hide_secrets(object.json))
        .collect();
    insta::assert_snapshot!(to_yaml(&objects));
}

#[test]
fn the_pods_of_the_shop_roll_when_its_settings_change() {
    let with_greeting = |greeting: &str| {
        let mut staging = loaded(&shop(), "staging").expect("it is valid");
        staging.objects[0].json["data"]["GREETING"] = greeting.into();
        let hashed = with_config_hashes(staging, b"key");
        let template = |object: &Object| object.json["spec"]["template"]["metadata"]["annotations"].clone();
        hashed
            .objects
            .iter()
            .filter(|object| object.json["kind"] == "Deployment")
            .map(template)
            .collect::<Vec<_>>()
    };
    assert_eq!(with_greeting("a"), with_greeting("a"));
    assert_ne!(with_greeting("a"), with_greeting("b"));
}

#[test]
fn variables_of_windlass_itself() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostname: ${WINDLASS_PROJECT}-${WINDLASS_SLUG}\n  \
                subdomain: ${WINDLASS_TIER}\n  x: ${WINDLASS_IMAGE_WEB}\n";
    let (_root, project) = project(&[("windlass.yaml", CONFIG), (".kube/a.yaml", text)]);
    let spec = loaded(&project, "review/x").expect("it is valid").objects[0].json["spec"].clone();
    assert_eq!(spec["hostname"], "shop-x", "what `*` matched");
    assert_eq!(spec["subdomain"], "review/x");
    assert!(
        spec["x"].as_str().is_some_and(|image| image.starts_with("registry.test/shop/web:1f@sha256:")),
        "{spec}"
    );
}

#[test]
fn a_name_that_one_tier_lacks_is_found_offline() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {type: ExternalName, externalName: \"${DATABASE}\"}\n";
    let (_root, project) = project(&[("windlass.yaml", CONFIG), (".kube/a.yaml", service)]);
    let mistakes = block_on(validate(&project, Schemas::newest())).errors;
    let words: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            ".kube/a.yaml:4:43: `DATABASE` has no value for tier `review/example`",
            ".kube/a.yaml:4:43: `DATABASE` has no value for tier `staging`",
        ]
    );
    let tier = project.tier("staging", &TierOverrides::default()).expect("it exists");
    assert_eq!(block_on(read(&project, &tier)).expect_err("it is a mistake").kind(), Kind::Invalid);
    let tier = project.tier("production", &TierOverrides::default()).expect("it exists");
    assert_eq!(
        block_on(described(&project, &tier)).expect("it is valid").kinds(),
        [("v1".to_owned(), "Service".to_owned())]
    );
}

#[test]
fn the_same_object_twice_is_a_mistake_with_both_places() {
    let object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let other =
        "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web, namespace: shop-staging}\n";
    let (_root, project) =
        project(&[("windlass.yaml", CONFIG), (".kube/a.yaml", object), (".kube/b.yaml", other)]);
    let error = loaded(&project, "staging").expect_err("it is a mistake");
    assert_eq!(error.to_string(), ".kube/b.yaml:1:1: Deployment/web is defined here and at .kube/a.yaml:1:1");
    loaded(&project, "production").expect("there they are in two namespaces");
}

#[test]
fn a_mistake_says_how_many_more_there_are() {
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: [\"${HOTS}\", \"${B}\", \"${C}\"]\n";
    let (_root, project) = project(&[("windlass.yaml", CONFIG), (".kube/a.yaml", text)]);
    let error = loaded(&project, "staging").expect_err("it is a mistake");
    assert_eq!(
        error.hint(),
        Some("did you mean `HOST`? (there are 2 more errors: `windlass validate` shows them all)")
    );
}

#[test]
fn a_directory_of_no_tier_is_found() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let (_root, project) = project(&[
        ("windlass.yaml", CONFIG),
        (".kube/a.yaml", object),
        (".kube/tiers/prodcution/b.yaml", object),
        (".kube/tiers/review/c.yaml", object),
    ]);
    let mistakes = block_on(validate(&project, Schemas::newest())).errors;
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        mistakes[0].to_string(),
        ".kube/tiers/prodcution/b.yaml: the manifest does not belong to a tier of windlass.yaml"
    );
    assert_eq!(mistakes[0].hint(), Some("did you mean the directory `.kube/tiers/production`?"));
    assert_eq!(loaded(&project, "staging").expect("it can be released").warnings.len(), 1);
}

#[test]
fn without_manifests_nothing_can_be_released() {
    let (_root, project) = project(&[("windlass.yaml", CONFIG)]);
    let error = loaded(&project, "staging").expect_err("there is nothing");
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().starts_with("there is no `.kube` directory in "), "{error}");
    assert_eq!(block_on(validate(&project, Schemas::newest())).errors.len(), 1);
}

/// A configuration without tiers.
const NO_TIERS: &str = "version: 1\nproject: shop\nimages: {}\n";

#[test]
fn a_manifest_that_was_exported_is_read_with_a_warning() {
    let exported = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  resourceVersion: \"5\"\n\
                    spec: {type: ExternalName, externalName: a.test}\nstatus: {loadBalancer: {ingress: [{hostname: \"${NOBODY}\"}]}}\n";
    let (_root, project) = project(&[("windlass.yaml", CONFIG), (".kube/a.yaml", exported)]);
    let manifests = loaded(&project, "staging").expect("it is valid");
    let json = &manifests.objects[0].json;
    assert!(json["metadata"].get("resourceVersion").is_none() && json.get("status").is_none(), "{json}");
    let warning = ".kube/a.yaml:5:3: `metadata.resourceVersion` and `status` (line 7) of Service/a were dropped: only \
                   the API server writes them";
    let said = |warnings: &[crate::error::Error]| -> Vec<String> {
        let words = warnings.iter().map(ToString::to_string);
        words.filter(|words| !words.contains("no manifest uses the image")).collect()
    };
    assert_eq!(said(&manifests.warnings), [warning]);
    let of_all = block_on(validate(&project, Schemas::newest())).warnings;
    assert_eq!(said(&of_all), [warning], "once for all tiers");
    let (_root, project) = self::project(&[("windlass.yaml", NO_TIERS), (".kube/a.yaml", exported)]);
    assert_eq!(said(&block_on(validate(&project, Schemas::newest())).warnings), [warning]);
}

#[test]
fn owners_with_a_uid_are_found_without_tiers_too() {
    let owned = "{apiVersion: v1, kind: Pod, metadata: {name: a, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: j, uid: x}]}, \
         spec: {containers: [{name: a, image: b}]}}\n";
    for config in [CONFIG, NO_TIERS] {
        let (_root, project) = project(&[("windlass.yaml", config), (".kube/a.yaml", owned)]);
        let mistakes = block_on(validate(&project, Schemas::newest())).errors;
        assert_eq!(mistakes.len(), 1);
        assert_eq!(
            (mistakes[0].kind(), mistakes[0].place()),
            (Kind::Invalid, Some(&crate::error::Place::at(".kube/a.yaml", 1, 115)))
        );
    }
}

#[test]
fn an_object_that_is_left_alone_is_so_with_what_a_tier_lays_over_it() {
    let object = |metadata: &str, data: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Dashboard\nmetadata: {{name: a{metadata}}}\nspec: {data}\n"
        )
    };
    let off = ", annotations: {windlass.dev/substitute: \"off\"}";
    let (_root, project) = project(&[
        ("windlass.yaml", CONFIG),
        (".kube/a.yaml", &object(off, "{x: \"${HOST}\"}")),
        (".kube/tiers/staging/a.yaml", &object("", "{z: \"${NOBODY}\"}")),
        (".kube/tiers/production/a.yaml", &object(", annotations: {windlass.dev/substitute: null}", "{}")),
    ]);
    let json = |tier: &str| loaded(&project, tier).expect("it is valid").objects[0].json.clone();
    assert_eq!(json("staging")["spec"], json!({"x": "${HOST}", "z": "${NOBODY}"}));
    assert_eq!(json("staging")["metadata"]["annotations"], json!({"windlass.dev/tier": "staging"}));
    assert_eq!(json("production")["spec"], json!({"x": "shop.test"}));
}
