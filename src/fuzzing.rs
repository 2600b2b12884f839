//! Everything that reads what comes from outside, as functions of bytes. This is the entrance of the fuzzer in `tests/fuzz`
//! and of nothing else: no promise to anybody.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::expression::Expression;
use crate::model::{PinnedImage, labels};
use crate::project::{GitFacts, Options, Project, TestConfig, Tier};
use crate::report::Reporter;
use crate::report::view::View;
use crate::rollout::explain;
use crate::session::Session;
use crate::{build, cluster, init, manifest, project, registry, test, tier};

/// The line between the parts of an input that has more than one.
pub const CUT: &str = "\n---8<---\n";

/// What a reader made of an input: the same sentences for inputs that took the same way.
pub type Signs = Vec<String>;

/// Reads an input.
pub type Reader = fn(&[u8]) -> Signs;

/// Readers by their names.
pub const TARGETS: [(&str, Reader); 15] = [
    ("manifests", manifests),
    ("dumps", dumps),
    ("windlass-yaml", windlass_yaml),
    ("dockerfiles", dockerfiles),
    ("dockerignore", dockerignore),
    ("kubeconfigs", kubeconfigs),
    ("docker-configs", docker_configs),
    ("history", history),
    ("records", records),
    ("registry-answers", registry_answers),
    ("test-logs", test_logs),
    ("junit", junit),
    ("archives", archives),
    ("expressions", expressions),
    ("first-files", first_files),
];

