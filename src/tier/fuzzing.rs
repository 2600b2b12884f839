//! The entry point of the fuzzer: what is shown of earlier releases.

use serde_json::Value;

use crate::error::Result;
use crate::record::{store, target};
use crate::report::view::View;
use crate::tier::history::entries;

/// Reads two objects of the store, and derives from them what `history` and `rollback` show.
///
/// # Errors
/// Those of the store.
pub(crate) fn history(history: &Value, attempts: &Value) -> Result<String> {
    let attempts = store::fuzzing::attempts(attempts)?;
    let releases = store::fuzzing::history(history)?;
    let asked = releases.first().map(|one| one.revision);
    let chosen = [None, asked, Some(0)].map(|asked| target::choose(&releases, &attempts, asked).map(|_| ()));
    let answers: Vec<(String, Value)> = entries(releases.clone(), attempts.clone(), None)
        .iter()
        .map(|line| (line.to_text(), line.to_json()))
        .collect();
    let causes = releases.iter().flat_map(|one| &one.causes).count();
    let good = chosen.iter().filter(|chosen| chosen.is_ok()).count();
    Ok(format!("{} lines, {} attempts, {causes} causes, {good}", answers.len(), attempts.len()))
}
