use super::*;
use crate::files::testing::without_privilege;
use std::os::unix::fs::PermissionsExt as _;

const STATUS: &str = "Name:\tcasemate-init\nUid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\n\
    CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
    CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

#[test]
fn the_process_is_read_from_its_status() {
    assert_eq!(capabilities(STATUS), 0xa804_25fb);
    assert_eq!(
        (first_id(STATUS, "Uid"), first_id(STATUS, "Gid")),
        (1000, 1001)
    );
    assert_eq!(field(STATUS, "NoNewPrivs"), Some("1"));
}

#[test]
fn what_the_kernel_does_not_show_counts_as_no_protection() {
    assert_eq!(capabilities(""), u64::MAX);
    assert_eq!(first_id("", "Uid"), 0);
    assert!(ulimits("").is_empty());
}

#[test]
fn of_two_mounts_on_one_path_the_last_counts() {
    let found = mounts(
        "335 273 0:62 / / ro,relatime - overlay overlay rw,lowerdir=/a\n\
         336 335 0:76 / /tmp rw,nosuid - tmpfs tmpfs rw,size=131072k\n\
         337 335 0:85 / /run rw,nosuid shared:1 - tmpfs tmpfs rw,mode=755\n\
         338 335 0:86 / /run ro,nosuid - tmpfs tmpfs rw,size=1024k\n\
         not a mount\n",
    );
    let shown: Vec<_> = found
        .iter()
        .map(|mount| {
            (
                mount.path.as_str(),
                mount.file_system.as_str(),
                mount.read_only,
                mount.size,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("/", "overlay", true, None),
            ("/tmp", "tmpfs", false, Some(128 << 20)),
            ("/run", "tmpfs", true, Some(1 << 20)),
        ]
    );
}

#[test]
fn the_hard_limit_counts_and_none_is_absent() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max file size             5                    7                    bytes     \n\
        Max core file size        0                    0                    bytes     \n\
        Max open files            4096                 unlimited            files     \n";
    let found: Vec<_> = ulimits(limits)
        .into_iter()
        .map(|limit| (limit.name, limit.hard))
        .collect();
    assert_eq!(found, [("core".to_owned(), 0), ("fsize".to_owned(), 7)]);
}

#[test]
fn a_quota_is_a_share_of_a_cpu() {
    assert_eq!(share(50_000, 100_000), Some(500_000_000));
    assert_eq!(share(250_000, 100_000), Some(2_500_000_000));
}

#[test]
fn this_process_says_who_it_is() {
    let here = read();
    assert_eq!(here.uid, rustix::process::getuid().as_raw());
    assert!(
        here.mounts.iter().any(|mount| mount.path == "/"),
        "{here:?}"
    );
}

#[test]
fn a_file_of_another_is_closed_by_its_mode_or_by_its_directory_and_no_directory_is() {
    without_privilege(|| {
        let own = std::env::temp_dir().join(format!("casemate-own-{}", std::process::id()));
        fs::write(&own, "").expect("written");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o444)).expect("its mode");
        let is_closed = |path: &str| is_closed(Path::new(path));
        let own_is_closed = is_closed(own.to_str().expect("UTF-8"));
        fs::remove_file(&own).expect("removed");
        assert!(!own_is_closed, "its owner may change the mode");
        assert!(is_closed("/etc/passwd"), "by its mode");
        assert!(is_closed("/proc/1/fdinfo/0"), "by its directory");
        // Each user may write it.
        assert!(!is_closed("/dev/null"));
        assert!(!is_closed("/"), "a directory");
    });
}
