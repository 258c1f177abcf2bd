//! One flat list of named fields, from the body of a create call and from an inspect.
//!
//! Lists and maps whose entries are judged one by one have a field each: `HostConfig.Tmpfs./tmp`,
//! `HostConfig.Ulimits.core`. Nothing, null, false, 0 and empty are the same to the Engine and
//! are left out, except where the module says otherwise. All versions of shared data are the same.

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, Mount, MountType};
use serde_json::{Map, Value, json};

use crate::engine::shared_names::without_version;

/// Fields by name, never null.
pub(super) type Fields = BTreeMap<String, Value>;

/// Of the entrypoint: the program and the argument that makes it PID 1. The rest are its settings.
const PROGRAM_WORDS: usize = 2;

/// The requested fields.
pub(super) fn wanted(body: &ContainerCreateBody) -> Fields {
    // A struct of bollard's with string keys: it always becomes an object.
    let mut config = serde_json::to_value(body).unwrap_or_default();
    let host = config["HostConfig"].take();
    let mut fields = Fields::new();
    insert_config(&mut fields, &config);
    insert_host(&mut fields, &host);
    insert(&mut fields, "Image", &json!(body.image));
    for mount in body
        .host_config
        .iter()
        .filter_map(|host| host.mounts.as_ref())
        .flatten()
    {
        insert_wanted_mount(&mut fields, mount);
    }
    fields
}

/// What the Engine stored. Values that it must fill in by itself count as missing.
pub(super) fn stored(inspect: &Value) -> Fields {
    let mut fields = Fields::new();
    insert_config(&mut fields, &inspect["Config"]);
    insert_host(&mut fields, &inspect["HostConfig"]);
    insert(&mut fields, "Image", &inspect["Image"]);
    for mount in items(&inspect["Mounts"]) {
        insert_stored_mount(&mut fields, mount);
    }
    // The profile's name is here once the container ran; empty if the host has no AppArmor.
    if inspect["AppArmorProfile"] == "unconfined" {
        insert(&mut fields, "AppArmorProfile", &inspect["AppArmorProfile"]);
    }
    // A container can be put into a network later, while its NetworkMode stays as it was.
    let networks = entries(&inspect["NetworkSettings"]["Networks"]);
    let networks: Vec<_> = networks
        .map(|(name, _)| name)
        .filter(|name| *name != "none")
        .collect();
    insert(&mut fields, "NetworkSettings.Networks", &json!(networks));
    fields
}

/// Whether the list `value` has all of `paths`.
pub(super) fn holds_all(value: &Value, paths: &[&str]) -> bool {
    paths
        .iter()
        .all(|path| items(value).any(|item| item == path))
}

fn insert_config(fields: &mut Fields, config: &Value) {
    for (key, value) in entries(config) {
        let field = format!("Config.{key}");
        match key.as_str() {
            "HostConfig" | "NetworkingConfig" => {}
            "Labels" => insert_each(fields, &field, entries(value)),
            "Env" => insert(fields, &field, &sorted(items(value).cloned())),
            "Entrypoint" => {
                let words: Vec<_> = items(value).collect();
                let (program, args) = words.split_at(words.len().min(PROGRAM_WORDS));
                insert(fields, &field, &json!(program));
                insert(fields, &format!("{field}.args"), &json!(args));
            }
            // The Engine fills in the image's times, which have no effect without a test.
            "Healthcheck" if value["Test"] == json!(["NONE"]) => {
                insert(fields, &field, &json!({ "Test": ["NONE"] }));
            }
            _ => insert(fields, &field, value),
        }
    }
}

fn insert_host(fields: &mut Fields, host: &Value) {
    for (key, value) in entries(host) {
        let field = format!("HostConfig.{key}");
        match key.as_str() {
            "SecurityOpt" => insert_security(fields, &field, value),
            "Ulimits" => insert_named(fields, &field, "Name", value),
            "Mounts" => insert_named(fields, &field, "Target", value),
            "Tmpfs" => {
                for (path, options) in entries(value) {
                    let options = options
                        .as_str()
                        .unwrap_or_default()
                        .split(',')
                        .map(Value::from);
                    insert(fields, &format!("{field}.{path}"), &sorted(options));
                }
            }
            // Null is the daemon's default, which may be the daemon's own init.
            "Init" if value.is_boolean() => {
                fields.insert(field, value.clone());
            }
            _ => insert(fields, &field, value),
        }
    }
}

