//! One push of an image, by the Engine.

use bollard::models::PushImageInfo;
use bollard::query_parameters::PushImageOptions;
use futures::StreamExt;

use super::fault;
use super::{Engine, for_engine};
use crate::error::{Kind, Result};
use crate::model::{Credentials, Digest, Reference};

impl Engine {
    /// Pushes an image under its tag, once; gives the digest where the Engine tells it, and `Ok(Err(text))` for what the
    /// registry or the Engine said against it.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] where the Engine is gone.
    pub(crate) async fn push(
        &self,
        image: &Reference,
        known: Option<&Credentials>,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<Result<Option<Digest>, String>> {
        let credentials = known.map(|known| for_engine(known, &image.registry));
        let options = PushImageOptions { tag: image.tag.clone(), platform: None };
        let mut stream = self.docker().push_image(&image.name(), Some(options), credentials);
        let mut pushed = None;
        while let Some(message) = self.listen("pushing an image", stream.next()).await? {
            match message {
                Ok(info) => {
                    pushed = digest(&info).or(pushed);
                    if let Some(line) = line(&info) {
                        progress(line);
                    }
                }
                Err(error) if fault::is_the_end(&error) => break,
                Err(error) if fault::is_connection(&error) => {
                    return Err(self.error(Kind::Push, "pushing an image", &error));
                }
                Err(error) => return Ok(Err(fault::text(&error))),
            }
        }
        Ok(Ok(pushed))
    }
}

/// `v1: digest: sha256:… size: 528`.
fn digest(info: &PushImageInfo) -> Option<Digest> {
    let (_, rest) = info.status.as_deref()?.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// `Pushing, 12.5 of 40.1 MB`.
fn line(info: &PushImageInfo) -> Option<String> {
    let status = info.status.as_deref()?;
    let detail = info.progress_detail.as_ref();
    let (done, all) =
        detail.map_or((0, 0), |detail| (detail.current.unwrap_or(0), detail.total.unwrap_or(0)));
    let millions = |bytes: i64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
    (done > 0 && all > 0).then(|| format!("{status}, {} of {} MB", millions(done), millions(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_tells_what_it_pushed() {
        let told =
            |status: &str| digest(&PushImageInfo { status: Some(status.to_owned()), ..Default::default() });
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(
            told(&format!("v1: digest: sha256:{hex} size: 528")).unwrap().as_str(),
            format!("sha256:{hex}")
        );
        assert_eq!(told("Pushed"), None);
    }
}
