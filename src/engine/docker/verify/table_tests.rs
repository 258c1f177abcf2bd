use bollard::models::{ContainerCreateBody, HostConfig};
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::rule;

#[test]
fn the_table_names_every_field_that_bollard_knows() {
    let listed = ["SecurityOpt", "Ulimits", "Mounts", "Tmpfs", "Labels"];
    let missing = |prefix: &str, names: &[&'static str]| -> Vec<String> {
        let fields = names.iter().map(|name| match listed.contains(name) {
            true => format!("{prefix}.{name}.entry"),
            false => format!("{prefix}.{name}"),
        });
        fields.filter(|field| rule(field).is_none()).collect()
    };
    assert_eq!(
        missing("HostConfig", names_of::<HostConfig>()),
        [] as [String; 0]
    );
    let config = names_of::<ContainerCreateBody>();
    let config: Vec<_> = config
        .iter()
        .copied()
        .filter(|name| !["HostConfig", "NetworkingConfig"].contains(name))
        .collect();
    assert_eq!(missing("Config", &config), [] as [String; 0]);
}

/// The names of a struct's fields, as serde derived them.
fn names_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    struct Names(Option<&'static [&'static str]>);
    impl<'de> Deserializer<'de> for &mut Names {
        type Error = Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            self.0 = Some(fields);
            Err(serde::de::Error::custom("only the names"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(serde::de::Error::custom("not a struct"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names = Names(None);
    let _ = T::deserialize(&mut names);
    names.0.expect("a struct")
}