/// One field per option, split as the Engine does: `name=value`, or the older `name:value`.
fn insert_security(fields: &mut Fields, field: &str, options: &Value) {
    let mut by_name = BTreeMap::<&str, Vec<&str>>::new();
    for option in items(options).filter_map(Value::as_str) {
        let (name, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .unwrap_or((option, "true"));
        by_name.entry(name).or_default().push(value);
    }
    for (name, values) in by_name {
        // The Engine uses one of two, and we do not guess which.
        let value = if let [value] = values[..] {
            json!(value)
        } else {
            json!(values)
        };
        insert(fields, &format!("{field}.{name}"), &value);
    }
}

fn insert_named(fields: &mut Fields, field: &str, name: &str, list: &Value) {
    for item in items(list) {
        let key = item[name].as_str().unwrap_or_default();
        // A limit of 0 is a limit, so it is not pruned.
        let item = if name == "Target" {
            pruned(&any_version(without_making(item.clone()), "Source"))
        } else {
            item.clone()
        };
        let field = format!("{field}.{key}");
        // A second field of the same name is an unwanted field.
        let field = if fields.contains_key(&field) {
            format!("{field} (again)")
        } else {
            field
        };
        fields.insert(field, item);
    }
}

/// Without the options for the creation of a missing volume, which differ for each creation: the
/// labels, and the size for the Engine's own driver. They do not affect an existing volume. All
/// other options stay.
fn without_making(mut mount: Value) -> Value {
    let options = mount.get_mut("VolumeOptions");
    let Some(options) = options.and_then(Value::as_object_mut) else {
        return mount;
    };
    options.remove("Labels");
    let driver = options.get_mut("DriverConfig");
    if let Some(driver) = driver.filter(|driver| driver["Name"] == "local") {
        let own = driver.get_mut("Options").and_then(Value::as_object_mut);
        let only_size = own.is_none_or(|own| {
            own.remove("size");
            own.is_empty()
        });
        if only_size {
            *driver = Value::Null;
        }
    }
    mount
}

/// Of what can only be read, the volume at `key` without the version of shared data.
fn any_version(mut mount: Value, key: &str) -> Value {
    if is_read_only(&pruned(&mount))
        && let Some(Value::String(volume)) = mount.get_mut(key)
    {
        *volume = without_version(volume).to_owned();
    }
    mount
}

/// Whether two volumes are of one share, whatever their version.
pub(super) fn same_share(one: &str, other: &str) -> bool {
    without_version(one) == without_version(other)
}

/// Whether a mount, from a list that the module has made, can only be read.
pub(super) fn is_read_only(mount: &Value) -> bool {
    let has = |key: &str| mount.get(key).is_some();
    mount["ReadOnly"] == true || (has("Name") && !has("RW"))
}

fn insert_wanted_mount(fields: &mut Fields, mount: &Mount) {
    let target = mount.target.as_deref().unwrap_or_default();
    let value = if mount.typ == Some(MountType::VOLUME) {
        json!({ "Type": mount.typ, "Name": mount.source, "RW": !mount.read_only.unwrap_or(false) })
    } else {
        // The source is compared in HostConfig: Docker Desktop rewrites it here.
        let propagation = mount
            .bind_options
            .as_ref()
            .and_then(|options| options.propagation);
        let writable = !mount.read_only.unwrap_or(false);
        json!({ "Type": mount.typ, "Propagation": propagation, "RW": writable })
    };
    let value = any_version(value, "Name");
    insert(fields, &format!("Mounts.{target}"), &value);
}

fn insert_stored_mount(fields: &mut Fields, mount: &Value) {
    let target = mount["Destination"].as_str().unwrap_or_default();
    let shown = if mount["Type"] == "volume" {
        "Name"
    } else {
        "Propagation"
    };
    let value = json!({ "Type": mount["Type"], shown: mount[shown], "RW": mount["RW"] });
    let value = any_version(value, "Name");
    insert(fields, &format!("Mounts.{target}"), &value);
}

fn insert_each<'a>(
    fields: &mut Fields,
    field: &str,
    entries: impl Iterator<Item = (&'a String, &'a Value)>,
) {
    for (key, value) in entries {
        insert(fields, &format!("{field}.{key}"), value);
    }
}

fn insert(fields: &mut Fields, field: &str, value: &Value) {
    let value = pruned(value);
    if !value.is_null() {
        fields.insert(field.to_owned(), value);
    }
}

/// `value` with empty values as null, and without them in objects.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Bool(false) => Value::Null,
        Value::Number(number) if number.as_f64() == Some(0.0) => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Object(map) => {
            let kept: Map<_, _> = map
                .iter()
                .map(|(key, value)| (key.clone(), pruned(value)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        other => other.clone(),
    }
}

fn sorted(items: impl Iterator<Item = Value>) -> Value {
    let mut items: Vec<_> = items.collect();
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
