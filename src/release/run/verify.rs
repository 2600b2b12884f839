//! Checks after a rollout, before the release counts as good: addresses that must respond, a test against the tier, and
//! objects that must stay ready for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::http::probe::{HttpProbe, ProbeResult};
use crate::model::{Cause, Evidence, Failure, Images, Outcome, Stage, Subject};
use crate::project::{Addresses, VerifyConfig};
use crate::record::content;
use crate::release::TestStage;
use crate::release::context::TierContext;
use crate::release::run::apply::Execution;
use crate::report::StepReport;
use crate::secret;
use crate::session::interrupted;
use crate::text::display;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_secs(1);
/// A longer response is cut, in characters.
const SHOWN: usize = 500;
/// This many bad responses in a row are a failure.
const TOO_MANY: u32 = 3;

/// The checks of a tier, parsed before anything is changed.
pub(crate) struct Checks<'a> {
    context: TierContext<'a>,
    config: VerifyConfig,
    addresses: Vec<String>,
    asker: HttpProbe,
    images: &'a Images,
    tests: &'a dyn TestStage,
    url: Option<String>,
}

impl<'a> Checks<'a> {
    /// The checks that the tier is configured with; `None` if it has none.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for invalid addresses and headers.
    pub(crate) fn of(
        context: TierContext<'a>,
        (images, tests): (&'a Images, &'a dyn TestStage),
        url: Option<String>,
    ) -> Result<Option<Self>> {
        let Some(config) = context.tier.verify.clone() else { return Ok(None) };
        let Addresses { addresses, headers } = context.tier.addresses()?;
        // Most headers contain credentials.
        for (_, value) in headers.iter().filter(|(name, _)| !is_plain(name)) {
            secret::hide_header(&context.session.reporter, value);
        }
        for address in &addresses {
            secret::hide_password(&context.session.reporter, address);
        }
        let asker = HttpProbe::new(&headers)?;
        Ok(Some(Self { context, config, addresses, asker, images, tests, url }))
    }

    /// A hash of the checks, to tell later whether these were made. `known` is the hash of the newest release: an
    /// unkeyed one, as earlier versions wrote it, is kept.
    pub(crate) fn hash(&self, key: &[u8], known: Option<&str>) -> String {
        let VerifyConfig { http: _, headers, hold, within, test, soak, .. } = &self.config;
        let test = test.as_ref().map(|name| (name, self.context.project.config.tests.get(name)));
        let all = format!("{:?} {headers:?} {hold:?} {within:?} {soak:?} {test:?}", self.addresses);
        let unkeyed = content::hash(&all.as_str().into());
        if known == Some(unkeyed.as_str()) { unkeyed } else { content::keyed(&all, key)[..32].to_owned() }
    }

    /// Makes all checks, one after the other.
    ///
    /// # Errors
    /// [`Kind::Rollout`] with the cause `verify-failed`.
    pub(crate) async fn hold(&self, execution: &mut Execution<'_>) -> Result<()> {
        for address in &self.addresses {
            self.step(format!("verify {address}"), "asking", async |step| self.answers(address, step).await)
                .await?;
        }
        if let Some(name) = &self.config.test {
            self.passes(name).await?;
        }
        if let Some(soak) = self.config.soak {
            let title = format!("verify for {}", display::whole(soak));
            self.step(title, "watching", async |_| {
                let result = execution.soak(soak).await;
                result.map(|()| "everything stays ready".to_owned()).map_err(as_unverified)
            })
            .await?;
        }
        Ok(())
    }

