//! The rules of a tier in its records, for commands that read no configuration.

use super::Summary;
use crate::project::{Tier, TierRules};

/// The tier's rules for a new record: those of the configuration, else those of the newest record.
pub(crate) fn to_record(tier: &Tier, newest_first: &[Summary]) -> Option<TierRules> {
    if tier.configured { Some(tier.rules()) } else { newest(newest_first) }
}

/// The rules of the newest record that has any: an older windlass writes records without them.
pub(crate) fn newest(newest_first: &[Summary]) -> Option<TierRules> {
    newest_first.iter().find_map(|summary| summary.rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Project, TierOverrides};
    use crate::record::target::tests::summary;

    fn tier(config: &str) -> Tier {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("windlass.yaml"), config).unwrap();
        let options = crate::project::Options {
            directory: directory.path().to_path_buf(),
            project: Some("shop".to_owned()),
            ..Default::default()
        };
        let overrides = TierOverrides {
            context: Some("lab".to_owned()),
            namespace: Some("shop".to_owned()),
            ..TierOverrides::default()
        };
        Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable)
            .unwrap()
            .tier("staging", &overrides)
            .unwrap()
    }

    #[test]
    fn what_the_configuration_said_last_is_kept_until_it_says_otherwise() {
        let strict = TierRules { confirm: true, protected: true };
        let history = [summary(3), Summary { rules: Some(strict), ..summary(2) }, summary(1)];
        assert_eq!(newest(&history), Some(strict), "an older program wrote release 3");
        let elsewhere = tier("version: 1\nimages: {}\n");
        assert_eq!(to_record(&elsewhere, &history), Some(strict));
        let loose = tier("version: 1\nimages: {}\ntiers: {staging: {context: lab, namespace: shop}}\n");
        assert_eq!(to_record(&loose, &history), Some(TierRules::default()));
        assert_eq!(to_record(&elsewhere, &[summary(1)]), None);
    }

    #[test]
    fn a_line_of_an_older_program_is_read_and_a_newer_one_says_little() {
        let old = serde_json::to_value(summary(1)).unwrap();
        assert!(old.get("rules").is_none());
        let new = Summary { rules: Some(TierRules::default()), ..summary(1) };
        let line = serde_json::to_value(&new).unwrap();
        assert_eq!(line["rules"], serde_json::json!({}));
        assert_eq!(serde_json::from_value::<Summary>(line).unwrap(), new);
    }
}
