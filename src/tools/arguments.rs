//! Arguments of a call: the schema that clients see, and parsing with errors
//! that name the argument and the next step.

mod form;

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Code, ToolError};

/// Similarity from which a name is suggested as the intended one.
const LIKENESS_LIMIT: f64 = 0.6;

/// A part of a name counts as the name from this length on.
const SHORTEST_PART: usize = 4;

/// Characters of what the caller sent that an error repeats.
const QUOTED_CHARS_LIMIT: usize = 200;

/// The JSON schema of a type, without its Rust name, in the keywords that converters of clients
/// keep: an enum is `enum`, not `oneOf` of `const`, and no key declares that an object is closed,
/// which some clients refuse. The arguments are checked here all the same.
pub fn schema<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(without_width))
        .with_transform(RecursiveTransform(with_enum));
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut object = match schema.to_value() {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    object.remove("$schema");
    object.remove("title");
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.remove("additionalProperties");
    }
    // Without it some clients require all arguments.
    object
        .entry("required")
        .or_insert_with(|| Value::Array(Vec::new()));
    object
}

/// `oneOf` of texts becomes `enum`, and their meanings go into the description.
fn with_enum(schema: &mut Schema) {
    let Some(variants) = schema.get("oneOf").and_then(Value::as_array).cloned() else {
        return;
    };
    let text = |variant: &Value, key| variant.get(key)?.as_str().map(str::to_owned);
    let values: Option<Vec<String>> = variants.iter().map(|one| text(one, "const")).collect();
    let Some(values) = values else { return };
    let meaning = |(value, variant)| {
        let meaning: String = text(variant, "description")?;
        Some(format!("{value}: {}", meaning.trim_end_matches('.')))
    };
    let meanings: Vec<String> = values.iter().zip(&variants).filter_map(meaning).collect();
    let said = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = format!("{said} {}.", meanings.join("; "));
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
    schema.insert("description".to_owned(), description.trim_start().into());
    schema.insert("enum".to_owned(), values.into());
}

/// `uint64` and the like are not formats of JSON Schema: validators of clients warn about each,
/// and strict ones refuse such a schema. The bounds stay.
fn without_width(schema: &mut Schema) {
    let is = |name, of| schema.get(name).and_then(Value::as_str) == Some(of);
    if is("type", "integer") {
        schema.remove("format");
    }
}

/// Arguments as their type. `null` means an omitted argument: strict modes of frameworks send it
/// for all optional ones. 30.0 is an integer (JSON Schema, core, section 4.2.3).
///
/// # Errors
/// `invalid_argument`, naming the argument: unknown (with the most similar one), missing, or of the
/// wrong type, with the right form.
pub fn parse<T: JsonSchema + DeserializeOwned>(mut arguments: JsonObject) -> Result<T, ToolError> {
    let schema = schema::<T>();
    let none = JsonObject::new();
    let known = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    if let Some(unknown) = arguments.keys().find(|name| !known.contains_key(*name)) {
        let names: Vec<String> = known.keys().cloned().collect();
        return Err(unknown_argument(unknown, &names));
    }
    arguments.retain(|_, value| !value.is_null());
    for (name, value) in &mut arguments {
        form::check(name, &known[name], value)?;
    }
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        // Both may quote the caller's input.
        let path: String = error
            .path()
            .to_string()
            .chars()
            .take(QUOTED_CHARS_LIMIT)
            .collect();
        let problem: String = error
            .into_inner()
            .to_string()
            .chars()
            .take(QUOTED_CHARS_LIMIT)
            .collect();
        if path == "." {
            // A missing argument: serde names it.
            ToolError::new(Code::InvalidArgument, format!("{problem}."))
        } else {
            ToolError::argument(&path, problem)
        }
    })
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
        .filter(|name| alike(name) >= LIKENESS_LIMIT);
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
        let command = error(json!({ "command": 7 }));
        assert!(
            command.contains("`command`") && command.contains("a string"),
            "{command}"
        );
        assert!(error(json!({})).contains("command"));
        assert!(
            error(json!({ "command": "a", "timeout_seconds": -1 })).contains("`timeout_seconds`")
        );
    }
}
