//! Checks one argument by its schema: accepts what clearly is meant, and shows the right form of
//! the rest.

use serde_json::{Number, Value, json};

use super::QUOTED_CHARS_LIMIT;
use crate::api::ToolError;

/// Whole numbers up to here are exact in a floating-point number (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Checks a value, and writes a whole number as one.
///
/// # Errors
/// `invalid_argument` with the form that the argument has.
pub fn check(name: &str, schema: &Value, value: &mut Value) -> Result<(), ToolError> {
    let wanted = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fits = match wanted {
        "integer" => {
            whole(value);
            in_bounds(schema, value)
        }
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "object" => value
            .as_object()
            .is_some_and(|all| all.values().all(Value::is_string)),
        _ => true,
    };
    if fits && is_among(schema, value) {
        return Ok(());
    }
    Err(ToolError::argument(name, problem(name, schema, value)))
}

fn whole(value: &mut Value) {
    let Some(number) = value.as_f64().filter(|_| value.is_f64()) else {
        return;
    };
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole, and below 2^53"
        )]
        let number = Number::from(number as i64);
        *value = Value::Number(number);
    }
}

fn in_bounds(schema: &Value, value: &Value) -> bool {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    value.as_u64().is_some_and(|value| {
        bound("minimum").is_none_or(|least| value >= least)
            && bound("maximum").is_none_or(|most| value <= most)
    })
}

fn is_among(schema: &Value, value: &Value) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    values.is_none_or(|values| values.contains(value))
}

/// The given value, the expected form, and an example.
fn problem(name: &str, schema: &Value, value: &Value) -> String {
    let wanted = match schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "integer" => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            (Some(least), None) => format!("a whole number from {least} on"),
            _ => "a whole number".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        "object" => "an object whose values are strings".to_owned(),
        _ => match schema.get("enum") {
            Some(values) => format!("one of {values}"),
            None => "a string".to_owned(),
        },
    };
    let mut form = json!({});
    form[name] = example(schema, value);
    let form = form.to_string();
    let form = form.trim_start_matches('{').trim_end_matches('}');
    let form: String = if schema["type"] == "object" {
        format!("{form}}}")
    } else {
        form.to_owned()
    };
    let shown: String = value
        .to_string()
        .chars()
        .take(QUOTED_CHARS_LIMIT / 2)
        .collect();
    format!(
        "is {shown}; it is {wanted}: {}",
        form.chars().take(QUOTED_CHARS_LIMIT).collect::<String>()
    )
}

/// The intended value, if a text contains it, else an example.
fn example(schema: &Value, value: &Value) -> Value {
    let read = value
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
    let mut read = read.unwrap_or_default();
    whole(&mut read);
    let meant = match schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "integer" => in_bounds(schema, &read).then_some(read),
        "boolean" => read.is_boolean().then_some(read),
        "object" => {
            let all = read
                .as_object()
                .is_some_and(|all| all.values().all(Value::is_string));
            let fits = all.then_some(read);
            return fits.unwrap_or_else(|| json!({ "NAME": "value" }));
        }
        _ => match schema.get("enum").and_then(Value::as_array) {
            Some(values) => values.first().cloned(),
            None => value.is_number().then(|| Value::from(value.to_string())),
        },
    };
    let default = || schema.get("default").cloned();
    let least = || schema.get("minimum").cloned();
    meant
        .or_else(default)
        .or_else(least)
        .unwrap_or_else(|| json!("…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(schema: Value, mut value: Value) -> Result<Value, String> {
        let checked = check("a", &schema, &mut value);
        checked.map(|()| value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let schema = json!({ "type": "integer", "minimum": 1, "maximum": 3600, "default": 30 });
        for (value, wanted) in [(json!(30), 30), (json!(30.0), 30), (json!(3.6e3), 3600)] {
            assert_eq!(checked(schema.clone(), value), Ok(json!(wanted)));
        }
        for value in [
            json!(0),
            json!(-1),
            json!(3601.0),
            json!(1e30),
            json!(1.5),
            json!("x"),
            json!([]),
        ] {
            let error = checked(schema.clone(), value.clone()).expect_err("refused");
            assert!(
                error.contains("1 to 3600") && error.contains("\"a\":30"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn what_was_meant_by_a_text_is_shown_in_its_right_form() {
        let number = json!({ "type": "integer", "minimum": 1, "maximum": 3600 });
        let error = checked(number, json!("45")).expect_err("refused");
        assert!(
            error.contains("is \"45\"") && error.contains("\"a\":45"),
            "{error}"
        );
        let env = json!({ "type": "object" });
        let error = checked(env.clone(), json!("{\"B\":\"c\"}")).expect_err("refused");
        assert!(error.contains(r#""a":{"B":"c"}"#), "{error}");
        let error = checked(env, json!({ "B": 1 })).expect_err("refused");
        assert!(
            error.contains(r#""a":{"NAME":"value"}"#) && error.contains("strings"),
            "{error}"
        );
        let flag = json!({ "type": "boolean", "default": false });
        let error = checked(flag, json!("true")).expect_err("refused");
        assert!(error.contains("\"a\":true"), "{error}");
        let word = json!({ "type": "string", "enum": ["x", "y"] });
        let error = checked(word, json!("z")).expect_err("refused");
        assert!(error.contains(r#"["x","y"]"#), "{error}");
    }
}
