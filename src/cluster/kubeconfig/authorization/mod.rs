//! Who we are to the API server: the `Authorization` of each request, as the kubeconfig's user has it. A token that does not last
//! is got anew in time: from its file once a minute, from the credential program before it expires.

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp, civil};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cluster::kubeconfig::{broken, credentials, decode};
use crate::error::{Error, Kind, Result};
use crate::program::{Program, ProgramError};
use crate::report::Reporter;

/// How long a credential program may take, and how long one that talks to a person.
const LIMIT: Duration = Duration::from_secs(60);
const LIMIT_AT_TERMINAL: Duration = Duration::from_secs(300);
/// How many bytes it may print.
const MOST: usize = 1 << 20;
/// So many places of its output are tried where JSON may begin.
const BEGINNINGS: usize = 100;
/// A token is got anew so long before it expires.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// But not more often than this, however short it lasts.
const SELDOM: SignedDuration = SignedDuration::from_secs(10);
/// How long a request waits for another token while the old one is good.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what a file said is good.
const FILE: SignedDuration = SignedDuration::from_secs(60);
/// What the user printed elsewhere is not quoted from this length on.
const SECRET: usize = 6;

/// The `Authorization` of requests.
pub(crate) struct Authorization {
    source: CredentialSource,
    current: Mutex<Option<Current>>,
    /// The credential program, where it runs to give another token. It goes on when a request no longer waits for it.
    renewal: Mutex<Option<JoinHandle<Result<Given>>>>,
}

enum CredentialSource {
    /// The header, if any, is what it is.
    Fixed,
    File(PathBuf),
    Program(Box<ExecConfig>),
}

struct Current {
    header: HeaderValue,
    /// When another one is wanted.
    until: Timestamp,
    /// When the server no longer takes it.
    expires: Timestamp,
}

impl Authorization {
    fn new(source: CredentialSource, current: Option<Current>) -> Self {
        Self { source, current: Mutex::new(current), renewal: Mutex::new(None) }
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self::new(CredentialSource::Fixed, None)
    }

    /// Takes out of the kubeconfig's user what requests carry in a header. A credential program is run at once: what it gives
    /// may be a certificate, which the user then has.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what cannot be a header, [`Kind::Denied`] where a file or a program gives nothing.
    pub(crate) async fn take(user: &mut AuthInfo, context: &str, reporter: &Reporter) -> Result<Self> {
        check_provider(user, context)?;
        let (name, password) = (user.username.take(), user.password.take());
        let (token, file) = (user.token.take(), user.token_file.take());
        let exec = user.exec.take();
        let password = password.map(|password| password.expose_secret().to_owned()).unwrap_or_default();
        let token = token.map(|token| token.expose_secret().trim().to_owned()).unwrap_or_default();
        // As other clients have it, a name alone proves nothing where something else does.
        let has_more = !token.is_empty() || file.is_some() || exec.is_some();
        let is_basic = |name: &String| !password.is_empty() || !name.is_empty() && !has_more;
        if let Some(name) = name.filter(is_basic) {
            let header = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
            return Self::fixed(&header, context);
        }
        if !token.is_empty() {
            return Self::fixed(&format!("Bearer {token}"), context);
        }
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            let current = of_file(&file).await?;
            return Ok(Self::new(CredentialSource::File(file.into()), Some(current)));
        }
        let Some(exec) = exec else { return Ok(Self::none()) };
        let given = run(&exec).await?;
        if let (Some(certificate), Some(key)) = (&given.client_certificate_data, &given.client_key_data) {
            user.client_certificate_data = Some(STANDARD.encode(certificate));
            user.client_key_data = Some(STANDARD.encode(key).into());
        }
        let Some(current) = given.current(&exec)? else { return Ok(Self::none()) };
        credentials::hide_header(&current.header, reporter);
        let lasts = current.until == Timestamp::MAX;
        let source = if lasts { CredentialSource::Fixed } else { CredentialSource::Program(Box::new(exec)) };
        Ok(Self::new(source, Some(current)))
    }

    fn fixed(text: &str, context: &str) -> Result<Self> {
        let header = header(text).ok_or_else(|| {
            broken(context, "its user's token has an invalid character: a line end, or one that is not ASCII")
        })?;
        let current = Current { header, until: Timestamp::MAX, expires: Timestamp::MAX };
        Ok(Self::new(CredentialSource::Fixed, Some(current)))
    }

    /// The header of a request that is sent now. No output shows what is new in it.
    ///
    /// # Errors
    /// [`Kind::Denied`] where the credential program no longer gives one.
    pub(crate) async fn header(&self, reporter: &Reporter) -> Result<Option<HeaderValue>> {
        let mut current = self.current.lock().await;
        let is_old = current.as_ref().is_some_and(|current| current.until <= Timestamp::now());
        match &self.source {
            CredentialSource::File(file) if is_old => {
                // What was read last is used on where the file is gone: some hand it out once.
                match (of_file(&file.to_string_lossy()).await, current.as_mut()) {
                    (Ok(new), _) => *current = Some(new),
                    (Err(_), Some(old)) => old.until = after(Timestamp::now(), FILE),
                    (Err(error), None) => return Err(error),
                }
            }
            CredentialSource::Program(exec) if is_old => self.renew(exec, &mut current).await?,
            _ => {}
        }
        let header = current.as_ref().map(|current| current.header.clone());
        if let Some(header) = header.as_ref().filter(|_| is_old) {
            credentials::hide_header(header, reporter);
        }
        Ok(header)
    }

    /// Has the credential program give another token. While the old one is good, nobody waits long for that, and a program
    /// that fails is run again later.
    async fn renew(&self, exec: &ExecConfig, current: &mut Option<Current>) -> Result<()> {
        let mut renewal = self.renewal.lock().await;
        let running = renewal.get_or_insert_with(|| {
            let exec = exec.clone();
            tokio::spawn(async move { run(&exec).await })
        });
        let old = current.as_mut().filter(|current| current.expires > Timestamp::now());
        let ended = match &old {
            Some(_) => timeout(PATIENCE, running).await.ok(),
            None => Some(running.await),
        };
        let Some(ended) = ended else { return Ok(()) };
        *renewal = None;
        let lost = |error| Error::new(Kind::Defect, format!("running a credential program: {error}"));
        let given = ended.map_err(lost).flatten().and_then(|given| given.current(exec));
        match (given, old) {
            (Ok(given), _) => *current = given,
            (Err(_), Some(old)) => old.until = after(Timestamp::now(), SELDOM),
            (Err(error), None) => return Err(error),
        }
        Ok(())
    }
}

