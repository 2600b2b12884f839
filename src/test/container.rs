//! Starting the container of a test or of a service.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Runner, unmade};
use crate::engine::fault::{self, StartFailure};
use crate::engine::{Container, ContainerSpec, Owner};
use crate::error::{Error, Kind, Result};
use crate::model::Stream;

/// What is to be started.
pub(super) struct Spec<'a> {
    /// `test unit`, `service unit/db`: for the labels.
    pub(super) role: &'a str,
    /// As the Engine takes it.
    pub(super) image: String,
    /// Instead of the image's own command.
    pub(super) command: Option<&'a [String]>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) network: &'a str,
    /// Its name for the others.
    pub(super) alias: &'a str,
    /// Bytes, and thousandths of a processor.
    pub(super) memory: Option<u64>,
    pub(super) cpus: Option<u32>,
}

/// Creates and starts it; `hear` gets every line, the first one included.
///
/// # Errors
/// [`Kind::TestNotRun`] with the reason of the Engine; [`Kind::Unreachable`] where the Engine is gone.
pub(super) async fn start(
    runner: &Runner<'_>,
    spec: &Spec<'_>,
    hear: impl FnMut(Stream, &str) + Send + 'static,
) -> Result<Container> {
    let engine = runner.engine()?;
    let container = ContainerSpec {
        name: name(&runner.owner, spec.role),
        labels: runner.labels(spec.role).await?,
        image: spec.image.clone(),
        command: spec.command.map(<[String]>::to_vec),
        env: spec.env.clone(),
        network: spec.network.to_owned(),
        alias: spec.alias.to_owned(),
        memory: spec.memory,
        cpus: spec.cpus,
    };
    let creating = engine.clone();
    let created = runner.making.spawn(async move { creating.create_container(container).await });
    let started =
        async { Container::start(engine, created.await.map_err(|error| unmade(&error))??, hear).await };
    started.await.map_err(|error| cannot_start(spec, error))
}

/// Unique in the Engine, and a person sees whose it is: `windlass-64a1f3-7-0-test-unit`.
pub(super) fn name(owner: &Owner, role: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let role: String =
        role.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    format!("windlass-{}-{}-{role}", owner.run(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn cannot_start(spec: &Spec<'_>, error: Error) -> Error {
    if error.kind() != Kind::TestNotRun {
        return error;
    }
    let error = error.context(format_args!("the {} cannot start", spec.role));
    let lacks = |program: &&String| error.find::<StartFailure>().is_some_and(|why| why.lacks(program));
    if let Some(program) = spec.command.and_then(<[String]>::first).filter(lacks) {
        let hint =
            format!("`{program}` is not in the image: no shell reads `run`, the first word is the program");
        return error.with_hint(hint);
    }
    match fault::full_disk(error.message()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
