//! A file stays in its project, and so in the quota of its user. The tests do not check that the
//! kernel enforces the quota: their file system need not have any.

use serde_json::json;

use super::attack;
use crate::harness::TestServer;

#[tokio::test]
async fn no_call_changes_the_project_of_a_file() {
    const SCRIPT: &str = r#"
attributes = ctypes.c_void_p(ctypes.addressof(ctypes.create_string_buffer(28)))
flags = ctypes.c_void_p(ctypes.addressof(ctypes.create_string_buffer(8)))
SET, SET_FLAGS, GET_FLAGS, GET = 0x401c5820, 0x40086602, 0x80086601, 0x801c581f
found = {}
for name in ("file", "directory"):
    path = "/workspace/" + name
    os.mkdir(path) if name == "directory" else open(path, "w").close()
    fd = os.open(path, os.O_RDONLY)
    for how, high in (("", 0), ("high ", HIGH), ("signed ", -HIGH)):
        found[f"{how}FS_IOC_FSSETXATTR, {name}"] = call(16, 29, fd, high | SET, attributes)
        found[f"{how}FS_IOC_SETFLAGS, {name}"] = call(16, 29, fd, high | SET_FLAGS, flags)
    found[f"file_setattr, {name}"] = call(469, 469, fd, ctypes.c_char_p(b""), attributes, 24, 0x1000)
reads = [call(16, 29, fd, request, attributes) for request in (GET_FLAGS, GET)]
print(json.dumps({"changes": found, "reads": reads, "others": [
    call(16, 29, 0, 0x541B, flags), call(16, 29, fd, 0x5452, flags)]}))  # FIONREAD, FIOASYNC
"#;
    let server = TestServer::new().start().await;
    let found = attack(&server, SCRIPT).await;
    for (way, errno) in found["changes"].as_object().expect("ways") {
        // ENOTTY as from a file system without them; ENOSYS as from a kernel before 6.17.
        let wanted = if way.starts_with("file_setattr") {
            38
        } else {
            25
        };
        assert_eq!(errno, wanted, "{way}");
    }
    // Read-only requests reach the file system, which has flags and perhaps no projects.
    assert_eq!(found["reads"][0], 0, "{found}");
    assert!(
        [json!(0), json!(25)].contains(&found["reads"][1]),
        "{found}"
    );
}
