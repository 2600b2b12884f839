//! `images:` of `windlass.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Place, Result};
use crate::graph::{self, Needs};
use crate::model::{TAG_SHAPE, is_tag};
use crate::project::config::read::{Reader, choice, flag, rule, testing};
use crate::project::config::table::{Keys, Table, list, text};
use crate::project::config::yaml::{ConfigNode, Key, Value};
use crate::project::config::{CacheMode, ImageConfig, ONE_HOUR, Ulimit, names, quantity, secrets, table};

pub(crate) const IMAGE: Keys = Keys {
    known: &[
        "context",
        "dockerfile",
        "target",
        "args",
        "needs",
        "cache",
        "secrets",
        "ssh",
        "platforms",
        "tags",
        "labels",
        "annotations",
        "contexts",
        "extra_hosts",
        "network",
        "shm_size",
        "ulimits",
        "entitlements",
        "timeout",
        "matrix",
    ],
    unbuilt: &[],
};

/// Where the needs of an image stand, by argument.
type Places = BTreeMap<String, Place>;

/// The values that build arguments take in turn.
type Matrix = BTreeMap<String, Vec<String>>;

/// More images than these are hardly meant by one entry.
const MOST_COMBINATIONS: usize = 100;

impl Reader<'_> {
    pub(crate) fn images(&mut self, node: ConfigNode) -> Result<BTreeMap<String, ImageConfig>> {
        let (mut images, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (key, node) in table::entries("images", node)? {
            let (image, needs, matrix) = self.image(&key, node)?;
            for (name, args) in combinations(&key, &matrix)? {
                self.config.places.note(&["images", &name], key.place.clone());
                let mut image = image.clone();
                image.args.extend(args);
                if images.insert(name.clone(), image).is_some() {
                    let message = format!("two images are called `{name}`");
                    return Err(Error::new(Kind::Invalid, message).at(key.place));
                }
                places.insert(name, needs.clone());
            }
        }
        check_needs(&images, &places)?;
        Ok(images)
    }

    fn image(&mut self, key: &Key, node: ConfigNode) -> Result<(ImageConfig, Places, Matrix)> {
        names::image(&key.text).map_err(|error| error.at(key.place.clone()))?;
        let mut table = Table::open(&format!("images.{}", key.text), node, &IMAGE)?;
        let context = PathBuf::from(table.text("context")?.unwrap_or_else(|| ".".to_owned()));
        let dockerfile = table.text("dockerfile")?.map_or_else(|| beside(&context), PathBuf::from);
        let target = table.text("target")?;
        let args = self.expanded_texts(&mut table, "args")?;
        let (needs, places) = match table.take("needs") {
            Some(node) => needs(&table.path("needs"), node)?,
            None => Default::default(),
        };
        if let Some((name, place)) = places.iter().find(|(name, _)| args.contains_key(*name)) {
            let message = format!("the argument `{name}` is in both `args` and `needs`");
            return Err(Error::new(Kind::Invalid, message).at(place.clone()));
        }
        let path = table.path("secrets");
        let secrets = table.maps("secrets", |key, node| secrets::build_secret(&path, key, node))?;
        let ssh = flag(&mut table, "ssh")?;
        let platforms = platforms(&mut table)?;
        let matrix = testing::matrix(&mut table)?;
        if let Some(twice) = matrix.keys().find(|name| args.contains_key(*name) || needs.contains_key(*name))
        {
            let message = format!("the argument `{twice}` is in `matrix` and in `args` or `needs`");
            return Err(Error::new(Kind::Invalid, message).at(key.place.clone()));
        }
        let image = ImageConfig {
            context,
            dockerfile,
            target,
            args,
            needs,
            secrets,
            ssh,
            platforms,
            cache: cache(&mut table)?,
            tags: tags(&mut table)?,
            labels: self.expanded_texts(&mut table, "labels")?,
            annotations: self.expanded_texts(&mut table, "annotations")?,
            contexts: self.expanded_texts(&mut table, "contexts")?,
            extra_hosts: self.expanded_texts(&mut table, "extra_hosts")?,
            network: table.text("network")?,
            shm_size: size(&mut table, "shm_size")?,
            ulimits: ulimits(&mut table)?,
            entitlements: entitlements(&mut table)?,
            timeout: table.duration("timeout", ONE_HOUR)?,
        };
        Ok((image, places, matrix))
    }

    /// Where the environment lacks a name the text stays: `missing` is reported before anything uses it.
    fn expanded_texts(&mut self, table: &mut Table, key: &str) -> Result<BTreeMap<String, String>> {
        let path = table.path(key);
        table.maps(key, |key, node| {
            let path = format!("{path}.{}", key.text);
            Ok(self.expanded(&path, &node)?.unwrap_or(text(&path, &node)?))
        })
    }
}

