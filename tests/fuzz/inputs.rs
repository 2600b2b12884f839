//! From the corpus to the next input: one to three changes of something that is there.

use serde_json::Value;

use crate::random::Random;
use crate::{corpus, text, tree};
use windlass::fuzzing::CUT;

/// Longer inputs are cut: time and memory are allowed in proportion, but a million inputs take their time.
const LONGEST: usize = 128 << 10;
/// So many inputs are kept at most.
const MOST: usize = 4000;

/// What inputs are made of.
pub(crate) struct Inputs {
    target: String,
    corpus: Vec<Vec<u8>>,
    seeds: usize,
}

impl Inputs {
    pub(crate) fn of(target: &str) -> Self {
        let corpus = corpus::seeds(target);
        Self { target: target.to_owned(), seeds: corpus.len(), corpus }
    }

    /// How many there are, of which so many were there at first.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.corpus.len(), self.seeds)
    }

    /// Keeps an input that led to something new.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if self.corpus.len() < MOST && input.len() <= LONGEST / 4 {
            self.corpus.push(input.to_vec());
        }
    }

    /// An input: the seeds themselves first.
    pub(crate) fn make(&self, number: usize, random: &mut Random) -> Vec<u8> {
        if let Some(seed) = self.corpus[..self.seeds].get(number) {
            return seed.clone();
        }
        let mut input = random.one(&self.corpus).clone();
        let other = random.one(&self.corpus);
        for _ in 0..=random.below(3) {
            self.change(&mut input, other, random);
        }
        if self.target == "archives" && !random.once_in(4) {
            text::mend_tar(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&self, input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
        let has_structure = !matches!(
            self.target.as_str(),
            "dockerfiles" | "dockerignore" | "test-logs" | "junit" | "archives" | "expressions"
        );
        let changed =
            (has_structure && !random.once_in(4)).then(|| self.structured(input, other, random)).flatten();
        match changed {
            Some(changed) => *input = changed.into_bytes(),
            None => text::change(input, other, random),
        }
    }

    /// Changes one part of the input as a tree; `None` where it is none.
    fn structured(&self, input: &[u8], other: &[u8], random: &mut Random) -> Option<String> {
        let input = std::str::from_utf8(input).ok()?;
        let mut parts: Vec<String> = input.split(CUT).map(str::to_owned).collect();
        let part = random.below(parts.len());
        let mut documents = tree::read(&parts[part])?;
        let others: Vec<Value> = std::str::from_utf8(other)
            .ok()
            .and_then(|other| tree::read(other.split(CUT).next()?))
            .unwrap_or_default();
        tree::change(&mut documents, &others, random);
        let json =
            matches!(self.target.as_str(), "docker-configs" | "history" | "records" | "registry-answers");
        parts[part] = tree::write(&documents, json, random);
        Some(parts.join(CUT))
    }
}