    async fn step(
        &self,
        name: String,
        doing: &str,
        check: impl AsyncFnOnce(&StepReport) -> Result<String>,
    ) -> Result<()> {
        let step = self.context.session.reporter.step(Stage::Release, name, doing);
        let cancel = &self.context.session.cancel;
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            result = check(&step) => result,
        };
        match result {
            Ok(summary) => {
                step.finish(Outcome::Ok, summary);
                Ok(())
            }
            Err(error) => {
                let told = error.failures().first().map_or(error.message(), |failure| &failure.message);
                step.finish(error.outcome(), told.to_owned());
                Err(error)
            }
        }
    }

    /// Waits for the first good response, then checks that the address keeps responding.
    async fn answers(&self, address: &str, step: &StepReport) -> Result<String> {
        let began = Instant::now();
        let mut answer = self.asker.ask(address).await;
        while !answer.is_good {
            let left = self.config.within.saturating_sub(began.elapsed());
            if left.is_zero() {
                let how_long = format!("for {}", display::whole(self.config.within));
                return Err(self.unanswered(address, &answer, &how_long));
            }
            step.progress(answer.sentence);
            tokio::time::sleep(PAUSE.min(left)).await;
            answer = self.asker.ask(address).await;
        }
        let (until, mut bad) = (Instant::now() + self.config.hold, 0);
        while Instant::now() < until {
            step.progress(answer.sentence.clone());
            tokio::time::sleep(PAUSE.min(until - Instant::now())).await;
            let next = self.asker.ask(address).await;
            bad = if next.is_good { 0 } else { bad + 1 };
            if bad == TOO_MANY {
                return Err(self.unanswered(address, &next, &format!("{TOO_MANY} times in a row")));
            }
            if next.is_good {
                answer = next;
            }
        }
        let held = if self.config.hold.is_zero() {
            String::new()
        } else {
            format!(" for {}", display::whole(self.config.hold))
        };
        Ok(format!("{}{held}", answer.sentence))
    }

    /// The error for an address that does not respond as it should.
    fn unanswered(&self, address: &str, answer: &ProbeResult, how_long: &str) -> Error {
        let message = format!("{address} {} {how_long}", answer.sentence);
        // Mask before cutting: a secret that was cut could not be recognised.
        let text = display::clip(&self.context.session.reporter.masked(&answer.text), SHOWN);
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned);
        let evidence = Evidence { title: "its answer".to_owned(), lines: lines.collect() };
        let failure = Failure {
            subject: Subject::Object(address.to_owned()),
            cause: Cause::VerifyFailed.to_string(),
            message: message.clone(),
            hint: None,
            evidence: if evidence.lines.is_empty() { Vec::new() } else { vec![evidence] },
        };
        Error::new(Kind::Rollout, format!("the rollout could not be verified: {message}"))
            .with_failures([failure])
    }

    /// Runs the test, with the variables it needs to find the tier.
    async fn passes(&self, name: &str) -> Result<()> {
        let TierContext { session, project, tier, .. } = self.context;
        let mut environment: BTreeMap<String, String> = tier.vars.clone();
        environment.insert("WINDLASS_TIER".to_owned(), tier.name.clone());
        environment.extend(self.url.clone().map(|url| ("WINDLASS_URL".to_owned(), url)));
        let tested = self.tests.run_against(session, project, self.images, tier, (name, environment)).await;
        tested.map_err(as_unverified)
    }
}

/// Whether a header describes the request, and not who makes it.
fn is_plain(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let plain = [
        "host",
        "user-agent",
        "content-type",
        "cache-control",
        "origin",
        "referer",
        "connection",
        "x-requested-with",
    ];
    plain.contains(&name.as_str())
        || name.starts_with("accept")
        || name.starts_with("x-forwarded-")
        || name.ends_with("-version")
}

/// Whatever the error of a check, the release is not good because it could not be verified.
fn as_unverified(error: Error) -> Error {
    if error.is_interruption() {
        return error;
    }
    let unverified =
        Error::new(Kind::Rollout, format!("the rollout could not be verified: {}", error.message()));
    let cause = Cause::VerifyFailed.to_string();
    let failures: Vec<Failure> = error
        .failures()
        .iter()
        .map(|failure| Failure {
            message: format!("{}: {}", failure.cause, failure.message),
            cause: cause.clone(),
            ..failure.clone()
        })
        .collect();
    if failures.is_empty() {
        let (message, hint) = (error.message().to_owned(), error.hint().map(str::to_owned));
        let subject = Subject::Object("verify".to_owned());
        return unverified.with_failures([Failure { subject, cause, message, hint, evidence: Vec::new() }]);
    }
    unverified.with_failures(failures)
}
