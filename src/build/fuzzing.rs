//! The entrance of the fuzzer: Dockerfiles and `.dockerignore`.

use std::collections::BTreeMap;
use std::path::Path;

use super::dockerfile::Dockerfile;
use crate::build::context::ignore::{Ignore, Matched};
use crate::error::Result;

/// Everything that is asked of a Dockerfile; the steps and messages are those of builders.
pub(crate) fn dockerfile(text: &str, steps: &[(String, String)]) -> String {
    let file = Dockerfile::parse(text);
    let args = [("BASE".to_owned(), "mirror.test".to_owned()), ("EMPTY".to_owned(), String::new())].into();
    let images = file.images(&args, "linux/arm/v7").len() + file.bases(&BTreeMap::new(), "").len();
    let novelty = file.unknown_to(20).map(|one| one.what);
    let found = steps.iter().filter(|(step, message)| file.lines_of(step, message).is_some()).count();
    let named = file.stages().iter().take(20).filter(|stage| file.has_stage(stage)).count();
    let reads = file.reads(None, &args, "linux/arm/v7");
    let read = ["a", "src/main.rs", ".git"]
        .into_iter()
        .filter(|path| reads.includes(path) && reads.needs(path))
        .count();
    format!("{images} images, {named} stages, {novelty:?}, {found} steps, {read} read")
}

/// Which of the paths the rules leave out.
///
/// # Errors
/// Those of the rules.
pub(crate) fn dockerignore(text: &str, paths: &[&str]) -> Result<Vec<bool>> {
    let rules = Ignore::parse(text, Path::new(".dockerignore"))?;
    let ignored = |path: &&str| {
        let answer = rules.check(path, &Matched::default());
        rules.line(&answer).is_some() & rules.ignores(path) & !rules.brings_back_below(path)
    };
    Ok(paths.iter().map(ignored).collect())
}
