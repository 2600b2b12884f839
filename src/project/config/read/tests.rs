//! `windlass.yaml` read from strings, and the two that this repository has.

use super::*;

fn read(source: &str) -> Result<Config> {
    read_with(source, &|_| None)
}

fn read_with(source: &str, lookup: Lookup<'_>) -> Result<Config> {
    config(source, Path::new("windlass.yaml"), BTreeMap::new(), lookup)
}

fn fixture(path: &str) -> Config {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    read(&source).unwrap()
}

#[test]
fn the_shop_is_read() {
    let config = fixture("fixtures/shop/windlass.yaml");
    assert_eq!(config.project.as_deref(), Some("shop"));
    assert_eq!(config.registry.as_deref(), Some("registry.example.com/shop"));
    assert_eq!(config.vars["POSTGRES_IMAGE"], "${BASE:-docker.io/library}/postgres:15");
    let web = &config.images["web"];
    assert_eq!((web.context.as_path(), web.dockerfile.as_path()), (Path::new("."), Path::new("Dockerfile")));
    assert_eq!((web.target.as_deref(), web.args["BASE"].as_str()), (Some("runtime"), "docker.io/library"));
    let unit = &config.tests["unit"];
    assert_eq!(unit.run, ["python3", "-m", "tests"]);
    assert_eq!((unit.timeout.as_secs(), unit.env["PGHOST"].as_str()), (120, "db"));
    assert_eq!(unit.reports["junit"], ["/tmp/reports/*.xml"]);
    let db = &unit.services["db"];
    assert_eq!(db.image, "docker.io/library/postgres:15");
    let ready = db.ready.as_ref().unwrap();
    assert_eq!((ready.command.len(), ready.timeout.as_secs()), (5, 60));
    let staging = &config.tiers["staging"];
    assert_eq!(
        (staging.contexts.as_slice(), staging.namespace.as_str()),
        (["lab-real".to_owned()].as_slice(), "shop-staging")
    );
    assert_eq!((staging.vars["REPLICAS"].as_str(), staging.timeout.as_secs()), ("2", 300));
}

#[test]
fn the_pipelines_configurations_are_read() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let config = fixture(&format!("pipelines/{name}/windlass.yaml"));
        assert_eq!(config.tiers["production"].namespace, "shop", "{name}");
        assert_eq!(config.tiers["production"].after.as_deref(), Some("staging"), "{name}");
        assert_eq!(config.tiers.contains_key("review/*"), name == "review-apps", "{name}");
        assert_eq!(config.images.len(), if name == "several-images" { 2 } else { 1 }, "{name}");
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = read(
        "version: 1\nproject:\nimages: {web: {context: server}, all:}\ntests: {t: {image: web, run: [x]}}\n\
         tiers: {review/*: {context: [a, b], namespace: x, rollback: auto, on_cancel: rollback, vars: {N: 2, B: yes}}}\n",
    )
    .unwrap();
    assert_eq!(config.project, None);
    assert_eq!(config.images["web"].dockerfile, Path::new("server/Dockerfile"));
    assert_eq!(config.images["all"].context, Path::new("."));
    let tier = &config.tiers["review/*"];
    assert_eq!((tier.contexts.len(), tier.timeout, tier.tested), (2, TEN_MINUTES, None));
    assert_eq!((tier.vars["N"].as_str(), tier.vars["B"].as_str()), ("2", "yes"));
    assert!(!config.insecure);
    assert!(read("version: 1\ninsecure: true\nimages: {}\n").unwrap().insecure);
}

/// `release::verify` hashes it into records, which exist: a name in it that changes has every tier verified once more.
#[test]
fn a_test_is_written_as_records_have_it() {
    let config =
        read("version: 1\nimages: {web: }\ntests: {t: {image: web, run: [x], on: cluster}}\n").unwrap();
    assert_eq!(
        format!("{:?}", config.tests["t"]),
        "TestConfig { image: \"web\", run: [\"x\"], on: Cluster, services: {}, env: {}, reports: {}, timeout: 600s, needs: [], \
         matrix: {}, parallel: 1, retry: 0, memory: None, cpus: None }"
    );
}

#[test]
fn what_an_image_needs_is_a_list_or_names_its_arguments() {
    let config =
        read("version: 1\nimages: {base-os: , web: {needs: [base-os]}, job: {needs: {FROM: web}}}\n")
            .unwrap();
    assert_eq!(config.images["web"].needs["WINDLASS_IMAGE_BASE_OS"], "base-os");
    assert_eq!(config.images["job"].needs["FROM"], "web");
}

