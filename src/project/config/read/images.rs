//! `images:` of `windlass.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Place, Result};
use crate::graph::{self, Needs};
use crate::project::ImageConfig;
use crate::project::config::read::{Reader, choice, flag, rule};
use crate::project::config::table::{Keys, Table, list, text};
use crate::project::config::yaml::{Key, Node, Value};
use crate::project::config::{names, secrets, table};

pub(crate) const IMAGE: Keys = Keys {
    known: &["context", "dockerfile", "target", "args", "needs", "cache", "secrets", "ssh", "platforms"],
    unbuilt: &["matrix"],
};

/// Where the needs of an image stand, by argument.
type Places = BTreeMap<String, Place>;

impl Reader<'_> {
    pub(crate) fn images(&mut self, node: Node) -> Result<BTreeMap<String, ImageConfig>> {
        let (mut images, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (key, node) in table::entries("images", node)? {
            let (image, needs) = self.image(&key, node)?;
            self.config.places.note(&["images", &key.text], key.place.clone());
            images.insert(key.text.clone(), image);
            places.insert(key.text, needs);
        }
        check_needs(&images, &places)?;
        Ok(images)
    }

    fn image(&mut self, key: &Key, node: Node) -> Result<(ImageConfig, Places)> {
        names::image(&key.text).map_err(|error| error.at(key.place.clone()))?;
        let mut table = Table::open(&format!("images.{}", key.text), node, &IMAGE)?;
        let context = PathBuf::from(table.text("context")?.unwrap_or_else(|| ".".to_owned()));
        let dockerfile = table.text("dockerfile")?.map_or_else(|| beside(&context), PathBuf::from);
        let target = table.text("target")?;
        let path = table.path("args");
        let args = table.maps("args", |key, node| {
            let path = format!("{path}.{}", key.text);
            // Where the environment lacks a name the text stays: `missing` is reported before anything uses it.
            Ok(self.expanded(&path, &node)?.unwrap_or(text(&path, &node)?))
        })?;
        let (needs, places) = match table.take("needs") {
            Some(node) => needs(&table.path("needs"), node)?,
            None => Default::default(),
        };
        if let Some((name, place)) = places.iter().find(|(name, _)| args.contains_key(*name)) {
            let message = format!("the argument `{name}` stands in `args` and in `needs`");
            return Err(Error::new(Kind::Invalid, message).at(place.clone()));
        }
        let cache =
            rule(&mut table, "cache", &[("true", Some(true)), ("false", Some(false))])?.unwrap_or(true);
        let path = table.path("secrets");
        let secrets = table.maps("secrets", |key, node| secrets::build_secret(&path, key, node))?;
        let ssh = flag(&mut table, "ssh")?;
        let platforms = platforms(&mut table)?;
        let image = ImageConfig { context, dockerfile, target, args, needs, secrets, ssh, platforms, cache };
        Ok((image, places))
    }
}

/// `[linux/amd64, linux/arm64]`: sorted, so that their order makes no other image.
fn platforms(table: &mut Table) -> Result<Vec<String>> {
    let path = table.path("platforms");
    let Some(node) = table.take("platforms") else { return Ok(Vec::new()) };
    let place = node.place.clone();
    let mut platforms = list(&path, node)?;
    if let Some(wrong) = platforms.iter().find(|one| !is_platform(one)) {
        let message = format!("`{path}` has `{wrong}`, which is no platform");
        return Err(Error::new(Kind::Invalid, message)
            .at(place)
            .with_hint("write `linux/amd64` or `linux/arm/v7`"));
    }
    platforms.sort();
    platforms.dedup();
    Ok(platforms)
}

/// `os/architecture`, `os/architecture/variant`.
fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let word = |part: &&str| {
        !part.is_empty() && part.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    (2..=3).contains(&parts.len()) && parts.iter().all(word)
}

/// `[base]`, for the argument `WINDLASS_IMAGE_BASE`, or `{BASE: base}`.
fn needs(path: &str, node: Node) -> Result<(BTreeMap<String, String>, Places)> {
    let (mut needs, mut places) = (BTreeMap::new(), BTreeMap::new());
    let mut keep = |argument: String, image: &Node| {
        needs.insert(argument.clone(), text(path, image)?);
        places.insert(argument, image.place.clone());
        Ok::<_, Error>(())
    };
    if let Value::List(images) = &node.value {
        for image in images {
            keep(argument(&text(path, image)?), image)?;
        }
    } else {
        for (key, image) in table::entries(path, node)? {
            keep(key.text, &image)?;
        }
    }
    Ok((needs, places))
}

/// The build argument of an image that is needed, where no other is named.
fn argument(image: &str) -> String {
    format!("WINDLASS_IMAGE_{}", image.to_uppercase().replace(['-', '.'], "_"))
}

/// Every image that is needed is there, and none needs itself in the end.
fn check_needs(images: &BTreeMap<String, ImageConfig>, places: &BTreeMap<String, Places>) -> Result<()> {
    for (name, image) in images {
        for (argument, needed) in &image.needs {
            if images.contains_key(needed) {
                continue;
            }
            let message =
                format!("`images.{name}.needs` names the image `{needed}`, which is not in `images`");
            let known = || images.keys().map(String::as_str);
            return Err(Error::new(Kind::Invalid, message)
                .at(places[name][argument].clone())
                .with_hint(choice(needed, known, "images")));
        }
    }
    let needs: Needs =
        images.iter().map(|(name, image)| (name.clone(), image.needs.values().cloned().collect())).collect();
    let Some(cycle) = graph::cycle(&needs) else { return Ok(()) };
    let places = &places[&cycle[0]];
    let argument = images[&cycle[0]].needs.iter().find(|(_, needed)| **needed == cycle[1]);
    let place = argument.and_then(|(argument, _)| places.get(argument)).cloned();
    let error = Error::new(Kind::Invalid, format!("the images need each other: {}", cycle.join(" → ")));
    Err(place.map_or(error.clone(), |place| error.at(place)))
}

fn beside(context: &Path) -> PathBuf {
    if context == Path::new(".") { PathBuf::from("Dockerfile") } else { context.join("Dockerfile") }
}
