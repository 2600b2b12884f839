//! One build by the Engine: its request, and what the Engine says as a stream.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Bollard;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::{Engine, fault, for_engine, url_safe};
use crate::error::{Error, Kind};
use crate::model::Credentials;
use crate::project::{ImageConfig, Ulimit};

/// The request is not answered before the whole context was sent, which takes its time. Whoever sends it watches whether it
/// gets on; this is for nobody to wait for ever.
const UPLOAD_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What the Engine is told of a build.
pub(crate) struct BuildParameters<'a> {
    /// Target, labels, network, hosts and limits.
    pub(crate) image: &'a ImageConfig,
    /// The Dockerfile's path, in the context or in the directory that the session serves.
    pub(crate) dockerfile: String,
    pub(crate) arguments: HashMap<String, String>,
    /// `linux/arm64`; empty for what the Engine itself is.
    pub(crate) platform: String,
    /// Images whose layers may be taken over: BuildKit only.
    pub(crate) cache_from: Vec<String>,
    pub(crate) no_cache: bool,
    /// Whether base images are asked for anew.
    pub(crate) pull: bool,
    /// The session from which BuildKit fetches the context, secrets and credentials. The classic builder has none.
    pub(crate) session: Option<String>,
}

/// Something that the Engine says during a build.
#[derive(Debug, Default)]
pub(crate) struct BuildOutput {
    /// What it calls the image, once that is known.
    pub(crate) image: Option<String>,
    /// In the words of the classic builder.
    pub(crate) text: Option<String>,
    /// In those of BuildKit.
    pub(crate) status: Option<StatusResponse>,
}

/// How a build ended that the Engine did not end well.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// The answer ended in the middle of a line: after the image, that is the end.
    Truncated(Error),
    /// The connection broke.
    Disconnected(Error),
    /// The build failed, for this reason.
    Failed(String),
}

/// A client for one build.
pub(crate) struct BuildClient<'a> {
    engine: &'a Engine,
    docker: Docker,
    options: BuildImageOptions,
}

impl Engine {
    /// A client for this build.
    pub(crate) fn build_client(&self, parameters: BuildParameters<'_>) -> BuildClient<'_> {
        let (session, more) = (parameters.session.clone(), unsupported(self, parameters.image));
        let docker = self.docker.clone().with_timeout(UPLOAD_LIMIT);
        let docker = docker.with_request_modifier(move |request| {
            url_safe(with_parameters(request, session.as_deref(), &more))
        });
        BuildClient { engine: self, docker, options: options(parameters) }
    }
}

impl BuildClient<'_> {
    /// Builds, from a tar where there is no session, with credentials by the names of their registries. Dropping the stream
    /// cancels the build: the Engine sees that nobody listens.
    pub(crate) fn build(
        &self,
        context: Option<impl Stream<Item = io::Result<Bytes>> + Send + 'static>,
        credentials: &HashMap<String, Credentials>,
    ) -> impl Stream<Item = Result<BuildOutput, Interruption>> + '_ {
        let credentials = credentials.iter().map(|(host, known)| (host.clone(), for_engine(known, host)));
        let body = match context {
            Some(pieces) => bollard::body_try_stream(pieces),
            None => bollard::body_full(Bytes::new()),
        };
        let output = self.docker.build_image(self.options.clone(), Some(credentials.collect()), Some(body));
        output.map(|said| match said {
            Ok(info) => Ok(BuildOutput::from(info)),
            Err(error) => Err(self.interruption(&error)),
        })
    }

    fn interruption(&self, error: &Bollard) -> Interruption {
        if !fault::is_connection(error) {
            return Interruption::Failed(fault::text(error));
        }
        let told = self.engine.error(Kind::Build, "building", error);
        if fault::is_the_end(error) {
            Interruption::Truncated(told)
        } else {
            Interruption::Disconnected(told)
        }
    }
}

impl From<BuildInfo> for BuildOutput {
    fn from(info: BuildInfo) -> Self {
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => Self { status: Some(status), ..Self::default() },
            Some(BuildInfoAux::Default(image)) => Self { image: image.id, text: info.stream, status: None },
            None => Self {
                image: info.stream.as_deref().and_then(successfully_built),
                text: info.stream,
                status: None,
            },
        }
    }
}

