//! The address of a Git remote, in all its spellings.

/// Where a remote is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteAddress<'a> {
    /// Without login and port; `None` for a directory.
    pub(crate) host: Option<&'a str>,
    /// Without `.git` and the slashes around it.
    pub(crate) path: &'a str,
}

impl<'a> RemoteAddress<'a> {
    /// Reads `https://host/path`, `git@host:path`, or the path of a directory.
    pub(crate) fn read(text: &'a str) -> Self {
        let (host, path) = match text.split_once("://") {
            Some(("file", path)) => (None, path),
            Some((_, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(without_port(authority)), path)
            }
            // scp's way, unless the colon stands behind a slash or behind a Windows drive.
            None => match text.split_once(':') {
                Some((host, path)) if host.len() > 1 && !host.contains('/') => (Some(host), path),
                _ => (None, text),
            },
        };
        let path = path.trim_matches('/');
        Self { host: host.map(without_login), path: path.strip_suffix(".git").unwrap_or(path) }
    }
}

/// A login may stand before the host, and a password with it.
fn without_login(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(['@', ']']) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_names_host_and_path() {
        for text in [
            "git@git.example.com:group/shop.git",
            "https://git.example.com/group/shop",
            "https://gitlab-ci-token:t0k3n@git.example.com/group/shop.git",
            "https://nora:p@ss:word@git.example.com/group/shop.git",
            "ssh://git@git.example.com:2222/group/shop/",
        ] {
            let expected = RemoteAddress { host: Some("git.example.com"), path: "group/shop" };
            assert_eq!(RemoteAddress::read(text), expected, "{text}");
        }
        for text in ["/srv/shop.git", "file:///srv/shop.git", "srv/shop/"] {
            let expected = RemoteAddress { host: None, path: "srv/shop" };
            assert_eq!(RemoteAddress::read(text), expected, "{text}");
        }
        assert_eq!(RemoteAddress::read("https://[::1]/a").host, Some("[::1]"));
        assert_eq!(RemoteAddress::read("C:/shop").host, None);
        assert_eq!(RemoteAddress::read("https://git.example.com").path, "");
    }
}
