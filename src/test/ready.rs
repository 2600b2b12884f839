//! When a service is ready: asked from inside its container, since its network may be out of reach from here (the Engine
//! of a CI job runs on another machine).

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use crate::engine::{Container, ContainerHealth};
use crate::error::{Error, Kind, Result};
use crate::http::probe::HttpProbe;
use crate::project::Ready;

/// How long a look may take that is made from here.
const LOOK: Duration = Duration::from_secs(2);

/// Asks the address in `$0` with what the image has; exit code 127 where it has nothing.
const ASK: &str = "\
if command -v curl >/dev/null; then exec curl -fsS -m 2 --noproxy '*' -o /dev/null \"$0\"
elif command -v wget >/dev/null; then exec env -u http_proxy wget -q -O /dev/null \"$0\"
elif command -v python3 >/dev/null; then
  exec python3 -c 'import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=2)' \"$0\"
elif command -v node >/dev/null; then
  exec node -e 'fetch(process.argv[1]).then(a => process.exit(a.ok ? 0 : 1), () => process.exit(1))' \"$0\"
else exit 127; fi";

/// A port that listens, in the kernel's own table: `0: 00000000:1538 00000000:0000 0A …`.
static LISTENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:0000 0A ")
        .expect("the pattern is a constant")
});

/// The answer to "is it ready?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It is.
    Yes,
    /// Not yet, and what it lacks.
    Not(String),
}

/// Asks for everything that the configuration wants of the service; `logged` says whether its log has had the line.
///
/// # Errors
/// [`Kind::TestNotRun`] where the service cannot be asked in this way; [`Kind::Unreachable`] where the Engine is gone.
pub(super) async fn ask(service: &Container, ready: Option<&Ready>, logged: bool) -> Result<Readiness> {
    let Some(ready) = ready else { return healthy(service).await };
    if !ready.command.is_empty() {
        let (code, said) = service.exec(&ready.command).await?;
        if code != 0 {
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            return Ok(Readiness::Not(format!(
                "`{}` ended with exit code {code}: {}",
                ready.command.join(" "),
                last.trim()
            )));
        }
    }
    if let Some(port) = ready.tcp
        && !listens(service, port).await?
    {
        return Ok(Readiness::Not(format!("nothing listens on port {port}")));
    }
    if let Some(address) = &ready.http
        && let Err(why) = answers(service, address).await?
    {
        return Ok(Readiness::Not(why));
    }
    match &ready.log {
        Some(pattern) if !logged => Ok(Readiness::Not(format!("no line of its log matches `{pattern}`"))),
        _ => Ok(Readiness::Yes),
    }
}

/// An image that knows how to tell is believed.
async fn healthy(service: &Container) -> Result<Readiness> {
    let (fault, said) = match service.health().await? {
        ContainerHealth::Healthy => return Ok(Readiness::Yes),
        ContainerHealth::Starting(said) => ("its HEALTHCHECK has not passed yet", said),
        ContainerHealth::Unhealthy(said) => ("its HEALTHCHECK fails", said),
    };
    Ok(Readiness::Not(match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{fault}: {}", line.trim()),
        None => fault.to_owned(),
    }))
}

async fn listens(service: &Container, port: u16) -> Result<bool> {
    let table = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned);
    let (code, said) = service.exec(&table).await?;
    // An exit code of 1 is a kernel without IPv6.
    if matches!(code, 0 | 1) {
        return Ok(has_listener(&said, port));
    }
    let Some(address) = service.address().await? else { return Err(cannot_ask("tcp", "`cat`")) };
    let connect = tokio::net::TcpStream::connect((address.as_str(), port));
    Ok(tokio::time::timeout(LOOK, connect).await.is_ok_and(|connected| connected.is_ok()))
}

/// A listener that only the service itself could reach is none.
fn has_listener(table: &str, port: u16) -> bool {
    LISTENS.captures_iter(table).any(|found| {
        let loopback = matches!(&found[1], "0100007F" | "00000000000000000000000001000000");
        !loopback && u16::from_str_radix(&found[2], 16) == Ok(port)
    })
}

/// `Ok(Err(why))` for an answer that is none of 2xx, or no answer.
async fn answers(service: &Container, address_of: &str) -> Result<Result<(), String>> {
    let path = port_and_path(address_of);
    let inside = format!("http://127.0.0.1{path}");
    let (code, said) = service.exec(&["sh".to_owned(), "-c".to_owned(), ASK.to_owned(), inside]).await?;
    match code {
        0 => return Ok(Ok(())),
        126 | 127 => {}
        _ => {
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
            return Ok(Err(format!("http {path} does not respond with 2xx: {last}")));
        }
    }
    let Some(host) = service.address().await? else {
        return Err(cannot_ask("http", "`curl`, `wget`, `python3` or `node`"));
    };
    let asked = tokio::time::timeout(LOOK, HttpProbe::direct()?.ask(&format!("http://{host}{path}"))).await;
    Ok(match asked {
        Ok(answer) if answer.is_good => Ok(()),
        Ok(answer) => Err(format!("http {path} {}", answer.sentence)),
        Err(_) => Err(format!("http {path} does not respond")),
    })
}

/// `:8080/health` of `http://:8080/health`; whatever host is named, the service is meant.
pub(super) fn port_and_path(address: &str) -> &str {
    let rest = address.strip_prefix("http://").unwrap_or(address);
    rest.trim_start_matches(|letter| letter != ':' && letter != '/')
}

fn cannot_ask(way: &str, program: &str) -> Error {
    Error::new(
        Kind::TestNotRun,
        format!("the service cannot be checked by `{way}`: its image has no {program}"),
    )
    .with_hint("set how to check that it is ready: `ready: {command: […]}` or `ready: {log: …}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_host() {
        for address in ["http://:8080/health", ":8080/health", "http://db:8080/health"] {
            assert_eq!(port_and_path(address), ":8080/health");
        }
        assert_eq!(port_and_path("/health"), "/health");
    }

    #[test]
    fn the_kernel_s_table_tells_who_listens() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
            0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n   \
            1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n   \
            2: 020011AC:D431 030011AC:0050 01 00000000:00000000 00:00000000 00000000\n";
        assert!(has_listener(table, 8080));
        assert!(!has_listener(table, 0x1538), "only from inside");
        assert!(!has_listener(table, 0xD431), "a connection");
        let six = "   0: 00000000000000000000000000000000:1538 00000000000000000000000000000000:0000 0A 0\n";
        assert!(has_listener(six, 5432));
    }
}
