use super::*;

fn text(merged: Option<Vec<u8>>) -> String {
    String::from_utf8(merged.expect("something to add")).unwrap()
}

#[test]
fn a_user_or_group_of_an_id_stays_as_it_is() {
    let node = b"node:x:1000:1000::/home/node:/bin/bash\n";
    assert!(merged_passwd(Some(node), UidRange::NONE).is_none());
    assert!(merged_group(Some(b"node:x:1000:\n"), UidRange::NONE).is_none());
    let own = text(merged_passwd(Some(node), UidRange::new(70_000, 1)));
    let node = String::from_utf8_lossy(node);
    let added = "casemate-0:x:70000:70000::/workspace/.home:/bin/sh\n";
    assert_eq!(own, format!("{node}{added}"));
}

#[test]
fn an_image_without_accounts_gets_the_ones_that_are_needed() {
    let uids = UidRange::new(70_000, 2);
    let passwd = text(merged_passwd(None, uids));
    for id in [
        ":0:0:",
        ":65534:65534:",
        "casemate:x:1000:1000:",
        "casemate-0:x:70000:70000:",
        "casemate-1:x:70001:70001:",
    ] {
        assert!(passwd.contains(id), "{id} is not in {passwd}");
    }
    assert_eq!(passwd.lines().count(), 5);
    let group = text(merged_group(None, uids));
    let own = "casemate:x:1000:\ncasemate-0:x:70000:\ncasemate-1:x:70001:\n";
    assert_eq!(group, format!("root:x:0:\nnogroup:x:65534:\n{own}"));
}

#[test]
fn a_name_that_is_taken_is_not_given_twice() {
    let passwd = merged_passwd(Some(b"casemate:x:5:5::/:/bin/sh"), UidRange::NONE);
    let line = "casemate1000:x:1000:1000::/workspace/.home:/bin/sh\n";
    assert!(text(passwd).ends_with(&format!("sh\n{line}")));
    let all = b"casemate:x:5:\ncasemate1000:x:6:\nsandbox1000:x:7:\n";
    assert!(merged_group(Some(all), UidRange::NONE).is_none());
    let uids = UidRange::new(70_000, 2);
    let group = text(merged_group(Some(b"casemate-1:x:5:\n"), uids));
    assert!(
        group.ends_with("casemate-0:x:70000:\ncasemate70001:x:70001:\n"),
        "{group}"
    );
}
