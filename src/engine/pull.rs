//! Images that the Engine must have before a container can start.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;

use super::fault::{self, Class};
use super::{Engine, for_engine};
use crate::error::{Error, Kind, Result};
use crate::http::retry;
use crate::model::{Credentials, Reference};

/// Tries of one pull.
const TRIES: u32 = 4;
/// The first pause between two tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

impl Engine {
    /// Makes sure the Engine has this image, and pulls it where not; says whether it pulled.
    ///
    /// # Errors
    /// [`Kind::Denied`], [`Kind::Unreachable`], [`Kind::TestNotRun`] for an image that does not exist.
    pub(crate) async fn provide<F: Future<Output = Result<Option<Credentials>>>>(
        &self,
        image: &Reference,
        credentials: impl Fn() -> F,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<bool> {
        let name = image.pinned().map_or_else(|| tagged(image), |pinned| pinned.by_digest());
        if self.at_once(self.docker().inspect_image(&name)).await.is_ok() {
            return Ok(false);
        }
        for attempt in 0.. {
            // Asked for anew each time: a job's token may have been replaced.
            let known = credentials().await?;
            let Err(text) = self.pull(image, known.as_ref(), progress).await? else { return Ok(true) };
            let class = fault::classify(&text);
            if class != Class::Passing || attempt + 1 == TRIES {
                return Err(refused(&name, class, &text));
            }
            progress(format!("pulling again after: {text}"));
            tokio::time::sleep(retry::backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE)).await;
        }
        unreachable!("the loop above only ends by returning")
    }

    async fn pull(
        &self,
        image: &Reference,
        known: Option<&Credentials>,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<Result<(), String>> {
        let credentials = known.map(|known| for_engine(known, &image.registry));
        let options = CreateImageOptions {
            from_image: Some(image.name()),
            tag: Some(image.selector().to_owned()),
            ..Default::default()
        };
        let mut stream = self.docker().create_image(Some(options), None, credentials);
        while let Some(message) = self.listen("pulling an image", stream.next()).await? {
            match message {
                Ok(info) => {
                    if let Some(detail) = info.error_detail.and_then(|detail| detail.message) {
                        return Ok(Err(detail));
                    }
                    if let Some(status) = info.status {
                        progress(status);
                    }
                }
                Err(error) if fault::is_the_end(&error) => break,
                Err(error) if fault::is_connection(&error) => {
                    return Err(self.error(Kind::Unreachable, "pulling an image", &error));
                }
                Err(error) => return Ok(Err(fault::text(&error))),
            }
        }
        Ok(Ok(()))
    }
}

fn tagged(image: &Reference) -> String {
    format!("{}:{}", image.name(), image.selector())
}

fn refused(name: &str, class: Class, text: &str) -> Error {
    let (kind, hint) = match class {
        Class::Denied => (Kind::Denied, "log in to its registry, or set DOCKER_AUTH_CONFIG"),
        Class::NotFound => (Kind::TestNotRun, "check the image's name and tag"),
        Class::Passing => (Kind::Unreachable, "try again later"),
        Class::Other => {
            let hint = fault::full_disk(text).unwrap_or("check the image's name and the Engine's log");
            (Kind::TestNotRun, hint)
        }
    };
    Error::new(kind, format!("the image {name} cannot be pulled: {text}")).with_hint(hint)
}
