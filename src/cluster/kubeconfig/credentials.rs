//! What the kubeconfig, its files and its credential program have of credentials: no output shows them.

use std::collections::HashMap;

use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;

use crate::report::Reporter;

/// Never shows from now on what a user of the kubeconfig proves itself with.
pub(crate) fn hide(user: &AuthInfo, reporter: &Reporter) {
    let texts = [&user.token, &user.password, &user.client_key_data];
    texts.into_iter().flatten().for_each(|secret| reporter.hide(secret.expose_secret()));
    let files = [&user.token_file, &user.client_key];
    files
        .into_iter()
        .flatten()
        .filter_map(|file| std::fs::read(file).ok())
        .for_each(|bytes| reporter.hide(bytes));
    let exec = user.exec.iter();
    for (name, value) in exec.flat_map(|exec| given_to(exec.env.iter().flatten(), exec.args.iter().flatten()))
    {
        if ["secret", "token", "password", "private"]
            .iter()
            .any(|word| name.to_ascii_lowercase().contains(word))
        {
            reporter.hide(value);
        }
    }
    let provider = user.auth_provider.iter().flat_map(|provider| &provider.config);
    let secrets = provider.filter(|(name, _)| name.contains("token") || name.contains("secret"));
    secrets.for_each(|(_, value)| reporter.hide(value));
}

/// What a credential program is given, by name: variables, and what stands behind a flag, or behind its `=`.
fn given_to<'a>(
    variables: impl Iterator<Item = &'a HashMap<String, String>>,
    arguments: impl Iterator<Item = &'a String> + Clone,
) -> Vec<(String, String)> {
    let variables = variables.filter_map(|one| Some((one.get("name")?.clone(), one.get("value")?.clone())));
    let joined = arguments.clone().filter_map(|one| one.split_once('='));
    let joined = joined.map(|(flag, value)| (flag.to_owned(), value.to_owned()));
    let apart = arguments.clone().zip(arguments.skip(1)).filter(|(flag, _)| flag.starts_with('-'));
    let apart = apart.map(|(flag, value)| (flag.clone(), value.clone()));
    variables.chain(joined).chain(apart).collect()
}

/// Never shows from now on what an `Authorization` has behind its scheme.
pub(crate) fn hide_header(header: &HeaderValue, reporter: &Reporter) {
    if let Some((_, token)) = header.to_str().ok().and_then(|text| text.split_once(' ')) {
        reporter.hide(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kubeconfig_proves_itself_with_is_never_shown() {
        let user: AuthInfo = serde_json::from_str(
            r#"{"username": "ann-of-the-lab", "token": "eyJhbGciOi.token", "password": "open-sesame",
                "exec": {"command": "kubelogin", "args": ["get-token", "--client-secret", "s3cret-of-flag", "--password=s3cret-joined"],
                    "env": [{"name": "AAD_CLIENT_SECRET", "value": "s3cret-of-env"}, {"name": "AWS_PROFILE", "value": "production"}]},
                "auth-provider": {"name": "oidc", "config": {"refresh-token": "r3fr3sh-t0k3n", "client-id": "lab-client"}}}"#,
        )
        .expect("it is a user");
        let reporter = Reporter::silent();
        hide(&user, &reporter);
        let shown = reporter.masked(
            "ann-of-the-lab eyJhbGciOi.token open-sesame r3fr3sh-t0k3n lab-client s3cret-of-flag s3cret-joined s3cret-of-env production",
        );
        assert_eq!(
            shown,
            "ann-of-the-lab [MASKED] [MASKED] [MASKED] lab-client [MASKED] [MASKED] [MASKED] production"
        );
    }
}
