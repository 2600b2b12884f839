//! The passwords of a compose file: their values stay there, and the cluster gets them from the environment of the release.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::init::compose::interpolation::{in_manifest, only_variable};
use crate::init::workload::{Content, Variable};

/// A service's environment, as written.
pub(super) struct Environment<'a> {
    /// The name of the workload.
    pub(super) workload: &'a str,
    pub(super) is_database: bool,
    pub(super) written: Vec<(String, String)>,
}

/// What the environments of all services come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Resolved {
    /// By the name of the workload.
    pub(super) variables: BTreeMap<String, Vec<Variable>>,
    /// The keys of each Secret, with the variable of the environment that each comes from.
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// What `${NAME}` means.
    pub(super) vars: BTreeMap<String, String>,
}

/// `postgres://shop:example@db/shop`
static LOGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z][a-z0-9+.-]*://[^:/@\s]*:([^@/\s]+)@").expect("the pattern is a constant")
});

impl Resolved {
    /// Those of these services. Databases come first: theirs is the password that others have, too.
    pub(super) fn of(environments: &[Environment<'_>]) -> Self {
        let mut resolved = Self::default();
        // Each value that is a secret, with the Secret and the key that have it.
        let mut known: BTreeMap<&str, (String, String)> = BTreeMap::new();
        let databases = environments.iter().filter(|one| one.is_database);
        let others = || environments.iter().filter(|one| !one.is_database);
        for environment in databases.clone().chain(others()) {
            for (name, value) in environment.written.iter().filter(|(name, value)| is_secret(name, value)) {
                if !known.contains_key(value.as_str()) {
                    let key = resolved.keep(environment.workload, name, value);
                    known.insert(value, key);
                }
            }
        }
        for environment in databases.chain(others()) {
            let variables = resolved.variables_of(environment, &known);
            resolved.variables.insert(environment.workload.to_owned(), variables);
        }
        resolved
    }

    fn variables_of(
        &mut self,
        environment: &Environment<'_>,
        known: &BTreeMap<&str, (String, String)>,
    ) -> Vec<Variable> {
        let mut variables: Vec<Variable> = Vec::new();
        for (name, value) in &environment.written {
            let secret =
                |(secret, key): &(String, String)| Content::Secret { name: secret.clone(), key: key.clone() };
            let login = LOGIN.captures(value).and_then(|found| found.get(1));
            let content = if is_secret(name, value) {
                known.get(value.as_str()).map(secret)
            } else if let Some(password) = login {
                let found = known.get(password.as_str()).filter(|(_, key)| {
                    // The variable that holds the password must not be one of the service's own.
                    environment
                        .written
                        .iter()
                        .all(|(other, content)| other != key || content == password.as_str())
                });
                found
                    .map(|found| {
                        let key = found.1.clone();
                        if !variables.iter().any(|variable| variable.name == key) {
                            variables.push(Variable { name: key.clone(), value: secret(found) });
                        }
                        let (before, after) = (&value[..password.start()], &value[password.end()..]);
                        let (before, after) =
                            (in_manifest(before, &mut self.vars), in_manifest(after, &mut self.vars));
                        Content::Text(format!("{before}$({key}){after}"))
                    })
                    .or_else(|| Some(secret(&self.keep(environment.workload, name, value))))
            } else {
                Some(Content::Text(in_manifest(value, &mut self.vars)))
            };
            if let Some(value) = content.filter(|_| !variables.iter().any(|variable| variable.name == *name))
            {
                variables.push(Variable { name: name.clone(), value });
            }
        }
        variables
    }

    /// A key of the workload's Secret; the Secret and the key.
    fn keep(&mut self, workload: &str, name: &str, value: &str) -> (String, String) {
        let of_name = only_variable(value).unwrap_or(name).to_owned();
        let is_taken = self.secrets.values().any(|keys| keys.values().any(|from| *from == of_name));
        let from = if is_taken && only_variable(value).is_none() {
            format!("{}_{name}", workload.to_uppercase().replace('-', "_"))
        } else {
            of_name
        };
        self.secrets.entry(workload.to_owned()).or_default().insert(name.to_owned(), from);
        (workload.to_owned(), name.to_owned())
    }
}

/// Whether a variable holds what nobody may read: by its name.
fn is_secret(name: &str, value: &str) -> bool {
    const WORDS: [&str; 8] =
        ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIAL"];
    let name = name.to_uppercase();
    let is_switch = matches!(value.to_lowercase().as_str(), "" | "yes" | "no" | "true" | "false" | "0" | "1");
    let is_key = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_key && !is_switch && !name.ends_with("_FILE") && WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(workload: &'a str, is_database: bool, pairs: &[(&str, &str)]) -> Environment<'a> {
        let written = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Environment { workload, is_database, written }
    }

    #[test]
    fn one_password_is_one_secret_wherever_it_stands() {
        let web = environment(
            "web",
            false,
            &[
                ("DATABASE_URL", "postgres://shop:example@db:5432/${DB:-shop}"),
                ("PGPASSWORD", "example"),
                ("CACHE_URL", "redis://:other@cache/0"),
                ("SESSION_SECRET", "${SESSION_SECRET:?}"),
                ("ALLOW_EMPTY_PASSWORD", "yes"),
                ("GREETING", "hello"),
            ],
        );
        let db = environment("db", true, &[("POSTGRES_PASSWORD", "example"), ("POSTGRES_USER", "shop")]);
        let resolved = Resolved::of(&[web, db]);
        let secret = |name: &str, key: &str| Content::Secret { name: name.to_owned(), key: key.to_owned() };
        let text = |text: &str| Content::Text(text.to_owned());
        let expected = [
            ("POSTGRES_PASSWORD", secret("db", "POSTGRES_PASSWORD")),
            ("DATABASE_URL", text("postgres://shop:$(POSTGRES_PASSWORD)@db:5432/${DB}")),
            ("PGPASSWORD", secret("db", "POSTGRES_PASSWORD")),
            ("CACHE_URL", secret("web", "CACHE_URL")),
            ("SESSION_SECRET", secret("web", "SESSION_SECRET")),
            ("ALLOW_EMPTY_PASSWORD", text("yes")),
            ("GREETING", text("hello")),
        ]
        .map(|(name, value)| Variable { name: name.to_owned(), value });
        assert_eq!(resolved.variables["web"], expected);
        let from: Vec<(&str, &str)> =
            resolved.secrets.values().flatten().map(|(key, from)| (key.as_str(), from.as_str())).collect();
        let expected = [
            ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD"),
            ("CACHE_URL", "CACHE_URL"),
            ("SESSION_SECRET", "SESSION_SECRET"),
        ];
        assert_eq!(from, expected);
        assert_eq!(resolved.vars["DB"], "${DB:-shop}");
        assert!(!format!("{resolved:?}").contains("example"), "no value is kept");
    }

    #[test]
    fn two_passwords_of_one_name_have_variables_of_their_own() {
        let one = environment("one", false, &[("PASSWORD", "abc")]);
        let two = environment("two-b", false, &[("PASSWORD", "def")]);
        let secrets = Resolved::of(&[one, two]).secrets;
        assert_eq!(secrets["one"]["PASSWORD"], "PASSWORD");
        assert_eq!(secrets["two-b"]["PASSWORD"], "TWO_B_PASSWORD");
        assert!(!is_secret("POSTGRES_PASSWORD_FILE", "/run/x") && !is_secret("NAME", "x"));
    }
}
