//! The file of a secret in a build context: anyone who pulls the image could read it.

use std::path::Path;

use crate::build::context::{directories, is_seen, rules_file};
use crate::error::{Error, Kind, Result};
use crate::project::{ImageConfig, Project};
use crate::secret;

/// Refuses an image whose context holds a file that a secret is read from.
///
/// # Errors
/// [`Kind::Invalid`] naming the secret and the file.
pub(crate) fn check(project: &Project, name: &str, image: &ImageConfig) -> Result<()> {
    directories(image)
        .try_for_each(|(directory, dockerfile)| check_directory(project, name, directory, dockerfile))
}

fn check_directory(project: &Project, name: &str, directory: &Path, dockerfile: Option<&Path>) -> Result<()> {
    let (rules, rules_file) = rules_file(&project.root, directory, dockerfile)?;
    let Ok(top) = project.root.join(directory).canonicalize() else { return Ok(()) };
    for secret in secret::files(project) {
        let Some(inside) = secret.file.strip_prefix(&top).ok().filter(|path| is_seen(&rules, path)) else {
            continue;
        };
        let inside = inside.display();
        let sentence = format!(
            "the file of `{}`, `{inside}`, is in the build context of `{name}`: anyone who pulls the \
             image can read the secret",
            secret.path
        );
        let error = Error::new(Kind::Invalid, sentence)
            .with_hint(format!("add `{inside}` to {}", rules_file.display()));
        return Err(match secret.place {
            Some(place) => error.at(place),
            None => error,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Options;

    fn refused(files: &[(&str, &str)], config: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files.iter().chain(&[("Dockerfile", "FROM scratch\n"), ("windlass.yaml", config)])
        {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let options = Options { directory: root.path().to_path_buf(), ..Options::default() };
        let project =
            Project::open(&options, crate::project::GitFacts::default(), &crate::project::variable).unwrap();
        let images = project.config.images.iter();
        let errors = images.filter_map(|(name, image)| check(&project, name, image).err());
        errors.map(|error| format!("{error}; {}", error.hint().unwrap_or_default())).collect()
    }

    #[test]
    fn the_file_of_a_secret_is_in_no_image() {
        let config = "version: 1\nimages: {web: {secrets: {npm: {file: npm.token}}}}\n\
                      secrets: {db: {password: {file: \"secrets/${WINDLASS_TIER}.txt\"}}}\n\
                      tiers: {staging: {context: a, namespace: b}}\n";
        let npm = ("npm.token", "1");
        let said = refused(&[npm], config);
        assert!(said[0].starts_with("windlass.yaml:2:"), "{said:?}");
        assert!(said[0].contains("`images.web.secrets.npm`, `npm.token`"), "{said:?}");
        assert!(said[0].ends_with("add `npm.token` to .dockerignore"), "{said:?}");
        let ignored = (".dockerignore", "npm.token\n");
        let tier = ("secrets/staging.txt", "2");
        assert!(refused(&[npm, ignored, tier], config)[0].contains("`secrets/staging.txt`"));
        let own = ("Dockerfile.dockerignore", "secrets\n");
        assert!(
            refused(&[npm, tier, own], config)[0].ends_with("add `npm.token` to Dockerfile.dockerignore")
        );
        let both = (".dockerignore", "npm.token\nsecrets\n");
        assert_eq!(refused(&[npm, tier, both], config), Vec::<String>::new());
        assert_eq!(refused(&[], config), Vec::<String>::new(), "none of them is here");
    }

    #[test]
    fn a_secret_elsewhere_is_nobodys_business() {
        let config = "version: 1\nimages: {web: {context: app, dockerfile: Dockerfile}}\nsecrets: {db: {file: db.env}}\n";
        assert_eq!(refused(&[("db.env", "A=1"), ("app/x", "")], config), Vec::<String>::new());
        let linked = "version: 1\nimages: {web: {}}\nbuilder: {address: \"tcp://b:1\", cert: cert.pem, key: key.pem}\n";
        assert!(refused(&[("key.pem", "k")], linked)[0].contains("`builder.key`"));
    }
}
