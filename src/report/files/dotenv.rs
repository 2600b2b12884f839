//! `windlass.env`: what later jobs of a GitLab pipeline need to know, as variables (`artifacts:reports:dotenv`). The outputs of a step
//! of GitHub are the same.
//!
//! GitLab takes each line for a variable: no comments, no empty lines, no quotes, and values of one line. By
//! default it takes 5 KiB and 50 variables, which is room for some fifteen images.

use std::collections::BTreeMap;

use crate::report::event::Finished;

/// The file's content, and what had to be left out.
pub(crate) fn dotenv(end: &Finished) -> (String, Vec<String>) {
    let (values, left_out) = values(end);
    // What has several lines can have none here.
    let lines = values.iter().filter(|(_, value)| !value.contains(char::is_control));
    (lines.map(|(name, value)| format!("{name}={value}\n")).collect(), left_out)
}

/// The variables, and what had to be left out.
pub(super) fn values(end: &Finished) -> (Vec<(String, String)>, Vec<String>) {
    let (mut values, mut left_out) = (Vec::new(), Vec::new());
    for (variable, images) in by_variable(end) {
        match images[..] {
            [(_, reference)] => {
                values.push((format!("{variable}_IMAGE"), reference.to_owned()));
                let digest = reference.rsplit_once('@').map(|(_, digest)| digest.to_owned());
                values.extend(digest.map(|digest| (format!("{variable}_DIGEST"), digest)));
            }
            _ => left_out.push(ambiguous(&variable, &images)),
        }
    }
    values.extend(end.revision.map(|number| ("WINDLASS_REVISION".to_owned(), number.to_string())));
    values.extend(end.url.as_ref().map(|url| ("WINDLASS_URL".to_owned(), url.clone())));
    values.retain(|(_, value)| !value.is_empty());
    (values, left_out)
}

/// The images, as name and reference, by the beginning of their variables' names.
fn by_variable(end: &Finished) -> BTreeMap<String, Vec<(&str, &str)>> {
    let mut variables: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, reference) in &end.images {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let variable = format!("WINDLASS_{}", name.chars().map(word).collect::<String>());
        variables.entry(variable).or_default().push((name, reference));
    }
    variables
}

/// A variable that could be one image or another would lead to the wrong one.
fn ambiguous(variable: &str, images: &[(&str, &str)]) -> String {
    let names: Vec<_> = images.iter().map(|(name, _)| format!("`{name}`")).collect();
    format!("there is no {variable}_IMAGE for later jobs: it could be image {}", names.join(" or "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Outcome;

    pub(in crate::report::files) fn end(images: &[(&str, &str)], url: Option<&str>) -> Finished {
        Finished {
            command: "release".into(),
            outcome: Outcome::Ok,
            exit_code: 0,
            stage: None,
            images: images.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            revision: Some(7),
            rolled_back_to: None,
            sent_back_to: None,
            changed: None,
            still_runs: None,
            untouched: Vec::new(),
            back_to: None,
            url: url.map(Into::into),
            causes: Vec::new(),
            message: None,
            snippet: None,
            hint: None,
            next: Vec::new(),
            seconds: 1.0,
        }
    }

    #[test]
    fn names_are_variables_and_values_are_lines() {
        let end = end(&[("shop-api.v2", "r.test:5000/a:1@sha256:ab")], Some("https://shop.test/\nEVIL=1"));
        let expected = "WINDLASS_SHOP_API_V2_IMAGE=r.test:5000/a:1@sha256:ab\n\
                        WINDLASS_SHOP_API_V2_DIGEST=sha256:ab\nWINDLASS_REVISION=7\n";
        assert_eq!(dotenv(&end), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn an_ambiguous_variable_is_left_out_and_said() {
        let (text, left_out) = dotenv(&end(&[("a-b", "r/1@sha256:1"), ("a_b", "r/2@sha256:2")], None));
        assert_eq!(text, "WINDLASS_REVISION=7\n");
        assert_eq!(
            left_out,
            ["there is no WINDLASS_A_B_IMAGE for later jobs: it could be image `a-b` or `a_b`"]
        );
    }
}