fn after(time: Timestamp, length: SignedDuration) -> Timestamp {
    time.saturating_add(length).unwrap_or(Timestamp::MAX)
}

fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok().filter(|value| value.to_str().is_ok())?;
    value.set_sensitive(true);
    Some(value)
}

/// The token of a file, whatever an editor wrote around it.
async fn of_file(file: &str) -> Result<Current> {
    let refused =
        |why: &str| Error::new(Kind::Denied, format!("the token file {file} of the kubeconfig {why}"));
    let bytes = tokio::fs::read(file).await.map_err(|error| refused(&format!("cannot be read: {error}")))?;
    let text = decode(&bytes).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() {
        return Err(refused("holds no token"));
    }
    let header = header(&format!("Bearer {token}")).ok_or_else(|| refused("holds more than one token"))?;
    Ok(Current { header, until: after(Timestamp::now(), FILE), expires: Timestamp::MAX })
}

/// The library has but one of the old providers; one that runs a program would not be bounded by anything.
fn check_provider(user: &AuthInfo, context: &str) -> Result<()> {
    match &user.auth_provider {
        Some(provider) if provider.name != "oidc" => {
            let what =
                format!("its user's `auth-provider: {}` was removed from Kubernetes 1.26", provider.name);
            Err(broken(context, &what)
                .with_hint("use a credential program (`exec`), as kubelogin or gke-gcloud-auth-plugin"))
        }
        _ => Ok(()),
    }
}

/// What a credential program gives.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Given {
    token: Option<String>,
    expiration_timestamp: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Given {
    fn current(&self, exec: &ExecConfig) -> Result<Option<Current>> {
        let Some(token) = self.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let header = header(&format!("Bearer {token}"))
            .ok_or_else(|| failed(exec, "returned a token with an invalid character"))?;
        let Some(expires) = &self.expiration_timestamp else {
            return Ok(Some(Current { header, until: Timestamp::MAX, expires: Timestamp::MAX }));
        };
        // The library's time ends a day before the year 9999 does, which some give for "never".
        let is_time = |text: &str| text.get(..19).is_some_and(|text| text.parse::<civil::DateTime>().is_ok());
        let expires = match expires.parse::<Timestamp>() {
            Ok(expires) => expires,
            Err(_) if is_time(expires) => Timestamp::MAX,
            Err(_) => {
                return Err(failed(exec, "returned an `expirationTimestamp` that is not a time (RFC 3339)"));
            }
        };
        let soon = after(Timestamp::now(), SELDOM);
        let until = expires
            .saturating_sub(EARLY)
            .unwrap_or(expires)
            .max(soon)
            .min(after(soon, SignedDuration::from_hours(24)));
        Ok(Some(Current { header, until, expires }))
    }
}

