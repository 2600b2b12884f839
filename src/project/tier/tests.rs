//! Tiers from strings: names, patterns, variables, namespaces.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::Revision;
use crate::project::Named;
use crate::project::config::read;

const FILE: &str = "version: 1
project: shop
vars: {LOG: info, DB: '${DB_PASSWORD}'}
images: {web: {}}
tests: {unit: {image: web, run: [x]}}
tiers:
  staging: {context: [lab, other], cluster: 3f0c, namespace: shop-staging, vars: {HOST: a, LOG: debug}, timeout: 5m}
  review/*: {context: lab, namespace: 'shop-${WINDLASS_SLUG}', vars: {HOST: '${WINDLASS_SLUG}.test'}, tested: optional}
  review/eu/*: {context: eu, namespace: eu}
  broken: {context: lab, namespace: '${TEAM}-Shop'}
";

fn project(source: &str) -> Project {
    Project {
        name: "shop".to_owned(),
        root: PathBuf::from("/srv/shop"),
        config_file: Some(PathBuf::from("/srv/shop/windlass.yaml")),
        config: read::config(source, Path::new("windlass.yaml"), BTreeMap::new(), &|_| None).unwrap(),
        ..Project::default()
    }
}

fn tier(name: &str) -> Result<Tier> {
    Tier::open(&project(FILE), name, &TierOverrides::default(), &|_| None)
}

#[test]
fn a_tier_is_what_the_configuration_says() {
    let staging = tier("staging").unwrap();
    assert_eq!((staging.slug.as_str(), staging.pattern.as_str()), ("staging", "staging"));
    assert_eq!(staging.contexts, ["lab", "other"]);
    assert_eq!((staging.cluster.as_deref(), staging.namespace.as_str()), (Some("3f0c"), "shop-staging"));
    assert_eq!((staging.timeout.as_secs(), staging.tests_required()), (300, true));
    assert_eq!((staging.vars["HOST"].as_str(), staging.vars["LOG"].as_str()), ("a", "debug"));
    assert!(staging.given.is_empty());
}

#[test]
fn an_environment_is_of_the_tier_of_its_name() {
    let other =
        |environment: &str, name: &str| of_environment(&project(FILE), environment, &tier(name).unwrap());
    assert_eq!(other("review/x", "staging").as_deref(), Some("review/*"));
    assert_eq!(other("Staging", "review/x").as_deref(), Some("staging"));
    for (environment, name) in [
        ("", "staging"),
        ("staging", "staging"),
        ("STAGING", "staging"),
        ("review/feature-x", "review/Feature_X"),
        ("production", "staging"),
    ] {
        assert_eq!(other(environment, name), None, "{environment}");
    }
}

#[test]
fn a_pattern_makes_a_tier_of_every_name() {
    let review = tier("review/Feature_X").unwrap();
    assert_eq!(
        (review.pattern.as_str(), review.slug.as_str()),
        ("review/*", slug("review/Feature_X").as_str())
    );
    let matched = slug("Feature_X");
    assert_eq!(review.namespace, format!("shop-{matched}"), "WINDLASS_SLUG is of what `*` matched");
    assert_eq!(review.vars["HOST"], format!("{matched}.test"));
    assert_eq!(tier("review/x").unwrap().namespace, "shop-x");
    assert_eq!(review.own["WINDLASS_TIER"], "review/Feature_X");
    assert!(!review.tests_required());
    assert_eq!(tier("review/eu/x").unwrap().pattern, "review/eu/*");
}

#[test]
fn a_namespace_that_is_given_may_have_the_slug() {
    let namespace = |name: &str, configured: bool| {
        let project = if configured { project(FILE) } else { Project::default() };
        let overrides = TierOverrides {
            context: Some("lab".to_owned()),
            namespace: Some("shop-review-${WINDLASS_SLUG}".to_owned()),
            ..TierOverrides::default()
        };
        let tier = Tier::open(&project, name, &overrides, &|_| None).unwrap();
        assert!(tier.given.contains(&("namespace".to_owned(), tier.namespace.clone())), "{:?}", tier.given);
        tier.namespace
    };
    let long = format!("review/{}", "feature-".repeat(8));
    for name in ["review/Feature_X", "staging", long.as_str()] {
        assert_eq!(
            namespace(name, true),
            namespace(name, false),
            "the same with and without a configuration"
        );
    }
    assert_eq!(namespace("review/x", false), "shop-review-x");
    assert_eq!(namespace("staging", false), "shop-review-staging");
}

#[test]
fn a_variable_without_a_value_stops_a_release_and_no_rollback() {
    let staging = tier("staging").unwrap();
    assert!(!staging.vars.contains_key("DB"));
    let error = staging.variables().unwrap_err();
    assert_eq!(error.to_string(), "windlass.yaml:3:23: `DB_PASSWORD` has no value (in `vars.DB`)");
    let mut project = project(FILE);
    project.vars.insert("DB".to_owned(), "x".to_owned());
    project.revision = Some(Revision { commit: "1f3c".to_owned(), ..Revision::default() });
    let staging = Tier::open(&project, "staging", &TierOverrides::default(), &|_| None).unwrap();
    let all = staging.variables().unwrap();
    assert_eq!((all["DB"].as_str(), all["WINDLASS_COMMIT"].as_str()), ("x", "1f3c"));
    assert!(!all.contains_key("WINDLASS_BRANCH"));
}

#[test]
fn unknown_tiers_are_refused_with_the_nearest() {
    let error = tier("stagign").unwrap_err();
    assert_eq!(error.to_string(), "windlass.yaml: there is no tier `stagign`");
    assert_eq!(
        error.hint(),
        Some("did you mean `staging`? The tiers are: broken, review/*, review/eu/*, staging")
    );
    assert_eq!(tier("review/*").unwrap_err().hint(), Some("name one of them, such as `review/feature-x`"));
    assert_eq!(tier("review/").unwrap_err().kind(), Kind::Invalid);
    let only_context = TierOverrides { context: Some("lab".to_owned()), ..TierOverrides::default() };
    assert!(Tier::open(&Project::default(), "staging", &only_context, &|_| None).is_err());
}

#[test]
fn context_and_namespace_are_enough_without_a_configuration() {
    let overrides = TierOverrides {
        context: Some("lab".to_owned()),
        namespace: Some("shop".to_owned()),
        ..TierOverrides::default()
    };
    let project = Project { name: "shop".to_owned(), named: Named::Given, ..Project::default() };
    let tier = Tier::open(&project, "qa", &overrides, &|_| None).unwrap();
    assert_eq!((tier.contexts[0].as_str(), tier.namespace.as_str()), ("lab", "shop"));
    let given = [("project", "shop"), ("context", "lab"), ("namespace", "shop")];
    assert_eq!(tier.given, given.map(|(flag, value)| (flag.to_owned(), value.to_owned())));
    assert!(!tier.tests_required());
}

#[test]
fn a_namespace_must_be_one() {
    let open = |value: &'static str| {
        Tier::open(&project(FILE), "broken", &TierOverrides::default(), &move |_| Some(value.to_owned()))
    };
    assert_eq!(open("a").unwrap_err().to_string(), "windlass.yaml:10:37: `a-Shop` cannot be a namespace");
    assert_eq!(
        tier("broken").unwrap_err().to_string(),
        "windlass.yaml:10:37: `TEAM` has no value (in `tiers.broken.namespace`)"
    );
    let elsewhere = TierOverrides { namespace: Some("shop".to_owned()), ..TierOverrides::default() };
    assert_eq!(Tier::open(&project(FILE), "broken", &elsewhere, &|_| None).unwrap().namespace, "shop");
}
