use super::*;

const DATA: &str = "data";

fn row(name: &str, own: &[(&str, &str)]) -> VolumeSummary {
    let ours = [(labels::INSTANCE, "a"), (labels::SHARED, DATA)];
    let all = ours.iter().chain(own);
    VolumeSummary {
        name: name.to_owned(),
        labels: all
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect(),
        created: None,
    }
}

fn hash(digit: &str) -> String {
    digit.repeat(64)
}

fn version(digit: &str) -> VolumeSummary {
    let hash = hash(digit);
    row(
        &version_volume("a", DATA, &hash),
        &[(labels::SHARED_VERSION, &hash)],
    )
}

fn numbered(number: u64, digit: &str) -> VolumeSummary {
    row(
        &head_volume("a", DATA, number),
        &[
            (labels::SHARED_HEAD, &hash(digit)[..12]),
            (labels::SHARED_BYTES, "7"),
            (labels::SHARED_ENTRIES, "2"),
        ],
    )
}

fn sorted(rows: &[VolumeSummary]) -> SharedVolumes {
    let mut shares = sort_shared("a", rows.to_vec());
    let name: SharedName = DATA.parse().expect("a name");
    shares.remove(&name).unwrap_or_default()
}

fn newest(rows: &[VolumeSummary]) -> Option<String> {
    sorted(rows).newest().map(|newest| newest.volume.clone())
}

#[test]
fn the_greatest_head_says_which_version_counts_and_numbers_compare_as_numbers() {
    let rows = [
        version("1"),
        version("2"),
        numbered(9, "1"),
        numbered(10, "2"),
    ];
    assert_eq!(newest(&rows), Some(rows[1].name.clone()));
    let share = sorted(&rows);
    assert_eq!(share.next_number(), 11);
    let versions = share.versions.iter().map(|it| it.number);
    assert_eq!(versions.collect::<Vec<_>>(), [9, 10]);
    assert_eq!((share.versions[0].bytes, share.versions[0].entries), (7, 2));
    assert_eq!(share.versions[0].hash, hash("1"));
    // Put again, an old version is the newest.
    let again = [&rows[..], &[numbered(11, "1")]].concat();
    assert_eq!(newest(&again), Some(rows[0].name.clone()));
    assert_eq!(sorted(&again).versions.len(), 2);
}

#[test]
fn a_version_without_a_head_does_not_count() {
    let rows = [version("1"), version("2"), numbered(1, "1")];
    assert_eq!(newest(&rows), Some(rows[0].name.clone()));
    assert_eq!(sorted(&rows).incomplete, [rows[1].clone()]);
    assert_eq!(newest(&[version("1")]), None);
}

#[test]
fn where_the_newest_is_gone_no_older_one_takes_its_place() {
    let rows = [version("1"), numbered(1, "1"), numbered(2, "2")];
    assert_eq!(newest(&rows), None);
    assert_eq!(newest(&[]), None);
}

#[test]
fn what_the_engine_made_anew_or_has_another_name_is_no_version() {
    let mut remade = version("1");
    remade.labels.remove(labels::SHARED_VERSION);
    remade
        .labels
        .insert(labels::REMADE.to_owned(), "yes".to_owned());
    assert_eq!(newest(&[remade.clone(), numbered(1, "1")]), None);
    assert_eq!(sorted(&[remade.clone()]).incomplete, [remade]);
    let mut foreign = version("1");
    foreign.name.push('x');
    let mut head = numbered(1, "1");
    head.name = head.name.replace(".1", ".01");
    for rows in [vec![foreign, numbered(1, "1")], vec![version("1"), head]] {
        assert_eq!(newest(&rows), None);
    }
    let mut nameless = numbered(1, "1");
    nameless.labels.remove(labels::SHARED);
    assert!(sort_shared("a", vec![nameless]).is_empty());
}

#[test]
fn no_volume_of_shared_data_is_a_users() {
    for row in [version("1"), numbered(1, "1")] {
        assert_eq!(crate::provision::owner(&row.labels), None);
        let instance = "a".parse().expect("an instance");
        assert_eq!(crate::provision::workspaces(&instance, &[row]), []);
    }
}