/// The image, from the words of the classic builder: Podman says it nowhere else.
fn successfully_built(text: &str) -> Option<String> {
    Some(text.trim().strip_prefix("Successfully built ")?.to_owned())
}

fn options(parameters: BuildParameters<'_>) -> BuildImageOptions {
    let image = parameters.image;
    BuildImageOptions {
        dockerfile: parameters.dockerfile,
        // The files come over the session.
        remote: parameters.session.is_some().then(|| "client-session".to_owned()),
        buildargs: Some(parameters.arguments),
        labels: (!image.labels.is_empty()).then(|| image.labels.clone().into_iter().collect()),
        networkmode: image.network.clone(),
        platform: parameters.platform,
        // The classic builder would look into these alone, and fetches none of them.
        cachefrom: (parameters.session.is_some() && !parameters.cache_from.is_empty())
            .then_some(parameters.cache_from),
        target: image.target.clone().unwrap_or_default(),
        nocache: parameters.no_cache,
        pull: parameters.pull.then(|| "true".to_owned()),
        rm: true,
        forcerm: true,
        version: match parameters.session {
            Some(_) => BuilderVersion::BuilderBuildKit,
            None => BuilderVersion::BuilderV1,
        },
        // The library opens a session of its own: two of one name would break each other.
        session: parameters.session.map(|session| format!("{session}-unused")),
        ..BuildImageOptions::default()
    }
}

/// What the library has no words for.
fn unsupported(engine: &Engine, image: &ImageConfig) -> Vec<(&'static str, String)> {
    let hosts: Vec<String> =
        image.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect();
    let mut parameters: Vec<(&'static str, String)> = if engine.is_podman && !hosts.is_empty() {
        vec![("extrahosts", serde_json::json!(hosts).to_string())]
    } else {
        hosts.into_iter().map(|host| ("extrahosts", host)).collect()
    };
    parameters.extend(image.shm_size.map(|bytes| ("shmsize", bytes.to_string())));
    if !image.ulimits.is_empty() {
        let limit = |(name, limit): (&String, &Ulimit)| serde_json::json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard});
        let limits: Vec<_> = image.ulimits.iter().map(limit).collect();
        parameters.push(("ulimits", serde_json::Value::from(limits).to_string()));
    }
    parameters
}

/// Puts our session in the place of the library's into the address of a build, and adds what the library has no words for.
fn with_parameters(
    mut request: bollard::BollardRequest,
    session: Option<&str>,
    more: &[(&'static str, String)],
) -> bollard::BollardRequest {
    let address = request.uri().to_string();
    let Some((path, query)) = address.split_once('?').filter(|(path, _)| path.ends_with("/build")) else {
        return request;
    };
    let known = query.split('&').map(|parameter| match (parameter.split_once('='), session) {
        (Some(("session", _)), Some(id)) => format!("session={id}"),
        _ => parameter.to_owned(),
    });
    let more = more.iter().map(|(name, value)| {
        format!("{name}={}", percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC))
    });
    if let Ok(address) = format!("{path}?{}", known.chain(more).collect::<Vec<_>>().join("&")).parse() {
        *request.uri_mut() = address;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_belongs_to_our_session() {
        let more = [("extrahosts", "db:10.0.0.1".to_owned())];
        let asked = |address: &str, session: Option<&str>| {
            let request =
                http::Request::builder().uri(address).body(bollard::body_full(Bytes::new())).unwrap();
            with_parameters(request, session, &more).uri().to_string()
        };
        assert_eq!(
            asked("http://e/v1.41/build?session=other&rm=true", Some("ours")),
            "http://e/v1.41/build?session=ours&rm=true&extrahosts=db%3A10%2E0%2E0%2E1"
        );
        assert_eq!(
            asked("http://e/v1.41/build?rm=true", None),
            "http://e/v1.41/build?rm=true&extrahosts=db%3A10%2E0%2E0%2E1"
        );
        // Requests of the library's own.
        assert_eq!(asked("http://e/session?session=other", Some("ours")), "http://e/session?session=other");
    }

    #[test]
    fn podman_names_the_image_in_words() {
        assert_eq!(successfully_built("Successfully built 0123abcd\n").as_deref(), Some("0123abcd"));
        assert_eq!(successfully_built("Step 1/2 : FROM base"), None);
    }
}
