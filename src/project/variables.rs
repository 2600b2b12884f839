//! The variables of a tier: values may refer to each other, to `WINDLASS_…` and to the environment.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Place, Result};
use crate::project::config::environment::{ExpandError, LONGEST, Lookup, expand};

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

/// A variable may refer to one that refers to another, and so on, this often.
const DEEPEST: usize = 32;

/// What is known while values are being found: each is found once, however many refer to it.
struct Search {
    steps: Vec<Step>,
    found: BTreeMap<Step, Result<String, ExpandError>>,
    /// How much all values together may still hold.
    room: usize,
}

impl Search {
    fn new() -> Self {
        Self { steps: Vec::new(), found: BTreeMap::new(), room: LONGEST }
    }

    /// A value that was expanded, as long as there is room for it.
    fn keep(&mut self, value: String) -> Result<String, ExpandError> {
        let too_much =
            || ExpandError::TooMuch(format!("the variables hold more than {} MiB together", LONGEST >> 20));
        self.room = self.room.checked_sub(value.len()).ok_or_else(too_much)?;
        Ok(value)
    }
}

impl Sources<'_> {
    /// The value of every variable, or what is wrong with it.
    pub(super) fn all(&self) -> BTreeMap<String, Result<String>> {
        let written = self.written.iter().filter_map(|written| written.values).flat_map(BTreeMap::keys);
        let mut search = Search::new();
        written
            .chain(self.given.keys())
            .map(|name| {
                let value = self.value(name, &mut search);
                (name.clone(), value.map(Option::unwrap_or_default).map_err(|fault| fault.error(name, None)))
            })
            .collect()
    }

    /// A text with its variables replaced.
    pub(super) fn expand(&self, text: &str) -> Result<String, ExpandError> {
        let mut search = Search::new();
        expand(text, &mut |name| self.value(name, &mut search))
    }

    fn value(&self, name: &str, search: &mut Search) -> Result<Option<String>, ExpandError> {
        if let Some(value) = self.own.get(name).or_else(|| self.given.get(name)) {
            return Ok(Some(value.clone()));
        }
        // A value that has its own name in it means the one that it hides.
        let from = match search.steps.last() {
            Some((last, layer)) if last == name => layer + 1,
            _ if search.steps.iter().any(|(step, _)| step == name) => {
                return Err(self.cycle(name, &search.steps));
            }
            _ => 0,
        };
        for layer in from..self.written.len() {
            let Some(text) = self.written[layer].values.and_then(|values| values.get(name)) else { continue };
            let step = (name.to_owned(), layer);
            if let Some(found) = search.found.get(&step) {
                return found.clone().map(Some);
            }
            let found = self.expanded(text, &step, search);
            search.found.insert(step, found.clone());
            return found.map(Some);
        }
        Ok((self.environment)(name))
    }

    /// The value of the variable of this step.
    fn expanded(&self, text: &str, step: &Step, search: &mut Search) -> Result<String, ExpandError> {
        let (name, layer) = step;
        search.steps.push(step.clone());
        let result = if search.steps.len() > DEEPEST {
            let sentence = format!("variables refer to each other more than {DEEPEST} levels deep");
            Err(ExpandError::TooMuch(sentence))
        } else {
            expand(text, &mut |name| self.value(name, search)).and_then(|value| search.keep(value))
        };
        search.steps.pop();
        let written = &self.written[*layer];
        let path = format!("{}.{name}", written.path);
        result.map_err(|fault| elsewhere(fault.error(&path, (written.place)(name))))
    }

    fn cycle(&self, name: &str, steps: &[Step]) -> ExpandError {
        let names: Vec<_> = steps.iter().map(|(step, _)| format!("`{step}`")).collect();
        let error = Error::new(
            Kind::Invalid,
            format!("variables refer to each other in a cycle: {}", names.join(", ")),
        );
        let place = self.written.iter().find_map(|written| (written.place)(name));
        elsewhere(place.map_or(error.clone(), |place| error.at(place.clone())))
    }
}

fn elsewhere(error: Error) -> ExpandError {
    ExpandError::Elsewhere(Box::new(error))
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
    fn values_that_double_or_go_deep_have_their_limits() {
        let doubling: Vec<(String, String)> = (0..60)
            .map(|at| {
                (
                    format!("A{at:02}"),
                    if at == 0 { "x".repeat(16) } else { format!("${{A{0:02}}}", at - 1).repeat(2) },
                )
            })
            .collect();
        let pairs = |all: &'static [(String, String)]| -> Vec<(&str, &str)> {
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        };
        let vars = resolved(&pairs(doubling.leak()), &[]);
        assert_eq!(vars["A10"].as_ref().unwrap().len(), 16 << 10);
        let too_much = "the variables hold more than 1 MiB together (in `tiers.staging.vars.A16`)";
        assert_eq!(vars["A59"].as_ref().unwrap_err().message(), too_much);
        // From the last to the first, so that each is found by way of all that follow.
        let chain: Vec<(String, String)> =
            (0..5000).map(|at| (format!("C{at:04}"), format!("${{C{:04}}}", at + 1))).collect();
        let vars = resolved(&pairs(chain.leak()), &[]);
        let too_deep =
            "variables refer to each other more than 32 levels deep (in `tiers.staging.vars.C0032`)";
        assert_eq!(vars["C0000"].as_ref().unwrap_err().message(), too_deep);
    }

    #[test]
    fn what_has_no_value_is_named_where_it_stands() {
        let vars = resolved(&[("A", "${B}")], &[("B", "${NOBODY}"), ("C", "${D}"), ("D", "${C}")]);
        assert_eq!(vars["A"].as_ref().unwrap_err().message(), "`NOBODY` has no value (in `vars.B`)");
        assert_eq!(
            vars["C"].as_ref().unwrap_err().message(),
            "variables refer to each other in a cycle: `C`, `D`"
        );
    }
}