#[test]
fn a_test_may_have_a_matrix_and_limits() {
    let config = read(
        "version: 1\nimages: {web: }\ntests:\n  a: {image: web, run: [x]}\n  \
         b: {image: web, run: [x], needs: [a], matrix: {N: [1, 1.10]}, parallel: 3, retry: 2, memory: 64Mi, cpus: 0.5}\n",
    )
    .unwrap();
    let (a, b) = (&config.tests["a"], &config.tests["b"]);
    assert_eq!((a.parallel, a.retry, a.memory, a.cpus), (1, 0, None, None));
    assert_eq!((b.needs.join(","), b.matrix["N"].join(",")), ("a".to_owned(), "1,1.10".to_owned()));
    assert_eq!((b.parallel, b.retry, b.memory, b.cpus), (3, 2, Some(64 << 20), Some(500)));
}

#[test]
fn the_environment_is_asked_where_the_contract_says_it() {
    let source = "version: 1\nregistry: ${REGISTRY}/shop\nimages: {web: {args: {A: '${A}$$', B: \"${B:-b}\"}}}\n\
                  vars: {V: '${A}'}\ntests: {t: {image: web, run: ['${A}'], env: {E: '${A}'}}}\n";
    let config = read_with(source, &|name| Some(format!("<{name}>"))).unwrap();
    assert_eq!(config.registry.as_deref(), Some("<REGISTRY>/shop"));
    assert_eq!(
        (config.images["web"].args["A"].as_str(), config.images["web"].args["B"].as_str()),
        ("<A>$", "<B>")
    );
    assert_eq!((config.vars["V"].as_str(), config.tests["t"].run[0].as_str()), ("${A}", "${A}"));
    assert_eq!((config.tests["t"].env["E"].as_str(), config.missing.len()), ("${A}", 0));
    let config = read(source).unwrap();
    let missing: Vec<_> = config.missing.iter().map(|(_, error)| error.to_string()).collect();
    assert_eq!(
        missing,
        [
            "windlass.yaml:2:11: `REGISTRY` has no value (in `registry`)",
            "windlass.yaml:3:26: `A` has no value (in `images.web.args.A`)"
        ]
    );
}

