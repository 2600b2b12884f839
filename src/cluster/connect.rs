//! From a context of the kubeconfig to a working connection.
//!
//! kube's own client speaks HTTP/1.1, one connection per request in flight. Here the same parts are put
//! together so that everything shares one HTTP/2 connection where the server offers it, and a dead
//! connection is noticed by pings. Behind a proxy kube's own client is used.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::ServiceBuilder;

use super::kubeconfig::Access;
use super::transport::Transport;
use super::{Cluster, Inner, discovery, kubeconfig};
use crate::cluster::error_class::ErrorClass;
use crate::cluster::transport::request_error::RequestError;
use crate::error::{Error, Kind, Result};
use crate::project::Target;
use crate::session::{Session, interrupted};

/// How long everything up to the first answer may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the TCP connection may take, so that one lost packet does not use up the deadline.
const CONNECT: Duration = Duration::from_secs(8);
/// How often a silent connection is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(10);

impl Cluster {
    /// Connects to the first of the target's contexts that the kubeconfig has, and asks the API server who
    /// we are, so that whatever is wrong with address, certificate or credentials is said now.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a kubeconfig without such a context, [`Kind::Unreachable`], [`Kind::Denied`],
    /// and [`Kind::Rule`] when the cluster is not the one that the target pins.
    pub async fn connect(target: &Target, session: &Session) -> Result<Self> {
        let (address, transport) = (std::sync::OnceLock::new(), std::sync::OnceLock::new());
        // A credential program, which may ask a person to log in, has its own time.
        let access = kubeconfig::load(&target.contexts, target.kubeconfig.as_deref(), &session.reporter);
        let access = session.unless_cancelled(access).await?;
        let work = async {
            let _ = address.set(format!(" at {}", access.config.cluster_url));
            let cluster = Self::open(access, target, session).await?;
            let _ = transport.set(cluster.transport.clone());
            cluster.authenticate().await?;
            Ok(cluster)
        };
        let named = target.contexts.join(", ");
        let late = || {
            let seconds = DEADLINE.as_secs();
            let address = address.get().map_or("", String::as_str);
            let why = transport.get().and_then(Transport::last_fault);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let message =
                format!("the cluster of context `{named}`{address} did not respond within {seconds} s{why}");
            Error::new(Kind::Unreachable, message)
                .with_source(ErrorClass::Unreachable)
                .with_hint("check the network, a VPN, and the server's address in the kubeconfig")
        };
        let cluster = session.within(DEADLINE, work, late).await?;
        if let Some(pin) = &target.pin {
            cluster.check_pin(pin).await?;
        }
        Ok(cluster)
    }

    /// A connection to a server of a test.
    #[cfg(test)]
    pub(crate) async fn at(address: &str, namespace: &str, session: &Session) -> Self {
        use crate::cluster::kubeconfig::authorization::Authorization;
        let config = Config::new(address.parse().expect("a URL"));
        let target = Target { namespace: namespace.to_owned(), ..Target::default() };
        let access = Access { config, context: "test".to_owned(), authorization: Authorization::none() };
        Self::open(access, &target, session).await.expect("a client for plain HTTP")
    }

    async fn open(access: Access, target: &Target, session: &Session) -> Result<Self> {
        let Access { config, context, authorization } = access;
        let host = config.cluster_url.authority().map_or_else(String::new, ToString::to_string);
        // The certificates of the system are read from its files.
        let built = tokio::task::spawn_blocking({
            let runtime = tokio::runtime::Handle::current();
            move || {
                let _runtime = runtime.enter();
                build(config)
            }
        });
        let client = tokio::select! {
            () = session.cancel.cancelled() => return Err(interrupted()),
            built = built => built.map_err(|_| Error::new(Kind::Defect, "building the cluster's client panicked"))?,
        };
        let client = client.map_err(|error| setup_error(error, &context, &host))?;
        Ok(Self {
            inner: Arc::new(Inner {
                context,
                namespace: target.namespace.clone(),
                user: tokio::sync::OnceCell::new(),
                version: tokio::sync::OnceCell::new(),
                discovery: discovery::Cache::default(),
            }),
            transport: Transport::new(client, authorization, host, session.clone()),
        })
    }
}

fn setup_error(error: kube::Error, context: &str, host: &str) -> Error {
    if let kube::Error::RustlsTls(_) = error {
        return kubeconfig::broken(context, "its client certificate and key do not match");
    }
    match RequestError::from_transport(error, host) {
        RequestError::Credentials(words) => Error::new(Kind::Denied, words).with_source(ErrorClass::Denied),
        RequestError::Unreachable(words) | RequestError::Broken(words) => kubeconfig::broken(context, &words),
        RequestError::Status(_) | RequestError::TooLong(_) | RequestError::Interrupted => {
            Error::new(Kind::Defect, "a client that was not sent anything answered")
        }
    }
}

fn build(mut config: Config) -> Result<Client, kube::Error> {
    // With one provider in the build this is what rustls would choose; said once, nobody has to guess.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.connect_timeout = Some(CONNECT);
    if config.proxy_url.is_some() {
        return Ok(ClientBuilder::try_from(config)?.build());
    }
    // Of an OIDC provider; all else that goes into the header is added to each request.
    let auth = config.auth_layer()?;
    let client = one_connection(tls(&config)?);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// The connector: HTTP/2 where the server offers it, else HTTP/1.1.
fn tls(config: &Config) -> Result<HttpsConnector<HttpConnector>, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PING));
    tcp.set_keepalive_interval(Some(PING));
    tcp.set_keepalive_retries(Some(2));
    tcp.set_connect_timeout(Some(CONNECT));
    let builder =
        HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let name = config.tls_server_name.clone().and_then(|name| name.try_into().ok());
    let builder = match name {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => builder,
    };
    Ok(builder.enable_all_versions().wrap_connector(tcp))
}

fn one_connection(
    connector: HttpsConnector<HttpConnector>,
) -> legacy::Client<HttpsConnector<HttpConnector>, Body> {
    /// What one stream may hold unread, and what all of them together may: a log that nobody reads must not
    /// stop the others.
    const STREAM_WINDOW: u32 = 2 << 20;
    const CONNECTION_WINDOW: u32 = 64 << 20;
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}
