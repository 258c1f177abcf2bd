//! Arguments of a call: the schema that clients see, and parsing with errors
//! that name the argument and the next step.

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::code::Code;
use super::error::ToolError;

/// How alike a name must be to be named as the one that was meant.
const ALIKE: f64 = 0.6;

/// A part of a name counts as the name from this length on.
const SHORTEST_PART: usize = 4;

/// Characters of what the caller sent that an error repeats.
const QUOTED: usize = 200;

/// The JSON schema of a type, without what only tells its Rust name.
pub fn schema<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(without_width));
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut object = match schema.to_value() {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    object.remove("$schema");
    object.remove("title");
    object
}

/// `uint64` and its like are Rust's, no formats of JSON Schema: validators of clients warn
/// of each, and strict ones take no schema that has one. The bounds stay.
fn without_width(schema: &mut Schema) {
    let is = |name, of| schema.get(name).and_then(Value::as_str) == Some(of);
    if is("type", "integer") {
        schema.remove("format");
    }
}

/// Arguments as their type.
///
/// # Errors
/// `invalid_argument`, naming the argument: unknown (and the nearest that there
/// is), missing, or of the wrong type.
pub fn parse<T: JsonSchema + DeserializeOwned>(arguments: JsonObject) -> Result<T, ToolError> {
    let known = names::<T>();
    if let Some(unknown) = arguments.keys().find(|name| !known.contains(name)) {
        return Err(unknown_argument(unknown, &known));
    }
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        // Both may quote what the caller sent.
        let path: String = error.path().to_string().chars().take(QUOTED).collect();
        let problem: String = error
            .into_inner()
            .to_string()
            .chars()
            .take(QUOTED)
            .collect();
        if path == "." {
            // A missing one: serde names it.
            ToolError::new(Code::InvalidArgument, format!("{problem}."))
        } else {
            ToolError::argument(&path, format!("{problem}{}", range::<T>(&path)))
        }
    })
}

/// The bounds that the schema gives a number.
fn range<T: JsonSchema>(name: &str) -> String {
    let schema = schema::<T>();
    let bound = |which| schema.get("properties")?.get(name)?.get(which)?.as_u64();
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("; a whole number from {least} to {most}"),
        _ => String::new(),
    }
}

fn names<T: JsonSchema>() -> Vec<String> {
    match schema::<T>().remove("properties") {
        Some(Value::Object(properties)) => properties.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

fn unknown_argument(unknown: &str, known: &[String]) -> ToolError {
    let alike = |name: &String| {
        // `lines` means `max_lines`.
        let part = unknown.len() >= SHORTEST_PART && name.contains(unknown);
        strsim::jaro_winkler(unknown, name).max(f64::from(u8::from(part)))
    };
    let nearest = known
        .iter()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
        .filter(|name| alike(name) >= ALIKE);
    let shown: String = unknown.escape_debug().take(60).collect();
    let hint = match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the arguments are {}.", known.join(", ")),
    };
    ToolError::new(
        Code::InvalidArgument,
        format!("there is no argument `{shown}`; {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Args {
        #[allow(dead_code)]
        command: String,
        #[serde(default)]
        #[allow(dead_code)]
        timeout_seconds: u32,
    }

    fn error(arguments: Value) -> String {
        let Value::Object(arguments) = arguments else {
            panic!("not an object");
        };
        parse::<Args>(arguments).expect_err("wrong").to_string()
    }

    #[test]
    fn an_integer_has_its_bounds_and_no_format_of_rust() {
        let schema = schema::<Args>();
        let timeout = &schema["properties"]["timeout_seconds"];
        assert_eq!(timeout["type"], "integer");
        assert_eq!(timeout["minimum"], 0);
        assert_eq!(timeout.get("format"), None);
    }

    #[test]
    fn an_unknown_argument_names_the_nearest_one() {
        let error = error(json!({ "command": "a", "timeout": 3 }));
        assert!(
            error.contains("`timeout`") && error.contains("`timeout_seconds`"),
            "{error}"
        );
    }

    #[test]
    fn something_far_off_gets_the_list() {
        let error = error(json!({ "command": "a", "zzz": 3 }));
        assert!(error.contains("command, timeout_seconds"), "{error}");
    }

    #[test]
    fn a_wrong_type_and_a_missing_argument_are_named() {
        assert!(error(json!({ "command": 7 })).contains("`command`"));
        assert!(error(json!({})).contains("command"));
        assert!(
            error(json!({ "command": "a", "timeout_seconds": -1 })).contains("`timeout_seconds`")
        );
    }
}