/// The names of the images that one entry stands for, each with its arguments.
fn combinations(key: &Key, matrix: &Matrix) -> Result<Vec<(String, BTreeMap<String, String>)>> {
    let mut all = vec![(key.text.clone(), BTreeMap::new())];
    for (argument, values) in matrix {
        let with_each = all.iter().flat_map(|(name, args)| {
            values.iter().map(move |value| {
                let mut args = args.clone();
                args.insert(argument.clone(), value.clone());
                (format!("{name}-{value}"), args)
            })
        });
        all = with_each.collect();
        if all.len() > MOST_COMBINATIONS {
            let message = format!("`images.{}.matrix` makes more than {MOST_COMBINATIONS} images", key.text);
            return Err(Error::new(Kind::Invalid, message).at(key.place.clone()));
        }
    }
    for (name, _) in &all {
        names::image(name).map_err(|error| error.at(key.place.clone()))?;
    }
    Ok(all)
}

/// `true`, `false`, `{mode: max}`.
fn cache(table: &mut Table) -> Result<CacheMode> {
    let path = table.path("cache");
    let words = [("true", Some(CacheMode::Inline)), ("false", Some(CacheMode::Off))];
    match table.take_map("cache") {
        None => Ok(rule(table, "cache", &words)?.unwrap_or(CacheMode::Inline)),
        Some(node) => {
            let mut table = Table::open(&path, node, &Keys { known: &["mode"], unbuilt: &[] })?;
            let modes = [("inline", Some(CacheMode::Inline)), ("max", Some(CacheMode::Max))];
            Ok(rule(&mut table, "mode", &modes)?.unwrap_or(CacheMode::Inline))
        }
    }
}

/// Tags as written: what their variables mean is decided for each commit.
fn tags(table: &mut Table) -> Result<Vec<String>> {
    let path = table.path("tags");
    let Some(node) = table.take("tags") else { return Ok(Vec::new()) };
    let place = node.place.clone();
    let tags = list(&path, node)?;
    let is_wrong = |tag: &&String| !tag.contains('$') && !is_tag(tag);
    if let Some(wrong) = tags.iter().find(is_wrong) {
        let message = format!("`{path}` has `{wrong}`, which is not a valid tag");
        return Err(Error::new(Kind::Invalid, message).at(place).with_hint(TAG_SHAPE));
    }
    Ok(tags)
}

fn size(table: &mut Table, key: &str) -> Result<Option<u64>> {
    let path = table.path(key);
    let Some(node) = table.take(key) else { return Ok(None) };
    let size = quantity::size(&text(&path, &node)?);
    size.map(Some).map_err(|error| error.at(node.place).context(format!("`{path}`")))
}

/// `{nofile: 65536, core: {soft: 0, hard: -1}}`.
fn ulimits(table: &mut Table) -> Result<BTreeMap<String, Ulimit>> {
    let path = table.path("ulimits");
    table.maps("ulimits", |key, node| {
        let path = format!("{path}.{}", key.text);
        if matches!(node.value, Value::Scalar(_)) {
            let both = limit(&path, &node)?;
            return Ok(Ulimit { soft: both, hard: both });
        }
        let mut table = Table::open(&path, node, &Keys { known: &["soft", "hard"], unbuilt: &[] })?;
        let (soft, hard) = (table.require("soft")?, table.require("hard")?);
        Ok(Ulimit { soft: limit(&path, &soft)?, hard: limit(&path, &hard)? })
    })
}

fn limit(path: &str, node: &ConfigNode) -> Result<i64> {
    let text = text(path, node)?;
    text.parse().ok().filter(|number| *number >= -1).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("`{path}` must be a number, not `{text}`"))
            .at(node.place.clone())
            .with_hint("`-1` means no limit")
    })
}

fn entitlements(table: &mut Table) -> Result<Vec<String>> {
    const KNOWN: [&str; 2] = ["network.host", "security.insecure"];
    let path = table.path("entitlements");
    let Some(node) = table.take("entitlements") else { return Ok(Vec::new()) };
    let place = node.place.clone();
    let entitlements = list(&path, node)?;
    match entitlements.iter().find(|one| !KNOWN.contains(&one.as_str())) {
        Some(wrong) => Err(Error::new(Kind::Invalid, format!("`{path}` has `{wrong}`, which is none"))
            .at(place)
            .with_hint(choice(wrong, || KNOWN.into_iter(), "entitlements"))),
        None => Ok(entitlements),
    }
}

/// `[linux/amd64, linux/arm64]`: sorted, so that their order makes no other image.
fn platforms(table: &mut Table) -> Result<Vec<String>> {
    let path = table.path("platforms");
    let Some(node) = table.take("platforms") else { return Ok(Vec::new()) };
    let place = node.place.clone();
    let mut platforms = list(&path, node)?;
    if let Some(wrong) = platforms.iter().find(|one| !is_platform(one)) {
        let message = format!("`{path}` has `{wrong}`, which is not a platform");
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
fn needs(path: &str, node: ConfigNode) -> Result<(BTreeMap<String, String>, Places)> {
    let (mut needs, mut places) = (BTreeMap::new(), BTreeMap::new());
    let mut keep = |argument: String, image: &ConfigNode| {
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
