//! The variables of a tier: values may refer to each other, to `WINDLASS_…` and to the environment.

use std::collections::BTreeMap;

use super::environment::{Fault, Lookup, expand};
use crate::error::{Error, Kind, Place, Result};

/// Where variables may come from; what stands first wins.
pub(super) struct Sources<'a> {
    /// `WINDLASS_TIER` and the like.
    pub(super) own: &'a BTreeMap<String, String>,
    /// Those of `--var`: taken as they are.
    pub(super) given: &'a BTreeMap<String, String>,
    /// The tier's, then the configuration's: values as written, with the path of each.
    pub(super) written: [Written<'a>; 2],
    /// The environment.
    pub(super) environment: Lookup<'a>,
}

/// The `vars` of a tier or of the whole configuration.
pub(super) struct Written<'a> {
    /// The keys that lead to them: `tiers.staging.vars`.
    pub(super) path: String,
    /// The values.
    pub(super) values: Option<&'a BTreeMap<String, String>>,
    /// Where a variable of this name stands.
    pub(super) place: &'a dyn Fn(&str) -> Option<&'a Place>,
}

/// A variable whose value is being found: its name and which of the [`Sources::written`] it is.
type Step = (String, usize);

impl Sources<'_> {
    /// The value of every variable, or what is wrong with it.
    pub(super) fn all(&self) -> BTreeMap<String, Result<String>> {
        let written = self.written.iter().filter_map(|written| written.values).flat_map(BTreeMap::keys);
        written
            .chain(self.given.keys())
            .map(|name| {
                let value = self.value(name, &mut Vec::new());
                (name.clone(), value.map(Option::unwrap_or_default).map_err(|fault| fault.error(name, None)))
            })
            .collect()
    }

    /// A text with its variables replaced.
    pub(super) fn expand(&self, text: &str) -> Result<String, Fault> {
        expand(text, &mut |name| self.value(name, &mut Vec::new()))
    }

    fn value(&self, name: &str, steps: &mut Vec<Step>) -> Result<Option<String>, Fault> {
        if let Some(value) = self.own.get(name).or_else(|| self.given.get(name)) {
            return Ok(Some(value.clone()));
        }
        // A value that has its own name in it means the one that it hides.
        let from = match steps.last() {
            Some((last, layer)) if last == name => layer + 1,
            _ if steps.iter().any(|(step, _)| step == name) => return Err(self.circle(name, steps)),
            _ => 0,
        };
        for layer in from..self.written.len() {
            let written = &self.written[layer];
            let Some(text) = written.values.and_then(|values| values.get(name)) else { continue };
            steps.push((name.to_owned(), layer));
            let result = expand(text, &mut |name| self.value(name, steps));
            steps.pop();
            let path = format!("{}.{name}", written.path);
            return result.map(Some).map_err(|fault| elsewhere(fault.error(&path, (written.place)(name))));
        }
        Ok((self.environment)(name))
    }

    fn circle(&self, name: &str, steps: &[Step]) -> Fault {
        let names: Vec<_> = steps.iter().map(|(step, _)| format!("`{step}`")).collect();
        let error = Error::new(
            Kind::Invalid,
            format!("variables refer to each other in a circle: {}", names.join(", ")),
        );
        let place = self.written.iter().find_map(|written| (written.place)(name));
        elsewhere(place.map_or(error.clone(), |place| error.at(place.clone())))
    }
}

fn elsewhere(error: Error) -> Fault {
    Fault::Elsewhere(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn resolved(tier: &[(&str, &str)], config: &[(&str, &str)]) -> BTreeMap<String, Result<String>> {
        let (own, given) = (map(&[("WINDLASS_TIER", "staging")]), map(&[("GIVEN", "${X}")]));
        let (tier, config) = (map(tier), map(config));
        let written = |path: &str| Written { path: path.to_owned(), values: None, place: &|_| None };
        Sources {
            own: &own,
            given: &given,
            written: [
                Written { values: Some(&tier), ..written("tiers.staging.vars") },
                Written { values: Some(&config), ..written("vars") },
            ],
            environment: &|name| (name == "PASSWORD").then(|| "hunter2".to_owned()),
        }
        .all()
    }

    #[test]
    fn the_tier_wins_and_values_refer_to_others() {
        let vars = resolved(
            &[("HOST", "${WINDLASS_TIER}.${DOMAIN}"), ("LOG", "${LOG},more")],
            &[("HOST", "hidden"), ("DOMAIN", "shop.test"), ("LOG", "info"), ("PASSWORD", "${PASSWORD:-x}")],
        );
        for (name, value) in
            [("HOST", "staging.shop.test"), ("LOG", "info,more"), ("PASSWORD", "hunter2"), ("GIVEN", "${X}")]
        {
            assert_eq!(vars[name].as_ref().unwrap(), value, "{name}");
        }
    }

    #[test]
    fn what_has_no_value_is_named_where_it_stands() {
        let vars = resolved(&[("A", "${B}")], &[("B", "${NOBODY}"), ("C", "${D}"), ("D", "${C}")]);
        assert_eq!(vars["A"].as_ref().unwrap_err().message(), "`NOBODY` has no value (in `vars.B`)");
        assert_eq!(
            vars["C"].as_ref().unwrap_err().message(),
            "variables refer to each other in a circle: `C`, `D`"
        );
    }
}
