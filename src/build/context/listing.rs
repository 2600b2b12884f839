//! `build --context-list`: what a build would see, and which line keeps the rest out.

use serde_json::{Value, json};

use super::Context;
use super::walk::Decision;
use crate::build::bytes;
use crate::text::display;

/// So many of the biggest paths are named.
const BIGGEST: usize = 5;

/// A context with the line that decided about each of its paths.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) context: Context,
    pub(crate) decisions: Vec<Decision>,
}

impl Listing {
    /// For people: a line for every path, and what it comes to.
    pub(crate) fn text(&self, image: &str) -> String {
        let mut lines: Vec<String> = self.decisions.iter().map(|one| self.line(one)).collect();
        let files = display::count(self.count(), "file");
        let out = self.decisions.iter().filter(|one| one.ignored).count();
        lines.push(format!("image {image}: {files}, {} sent; {out} excluded", bytes(self.context.size())));
        let biggest = self.context.biggest(BIGGEST).into_iter();
        let biggest: Vec<String> = biggest.map(|(path, size)| format!("{path} {}", bytes(size))).collect();
        if !biggest.is_empty() {
            lines.push(format!("largest: {}", biggest.join(", ")));
        }
        lines.join("\n") + "\n"
    }

    /// For machines: one object a path.
    pub(crate) fn json(&self, image: &str) -> Vec<Value> {
        let object = |one: &Decision| {
            let mut object = json!({"image": image, "path": name(one), "in": !one.ignored});
            if !one.directory {
                object["bytes"] = one.bytes.into();
            }
            if let Some(line) = &one.line {
                object["line"] = line.place.to_string().into();
                object["pattern"] = line.written.as_str().into();
            }
            object
        };
        self.decisions.iter().map(object).collect()
    }

    fn count(&self) -> usize {
        self.decisions.iter().filter(|one| !one.ignored && !one.directory).count()
    }

    fn line(&self, one: &Decision) -> String {
        let size = if one.directory { String::new() } else { bytes(one.bytes) };
        let word = if one.ignored { "out" } else { "in" };
        let mut line = format!("{word:<3}  {size:>9}  {}", name(one));
        if let Some(by) = &one.line {
            line += &format!("  ({}: {})", by.place, by.written);
        }
        if one.ignored && one.path.as_os_str() == self.context.dockerfile.as_str() {
            line += ", but the build reads it";
        }
        line
    }
}

/// With a slash at the end of a directory.
fn name(one: &Decision) -> String {
    let slash = if one.directory { "/" } else { "" };
    format!("{}{slash}", one.path.display())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_path_is_told_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(root.path().join(name), text).unwrap();
        };
        write("Dockerfile", "FROM scratch");
        write(
            ".dockerignore",
            "Dockerfile\n\n# big\nnode_modules\n*.md\n!README.md\nout\n!out/keep\nempty\n!empty/x",
        );
        write("node_modules/a/b", "1234");
        write("README.md", "12");
        write("NEWS.md", "12");
        write("out/keep", "1");
        write("out/more", "1");
        write("empty/y", "1");
        std::fs::create_dir(root.path().join("var")).unwrap();
        let listing = Context::list(root.path(), Path::new("."), Path::new("Dockerfile")).unwrap();
        let expected = "\
in        75 B  .dockerignore
out       12 B  Dockerfile  (.dockerignore:1: Dockerfile), but the build reads it
out        2 B  NEWS.md  (.dockerignore:5: *.md)
in         2 B  README.md  (.dockerignore:6: !README.md)
out             empty/  (.dockerignore:9: empty)
out             node_modules/  (.dockerignore:4: node_modules)
in         1 B  out/keep  (.dockerignore:8: !out/keep)
out        1 B  out/more  (.dockerignore:7: out)
in              var/
image web: 3 files, 78 B sent; 5 excluded
largest: .dockerignore 75 B, README.md 2 B, out/keep 1 B
";
        assert_eq!(listing.text("web"), expected);
        let json = listing.json("web");
        assert_eq!(
            json[2],
            json!({"image": "web", "path": "NEWS.md", "in": false, "bytes": 2, "line": ".dockerignore:5", "pattern": "*.md"})
        );
    }
}
