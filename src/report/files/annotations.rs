//! `annotations.json`: links for the page of a GitLab job (`artifacts:reports:annotations`).

use serde_json::json;

use crate::report::event::Finished;

/// The file's content: where the tier answers, if that is known.
pub(crate) fn annotations(end: Option<&Finished>) -> String {
    let url = end.and_then(|end| end.url.as_deref()).filter(|url| !url.contains(char::is_control));
    let links = url.map(|url| {
        let label = url.split_once("://").map_or(url, |(_, host)| host);
        json!({"windlass": [{"external_link": {"label": label, "url": url}}]})
    });
    links.unwrap_or_else(|| json!({})).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::files::dotenv::tests::end;

    #[test]
    fn the_address_of_the_tier_is_a_link() {
        assert_eq!(annotations(None), "{}");
        assert_eq!(annotations(Some(&end(&[], None))), "{}");
        assert_eq!(
            annotations(Some(&end(&[], Some("https://shop.test")))),
            r#"{"windlass":[{"external_link":{"label":"shop.test","url":"https://shop.test"}}]}"#
        );
    }
}
