//! How far `src/schema` agrees with a real API server: objects that the server accepts (`fixtures/schema`) are changed in one
//! place, drawn uniformly over all their fields, and both are asked what they say of each.
//!
//! ```text
//! agreement [--context NAME] [--seed N] [--mutations N]
//! ```
//!
//! The server is asked by server-side apply with `dryRun=All`, as windlass asks it. The test fails where the schemas refuse
//! anything that the server accepts, or find less than 95 % of what the server refuses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod corpus;
mod mutation;
#[path = "../fuzz/random.rs"]
#[expect(dead_code, reason = "the hostile inputs use more of it")]
mod random;
mod server;
mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;
use windlass::schema::{Finding, Schemas, Severity};

use mutation::Mutation;
use random::Random;
use server::{Answer, Server};
use table::Table;

/// So many requests are under way at once.
const AT_ONCE: usize = 16;

/// What the command line says.
#[derive(Debug)]
struct Arguments {
    context: String,
    seed: u64,
    mutations: usize,
}

/// What both say of one object.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The first error of the schemas.
    pub(crate) found: Option<Finding>,
    /// What the server says.
    pub(crate) answer: Answer,
}

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = arguments();
    let failures = tokio::runtime::Runtime::new().unwrap().block_on(compare(&arguments));
    for failure in &failures {
        print(&format!("FAILED {failure}"));
    }
    ExitCode::from(u8::from(!failures.is_empty()))
}

/// Other test programs are started with the same words, so that unknown ones are no mistake.
fn arguments() -> Arguments {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut parsed = Arguments { context: "lab-fake".to_owned(), seed: seconds, mutations: 2_500 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--context" => parsed.context = words.next().unwrap_or_default(),
            "--seed" => parsed.seed = words.next().and_then(|word| word.parse().ok()).unwrap_or_default(),
            "--mutations" => {
                parsed.mutations = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            }
            _ => {}
        }
    }
    parsed
}

/// Asks both of everything; what must not be.
async fn compare(arguments: &Arguments) -> Vec<String> {
    let server = Server::connect(&arguments.context).await;
    let schemas = Schemas::of(&server.version).expect("the server tells its version");
    let (accepted, mut failures) = unchanged(&server, &schemas).await;
    print(&format!("Kubernetes {}: {} objects, seed {}", server.version, accepted.len(), arguments.seed));
    let mut random = Random::new(arguments.seed);
    let mutations = mutation::draw(&accepted, arguments.mutations, &mut random);
    let asked = stream::iter(mutations).map(|mutation| async {
        let original = &accepted[mutation.object];
        let mut verdict = both(&server, &schemas, original, &mutation.changed).await;
        let is_of_allocator =
            verdict.found.as_ref().is_some_and(|finding| finding.pointer.ends_with("odePort"));
        if is_of_allocator && matches!(verdict.answer, Answer::Accepted) {
            verdict.answer = server.apply(&schemas, original, &mutation.changed).await;
        }
        (mutation, verdict)
    });
    let verdicts: Vec<(Mutation, Verdict)> = asked.buffered(AT_ONCE).collect().await;
    server.leave().await;
    let table = Table::of(&accepted, &verdicts);
    print(&table.to_string());
    failures.extend(table.failures());
    failures
}

/// The objects that the server accepts as they are, and where the schemas disagree about them. An old server lacks kinds and
/// fields; the newest must accept all.
async fn unchanged(server: &Server, schemas: &Schemas) -> (Vec<Value>, Vec<String>) {
    let all = corpus::objects();
    let is_newest = schemas.version() == Schemas::newest().version();
    let asked = stream::iter(&all).map(|object| both(server, schemas, object, object));
    let verdicts: Vec<Verdict> = asked.buffered(AT_ONCE).collect().await;
    let (mut accepted, mut failures) = (Vec::new(), Vec::new());
    for (object, verdict) in all.iter().zip(&verdicts) {
        let name = corpus::name(object);
        match (&verdict.answer, &verdict.found) {
            (Answer::Accepted, None) => accepted.push(object.clone()),
            (Answer::Accepted, Some(finding)) => {
                failures.push(format!("{name} is accepted by the server, not by the schemas: {finding}"));
            }
            (Answer::Refused(message) | Answer::OfOthers(message), None) => {
                failures.push(format!("{name} is refused by the server, not by the schemas: {message}"));
            }
            (Answer::Refused(message) | Answer::OfOthers(message), Some(_)) if is_newest => {
                failures.push(format!("{name} belongs to no corpus: {message}"));
            }
            _ => {}
        }
    }
    (accepted, failures)
}

async fn both(server: &Server, schemas: &Schemas, original: &Value, object: &Value) -> Verdict {
    let found = schemas.check(object).into_iter().find(|finding| finding.severity == Severity::Error);
    Verdict { found, answer: server.ask(schemas, original, object).await }
}

pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