/// A file, what is said about it, and the hint.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("", "windlass.yaml: `version` is missing", "begin with `version: 1`"),
    ("project: shop\n", "windlass.yaml:1:1: `version` is missing", "begin with `version: 1`"),
    (
        "version: 2\n",
        "windlass.yaml:1:10: the version `2` of windlass.yaml is not known",
        "write `version: 1`",
    ),
    ("- 1\n", "windlass.yaml:1:1: `windlass.yaml` must be a map, not a list", ""),
    ("version: 1\nimges: {}\n", "windlass.yaml:2:1: unknown key `imges`", "did you mean `images`?"),
    (
        "version: 1\nimages: {web: {contxt: .}}\n",
        "windlass.yaml:2:16: unknown key `contxt`",
        "did you mean `context`?",
    ),
    (
        "version: 1\nimages: {web: {frobnicate: .}}\n",
        "windlass.yaml:2:16: unknown key `frobnicate`",
        "the keys here are context, dockerfile, target, args, needs, cache, secrets, ssh, platforms, tags, labels, annotations, \
         contexts, extra_hosts, network, shm_size, ulimits, entitlements, timeout, matrix",
    ),
    ("version: 1\nimages: [web]\n", "windlass.yaml:2:9: `images` must be a map, not a list", ""),
    (
        "version: 1\nimages: {Web: {}}\n",
        "windlass.yaml:2:10: `Web` cannot be an image's name",
        "a-z and 0-9, with single `.`, `_` or `-` between them",
    ),
    (
        "version: 1\nimages: {web: }\ntests:\n  unit: {image: wbe, run: [x]}\n",
        "windlass.yaml:4:17: `tests.unit.image` names the image `wbe`, which is not in `images`",
        "did you mean `web`? The images are: web",
    ),
    (
        "version: 1\nimages: {web: {needs: [bse]}, base: }\n",
        "windlass.yaml:2:24: `images.web.needs` names the image `bse`, which is not in `images`",
        "did you mean `base`? The images are: base, web",
    ),
    (
        "version: 1\nimages: {web: {needs: {A: base}}, base: {needs: [web]}}\n",
        "windlass.yaml:2:50: the images need each other: base → web → base",
        "",
    ),
    (
        "version: 1\nimages: {web: {args: {A: 1}, needs: {A: base}}, base: }\n",
        "windlass.yaml:2:41: the argument `A` is in both `args` and `needs`",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests:\n  unit: {image: web}\n",
        "windlass.yaml:4:9: `tests.unit` has no `run`",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {unit: {image: web, run: [x]}, e2e: {image: web, run: [x], needs: [unti]}}\n",
        "windlass.yaml:3:75: `tests.e2e.needs` names the test `unti`, which does not exist",
        "did you mean `unit`? The tests are: e2e, unit",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {b: {image: web, run: [x], needs: [a]}, a: {image: web, run: [x], needs: [b]}}\n",
        "windlass.yaml:3:82: the tests need each other: a → b → a",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {a: {image: web, run: [x], matrix: {A: []}}}\n",
        "windlass.yaml:3:47: `tests.a.matrix.A` has no value",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {a: {image: web, run: [x], retry: 9}}\n",
        "windlass.yaml:3:42: `tests.a.retry` must be a number from 0 to 5, not `9`",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {a: {image: web, run: [x], memory: 5}}\n",
        "windlass.yaml:3:43: `tests.a.memory`: `5` is not an amount of memory",
        "write `512Mi` or `2Gi`; 6Mi is the least",
    ),
    (
        "version: 1\nimages: {web: }\ntests:\n  unit: {image: web, run: make test}\n",
        "windlass.yaml:4:27: `tests.unit.run` must be a list, not a single value",
        "write `[sh, -c, \"make test\"]`",
    ),
    (
        "version: 1\nimages: {web: }\ntests:\n  unit: {image: web, run: [x], timeout: 5}\n",
        "windlass.yaml:4:41: `tests.unit.timeout`: `5` is not a duration",
        "write `90s`, `5m` or `1h30m`",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {u: {image: web, run: [x], services: {db: {image: x, ready: {tcp: no}}}}}\n",
        "windlass.yaml:3:74: `tests.u.services.db.ready.tcp` must be a port, not `no`",
        "",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {u: {image: web, run: [x], services: {db: {image: x, ready: {timeout: 5s}}}}}\n",
        "windlass.yaml:3:68: `tests.u.services.db.ready` does not say when the service is ready",
        "`command`, `tcp`, `http` or `log`",
    ),
    (
        "version: 1\ntiers: {staging: {context: a}}\n",
        "windlass.yaml:2:18: `tiers.staging` has no `namespace`",
        "",
    ),
    (
        "version: 1\ntiers: {staging: {context: [], namespace: x}}\n",
        "windlass.yaml:2:28: `tiers.staging.context` names no context",
        "",
    ),
    (
        "version: 1\ntiers: {staging: {context: a, namespace: x, rollback: never}}\n",
        "windlass.yaml:2:55: `tiers.staging.rollback` must be `manual` or `auto`, not `never`",
        "",
    ),
    (
        "version: 1\ntiers: {s*: {context: a, namespace: x}}\n",
        "windlass.yaml:2:9: `s*` cannot be a tier's name",
        "letters, digits, `.`, `_` and `-`, with `/` between parts; `review/*` matches all that begin with `review/`",
    ),
    (
        "version: 1\nvars: {A: }\n",
        "windlass.yaml:2:9: `vars.A` has no value",
        "write \"\" for an empty string",
    ),
    ("version: 1\nvars: {A: [1]}\n", "windlass.yaml:2:11: `vars.A` must be a single value, not a list", ""),
    (
        "version: 1\nvars: {a-b: 1}\n",
        "windlass.yaml:2:8: `a-b` cannot be a variable's name",
        "letters, digits and `_`, no digit first",
    ),
    (
        "version: 1\nregistry: ${X\n",
        "windlass.yaml:2:11: `${X` is not `${NAME}` or `${NAME:-default}` (in `registry`)",
        "write `$$` for a literal dollar",
    ),
    (
        "version: 1\nhealth: {Widget.example.com: {ready: {/status/phase: Up}}}\n",
        "windlass.yaml:2:10: `health` must be a list of rules in CEL: JSON pointers are no longer supported",
        "write `- {apiVersion: example.com/v1, kind: Widget, current: \"status.phase == 'Up'\"}` with the version of the kind",
    ),
    (
        "version: 1\nhealth: [{apiVersion: example.com/v1, kind: Widget, current: status.phase == Up}]\n",
        "windlass.yaml:2:78: `health[0].current` is not an expression in CEL: unknown variable `Up`",
        "the variables are apiVersion, kind, metadata, spec, status, data; strings are in quotes",
    ),
    (
        "version: 1\nhealth: [{apiVersion: example.com, kind: Widget, current: \"true\"}]\n",
        "windlass.yaml:2:23: `example.com` is not an apiVersion",
        "write `group/version`, such as `cert-manager.io/v1`",
    ),
    (
        "version: 1\ntiers: {p: {context: a, namespace: b, verify: {}}}\n",
        "windlass.yaml:2:47: `tiers.p.verify` checks nothing",
        "add `http`, `test` or `soak`",
    ),
    (
        "version: 1\ntiers: {p: {context: a, namespace: b, verify: {soak: 1m, for: 2s}}}\n",
        "windlass.yaml:2:47: `tiers.p.verify.for` needs `http`",
        "add an address: `http: \"https://${HOST}/health\"`",
    ),
    (
        "version: 1\nimages: {web: }\ntests: {smoke: {image: web, run: [a]}}\ntiers: {p: {context: a, namespace: b, verify: {test: smoek}}}\n",
        "windlass.yaml:4:47: `tiers.p.verify.test` names no test: `smoek`",
        "did you mean `smoke`? The tests are: smoke",
    ),
    ("version: 1\nproject: a\nproject: b\n", "windlass.yaml:3:1: duplicate key `project`", ""),
    (
        "version: 1\nbuilder: http://buildkitd\n",
        "windlass.yaml:2:10: `builder` must be like tcp://buildkitd:1234 or unix:///run/buildkit/buildkitd.sock, or the name of a builder of `docker buildx`, not `http://buildkitd`",
        "",
    ),
    (
        "version: 1\nbuilder: {address: \"tcp://b:1\", ca: a, cert: b}\n",
        "windlass.yaml:2:10: `builder.cert` and `builder.key` belong together",
        "",
    ),
    (
        "version: 1\nimages: {app: {platforms: [linux/amd64, arm64]}}\n",
        "windlass.yaml:2:27: `images.app.platforms` has `arm64`, which is not a platform",
        "write `linux/amd64` or `linux/arm/v7`",
    ),
    (
        "version: 1\nimages: {app: {tags: [v1, a b]}}\n",
        "windlass.yaml:2:22: `images.app.tags` has `a b`, which is not a valid tag",
        "letters, digits, `.`, `_` and `-`, no `.` or `-` first, 128 at most",
    ),
    (
        "version: 1\nimages: {app: {ulimits: {nofile: many}}}\n",
        "windlass.yaml:2:34: `images.app.ulimits.nofile` must be a number, not `many`",
        "`-1` means no limit",
    ),
    (
        "version: 1\nimages: {app: {entitlements: [network.hots]}}\n",
        "windlass.yaml:2:30: `images.app.entitlements` has `network.hots`, which is none",
        "did you mean `network.host`? The entitlements are: network.host, security.insecure",
    ),
    (
        "version: 1\nimages: {app: {cache: {mode: most}}}\n",
        "windlass.yaml:2:30: `images.app.cache.mode` must be `inline` or `max`, not `most`",
        "",
    ),
    (
        "version: 1\nimages: {app: {shm_size: much}}\n",
        "windlass.yaml:2:26: `images.app.shm_size`: `much` is not a size",
        "write `64Mi` or `1Gi`",
    ),
    (
        "version: 1\nimages: {a-1: {}, a: {matrix: {N: [1]}}}\n",
        "windlass.yaml:2:19: two images are called `a-1`",
        "",
    ),
    (
        "version: 1\nimages: {a: {args: {N: x}, matrix: {N: [1]}}}\n",
        "windlass.yaml:2:10: the argument `N` is in `matrix` and in `args` or `needs`",
        "",
    ),
];