fn name(exec: &ExecConfig) -> &str {
    exec.command.as_deref().unwrap_or_default()
}

fn failed(exec: &ExecConfig, how: &str) -> Error {
    Error::new(Kind::Denied, format!("the credential program `{}` of the kubeconfig {how}", name(exec)))
}

/// Runs the credential program.
async fn run(exec: &ExecConfig) -> Result<Given> {
    if name(exec).is_empty() {
        return Err(Error::new(Kind::Invalid, "the kubeconfig's `exec` names no `command`"));
    }
    let is_interactive = exec.interactive_mode != Some(ExecInteractiveMode::Never);
    let mut program = Program::new(name(exec)).arguments(exec.args.iter().flatten()).most(MOST);
    let variables = exec.env.iter().flatten().filter_map(|one| Some((one.get("name")?, one.get("value")?)));
    program =
        program.environment(variables).environment([("KUBERNETES_EXEC_INFO", info(exec, is_interactive))]);
    program =
        if is_interactive { program.limit(LIMIT_AT_TERMINAL).at_terminal() } else { program.limit(LIMIT) };
    let output = program.run().await.map_err(|fault| unstarted(exec, &fault))?;
    if !output.status.success() {
        let said = without(&output.said().join("; "), &output.printed);
        let said = if said.is_empty() { "it printed no error".to_owned() } else { said };
        return Err(failed(exec, &format!("failed ({}): {said}", output.status)));
    }
    let given = read(&output.printed).ok_or_else(|| {
        // Not a word of the output: it holds the token.
        failed(exec, "printed no ExecCredential")
            .with_hint("what it prints to standard output must be JSON and nothing else")
    })?;
    let has_certificate = given.client_certificate_data.is_some() && given.client_key_data.is_some();
    if given.token.is_none() && !has_certificate {
        return Err(failed(exec, "returned neither a token nor a certificate with its key"));
    }
    Ok(given)
}

fn unstarted(exec: &ExecConfig, fault: &ProgramError) -> Error {
    let install = exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
    match fault {
        ProgramError::Missing => failed(exec, "is not installed")
            .with_hint(install.unwrap_or("install it on the machine that runs windlass")),
        ProgramError::Unstartable(why) => failed(exec, &format!("cannot be started: {why}")),
        ProgramError::Late(limit) => failed(exec, &format!("did not finish within {} s", limit.as_secs())),
        ProgramError::Asks => failed(exec, "needs input from the terminal")
            .with_hint("`interactiveMode: IfAvailable` in the kubeconfig lets it ask"),
        ProgramError::TooMuch(_) | ProgramError::Failed { .. } => failed(exec, "printed no ExecCredential"),
    }
}

/// What the program is told of the cluster, and whether it may ask.
fn info(exec: &ExecConfig, is_interactive: bool) -> String {
    let mut spec = json!({"interactive": is_interactive});
    if let Some(cluster) = &exec.cluster {
        spec["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
    }
    json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec}).to_string()
}

/// The credentials in what a program printed: JSON, whatever words stand around it, or YAML, as kubectl takes it.
pub(crate) fn read_credential(printed: &[u8]) -> Option<Value> {
    let is_one = |value: &Value| value["kind"] == "ExecCredential" && value["status"].is_object();
    let beginnings = printed.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at);
    let json =
        |at: usize| serde_json::Deserializer::from_slice(&printed[at..]).into_iter::<Value>().next()?.ok();
    let yaml = || serde_saphyr::from_slice::<Value>(printed).ok();
    beginnings.take(BEGINNINGS).filter_map(json).find(is_one).or_else(|| yaml().filter(is_one))
}

fn read(printed: &[u8]) -> Option<Given> {
    let mut credential = read_credential(printed)?;
    serde_json::from_value(credential["status"].take()).ok()
}

/// What a program said without what it printed elsewhere, which may be a token.
fn without(said: &str, printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let words = printed.split(|letter: char| letter.is_whitespace() || "\"'{}[],:=".contains(letter));
    let mut words: Vec<&str> = words.filter(|word| word.len() >= SECRET).collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    let mut rest = said.to_owned();
    for word in words.into_iter().filter(|word| said.contains(word)) {
        rest = rest.replace(word, "[MASKED]");
    }
    rest
}
