use crate::ops::backup::entry::{Entry, Name};

/// What did not come back, for the new volume's disk keeps other times or fewer extended
/// attributes than the one that the backup is of. All files are whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreLosses {
    /// So many entries have another time, or not all of their attributes.
    pub entries: u64,
    /// The path of the first of them.
    pub first: Option<Name>,
}

impl RestoreLosses {
    /// Whether nothing else is lost with this entry; then it is counted.
    pub(super) fn take(&mut self, listed: &Entry, found: &Entry) -> bool {
        let is_only_this = listed.differs_by_its_disk(found);
        if is_only_this {
            self.entries += 1;
            self.first.get_or_insert_with(|| listed.path.clone());
        }
        is_only_this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = r#"{"path":"a","kind":"file","size":1,"mode":420,
        "modified":"7.000000000","sha256":"x","attributes":[{"name":"user.a","value":"b"}]}"#;

    fn entry(change: &[(&str, &str)]) -> Entry {
        let text = change.iter().fold(LISTED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        serde_json::from_str(&text).expect("an entry")
    }

    #[test]
    fn only_times_and_attributes_may_be_lost_and_are_counted() {
        let mut lost = RestoreLosses::default();
        let attributes = r#"[{"name":"user.a","value":"b"}]"#;
        for change in [("7.000", "6.000"), (attributes, "[]")] {
            assert!(lost.take(&entry(&[]), &entry(&[change])), "{change:?}");
        }
        assert!(lost.take(
            &entry(&[]),
            &entry(&[("7.000", "0.000"), (attributes, "[]")])
        ));
        let first = lost.first.as_ref().map(ToString::to_string);
        assert_eq!((lost.entries, first.as_deref()), (3, Some("a")));
        for change in [
            (r#""sha256":"x""#, r#""sha256":"y""#),
            ("420", "421"),
            (r#""size":1"#, r#""size":2"#),
            (r#""path":"a""#, r#""path":"b""#),
        ] {
            assert!(!lost.take(&entry(&[]), &entry(&[change])), "{change:?}");
            let both = entry(&[change, ("7.000", "6.000")]);
            assert!(!lost.take(&entry(&[]), &both), "{change:?}");
        }
        assert_eq!(lost.entries, 3);
    }
}