#[test]
fn a_tier_has_secrets_and_external_objects_of_its_own() {
    let config = read(
        "version: 1\nsecrets: {db: {password: {env: A}}}\nexternal: [Secret/a]\ntiers:\n  \
         staging: {context: lab, namespace: s, secrets: {db: {password: {env: B}}, own: {key: {file: f}}}, external: [Secret/b]}\n",
    )
    .unwrap();
    let tier = &config.tiers["staging"];
    assert_eq!(tier.secrets.keys().collect::<Vec<_>>(), ["db", "own"]);
    assert_eq!(tier.external[0].text, "Secret/b");
    assert_eq!(config.all_secrets().count(), 3);
}

#[test]
fn every_mistake_has_its_place_and_says_what_would_be_right() {
    for &(source, said, hint) in MISTAKES {
        let error = read(source).unwrap_err();
        assert_eq!(error.to_string(), said);
        assert_eq!(error.hint().unwrap_or_default(), hint, "{said}");
        assert_eq!(error.kind(), Kind::Invalid, "{said}");
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = include_str!("../../../../docs/configuration.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = read(example).unwrap();
    assert_eq!((config.tiers.len(), config.images.len(), config.health.len()), (3, 2, 1));
}

#[test]
fn what_is_not_built_says_so() {
    for (key, place) in [("notify: {}", "2:1"), ("tiers: {review/*: {ttl: 7d}}", "2:20")] {
        let error = read(&format!("version: 1\n{key}\n")).unwrap_err();
        assert!(error.to_string().starts_with(&format!("windlass.yaml:{place}: the key ")), "{error}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    let error = read("version: 1\nimages: {app: {}}\ntests: {a: {secrets: {}}}\n").unwrap_err();
    let said = "windlass.yaml:3:13: the key `secrets` is not implemented";
    assert_eq!((error.to_string().as_str(), error.kind()), (said, Kind::Usage));
}
