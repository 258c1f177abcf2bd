//! How much each volume holds, as the Engine counts it.

use std::collections::HashMap;

use serde_json::Value;

use super::DockerEngine;
use crate::engine::error::EngineError;

impl DockerEngine {
    /// The bytes of each volume of the Engine, by name, as far as its driver knows them. The Engine
    /// reads whole directories for this: it is for an operator who waits.
    ///
    /// # Errors
    /// Those of every call; a busy disk takes longer than its time.
    pub async fn volume_sizes(&self) -> Result<HashMap<String, u64>, EngineError> {
        let usage = self
            .get("disk usage", "/system/df?type=volume&verbose=1")
            .await?;
        Ok(sizes(&usage))
    }
}

/// `Volumes` up to version 1.51 of the API, `VolumeUsage.Items` from then on.
fn sizes(usage: &Value) -> HashMap<String, u64> {
    let rows = [&usage["Volumes"], &usage["VolumeUsage"]["Items"]];
    let rows = rows.into_iter().filter_map(Value::as_array).flatten();
    let size = |row: &Value| {
        // -1: not known.
        let size = row["UsageData"]["Size"].as_u64()?;
        Some((row["Name"].as_str()?.to_owned(), size))
    };
    rows.filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_the_answer_are_read_and_what_is_not_known_is_left_out() {
        let rows = json!([
            { "Name": "a", "UsageData": { "Size": 7, "RefCount": 0 } },
            { "Name": "b", "UsageData": { "Size": -1, "RefCount": 0 } },
            { "Name": "c" },
        ]);
        let expected = HashMap::from([("a".to_owned(), 7)]);
        assert_eq!(sizes(&json!({ "Volumes": rows })), expected);
        assert_eq!(
            sizes(&json!({ "VolumeUsage": { "Items": rows } })),
            expected
        );
        assert_eq!(sizes(&json!({ "Volumes": null })), HashMap::new());
    }
}