/// The project whose manifests are read: variables of each sort, images, a test with reports.
const PROJECT: &str = r#"version: 1
project: shop
registry: registry.test/shop
vars: {HOST: shop.test, REPLICAS: "2", EMPTY: "", LOG_LEVEL: info, LONG: "${HOST}${HOST}${HOST}${HOST}", NONE: "${NOBODY}"}
images: {web: {}, worker: {}}
tests:
  unit: {image: web, run: [sh], reports: {junit: [/out/*.xml, "/out/**/deep.xml"], coverage: [/out/coverage]}}
secrets:
  api: {token: {env: API_TOKEN}}
tiers:
  staging: {context: lab, namespace: shop-staging, vars: {REPLICAS: 3}}
"#;

struct Shop {
    project: Project,
    tier: Tier,
    test: TestConfig,
    images: BTreeMap<String, PinnedImage>,
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let project = project::fuzzing::of_text(PROJECT).expect("the project is right");
    let tier = project.tier("staging", &project::TierOverrides::default()).expect("it has the tier");
    let image = |name: &str| {
        let text = format!("registry.test/shop/{name}:c@sha256:{}", "1".repeat(64));
        text.parse().expect("it is pinned")
    };
    let images = ["web", "worker"].map(|name| (name.to_owned(), image(name))).into();
    let test = project.config.tests["unit"].clone();
    Shop { project, tier, test, images }
});

/// Of an error everything that a person would see.
fn sign(error: &Error) -> String {
    let words = [Some(error.message()), error.hint()].into_iter().flatten();
    let _ = (error.to_string(), error.snippet());
    format!("{:?} {}", error.kind(), words.collect::<Vec<_>>().join("; "))
}

fn signs(result: Result<String>) -> Signs {
    vec![result.unwrap_or_else(|error| sign(&error))]
}

fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

fn manifests(input: &[u8]) -> Signs {
    let cut = input.windows(CUT.len()).position(|window| window == CUT.as_bytes());
    let (base, own) = input.split_at(cut.unwrap_or(input.len()));
    let own = own.strip_prefix(CUT.as_bytes()).unwrap_or_default();
    match manifest::fuzzing::manifests(&SHOP.project, &SHOP.tier, &SHOP.images, [base, own]) {
        Ok(objects) => {
            let kinds = objects.iter().map(|one| one["kind"].as_str().unwrap_or_default().to_owned());
            let mut signs: Signs = kinds.chain(manifest::of_unknown_scope(&objects)).collect();
            signs.extend(objects.iter().map(|one| manifest::referred_settings(one).len().min(9).to_string()));
            signs
        }
        Err(mistakes) => mistakes.iter().map(sign).collect(),
    }
}

fn dumps(input: &[u8]) -> Signs {
    let now: Timestamp = "2026-10-03T14:00:00Z".parse().expect("it is a time");
    match explain::explain(&text(input), "dump", now, &Arc::default(), &Reporter::silent()) {
        Ok(explained) => {
            let say = |one: &explain::Explained| {
                let (json, _) = (one.view().to_json(), one.view().to_text());
                format!("{} {} {}", json["kind"], json["verdict"], json["cause"])
            };
            explained.iter().map(say).collect()
        }
        Err(error) => vec![sign(&error)],
    }
}

fn windlass_yaml(input: &[u8]) -> Signs {
    match project::fuzzing::windlass_yaml(&text(input)) {
        Ok(tiers) => {
            let say = |tier: &Result<Tier>| match tier {
                Ok(tier) => format!("{} variables", tier.vars.len().min(9)),
                Err(error) => sign(error),
            };
            tiers.iter().map(say).collect()
        }
        Err(error) => vec![sign(&error)],
    }
}

/// An expression, and behind the line the object that it is asked of.
fn expressions(input: &[u8]) -> Signs {
    let input = text(input);
    let (expression, object) = input.split_once(CUT).unwrap_or((&input, "{}"));
    let object: Value = serde_json::from_str(object).unwrap_or_default();
    let sign = match Expression::compile(expression) {
        Ok(expression) if expression.asks_all_of_a_filter() => expression.source().len().min(9).to_string(),
        Ok(expression) => match (expression.holds(&object), expression.words(&object)) {
            (Ok(holds), _) => holds.to_string(),
            (Err(_), Some(_)) => "words".to_owned(),
            // What stands in it is left out: each name would be another way.
            (Err(error), None) => error.split(['`', ':']).next().unwrap_or_default().to_owned(),
        },
        Err(fault) => fault.message.split('`').next().unwrap_or_default().to_owned(),
    };
    vec![sign]
}

fn dockerfiles(input: &[u8]) -> Signs {
    let input = text(input);
    let (file, steps) = input.split_once(CUT).unwrap_or((&input, ""));
    let step = |line: &str| {
        let (step, message) = line.split_once('|').unwrap_or((line, line));
        (step.to_owned(), message.to_owned())
    };
    let steps: Vec<_> = steps.lines().take(20).map(step).collect();
    vec![build::fuzzing::dockerfile(file, &steps)]
}

fn dockerignore(input: &[u8]) -> Signs {
    let input = text(input);
    let (rules, paths) = input.split_once(CUT).unwrap_or((&input, "src/main.rs\ntarget/debug/x"));
    let paths: Vec<&str> = paths.lines().filter(|path| !path.is_empty()).take(20).collect();
    let answers = build::fuzzing::dockerignore(rules, &paths);
    signs(answers.map(|answers| answers.iter().map(|one| if *one { 'x' } else { '.' }).collect()))
}

fn kubeconfigs(input: &[u8]) -> Signs {
    signs(cluster::fuzzing::kubeconfig(input, &["lab", "dev", "prod"]))
}

fn docker_configs(input: &[u8]) -> Signs {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let find = |host: &str| {
        let found = runtime.block_on(registry::fuzzing::docker_config(&text(input), host))?;
        Ok(found
            .map_or("nobody".to_owned(), |one| format!("{} {}", one.source, one.identity_token.is_some())))
    };
    ["registry.test:5000", "docker.io"].into_iter().flat_map(|host| signs(find(host))).collect()
}

fn history(input: &[u8]) -> Signs {
    let text = text(input);
    let (lines, attempts) = text.split_once(CUT).unwrap_or((&text, "[]"));
    let map: Value = serde_json::from_str(lines).unwrap_or_default();
    let history = if map["data"].is_object() {
        map
    } else {
        let lines = lines.lines().enumerate().map(|(at, line)| (format!("r{at}"), json!(line)));
        json!({"metadata": {"name": "h"}, "data": lines.collect::<serde_json::Map<_, _>>()})
    };
    let attempts = json!({"metadata": {"name": "a"}, "data": {"attempts": attempts}});
    signs(tier::fuzzing::history(&history, &attempts))
}

/// The bytes that lie in the cluster, or else the JSON in them.
fn records(input: &[u8]) -> Signs {
    use std::io::Write as _;
    let head = json!({"metadata": {"name": "r", "annotations": {labels::FORMAT: "2"}}});
    let packed = || {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(input).and_then(|()| encoder.finish()).unwrap_or_default()
    };
    let bytes = if input.starts_with(&[0x1f, 0x8b]) { input.to_vec() } else { packed() };
    let record = crate::record::fuzzing::record(&head, &bytes);
    signs(record.map(|record| format!("{} objects, {:?}", record.objects.len().min(9), record.summary.kind)))
}

fn registry_answers(input: &[u8]) -> Signs {
    let cut = input.windows(CUT.len()).position(|window| window == CUT.as_bytes());
    let (body, header) = cut.map_or((input, &b""[..]), |at| (&input[..at], &input[at + CUT.len()..]));
    vec![registry::fuzzing::answer(body, &text(header))]
}

fn test_logs(input: &[u8]) -> Signs {
    vec![test::fuzzing::log(&text(input), "windlass-report-0123")]
}

fn junit(input: &[u8]) -> Signs {
    vec![test::fuzzing::junit(&text(input))]
}

fn archives(input: &[u8]) -> Signs {
    signs(test::fuzzing::archive(&SHOP.test, input))
}

/// A repository with this compose file, and behind the line this Dockerfile, for which `init` writes the first files. Whatever it came
/// upon, what it writes can be read.
fn first_files(input: &[u8]) -> Signs {
    let input = text(input);
    let (compose, dockerfile) = input.split_once(CUT).unwrap_or((&input, "FROM scratch\n"));
    let root = std::env::current_dir().unwrap_or_default().join("first-files");
    let _ = std::fs::remove_dir_all(&root);
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text);
    let written = std::fs::create_dir_all(&root).and_then(|()| write("Dockerfile", dockerfile));
    written.and_then(|()| write("compose.yaml", compose)).expect("a file can be written");
    let project = || {
        let options = Options { directory: root.clone(), ..Options::default() };
        Project::open(&options, GitFacts::default(), &|_| None)
    };
    let request = init::Request {
        from: (!compose.is_empty()).then(|| root.join("compose.yaml")),
        context: Some("lab".to_owned()),
        ..init::Request::default()
    };
    let session = Session::new(Reporter::silent());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = project().and_then(|project| runtime.block_on(init::init(&session, &project, &request)));
    let made = match made {
        Ok(made) => made,
        Err(error) => return vec![sign(&error)],
    };
    if let Err(error) = project() {
        panic!("windlass.yaml cannot be read: {error}");
    }
    let mut signs = vec![format!("{} notes", made.left_aside.len().min(9))];
    for (file, _) in made.files.iter().filter(|(file, _)| file.starts_with(".kube")) {
        let text = std::fs::read(root.join(file)).unwrap_or_default();
        match manifest::fuzzing::documents(&text) {
            Ok(documents) => signs.push(format!("{documents} documents")),
            Err(error) => panic!("{} cannot be read: {error}", file.display()),
        }
    }
    signs
}
