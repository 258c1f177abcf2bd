//! A file stays in its project, and so in the quota of its user. The first test asks for the refusal
//! alone, which needs no quota; the second one tries the attack where the Engine has quotas, as in
//! `make test-vm`.

use serde_json::{Value, json};

use super::{PRELUDE, attack};
use crate::harness::{Server, TOOLS_IMAGE, TestServer, docker, not_run};

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
    // gVisor's kernel passes no request to it.
    let read = if docker::on_gvisor() { 25 } else { 0 };
    assert_eq!(found["reads"][0], read, "{found}");
    assert!(
        [json!(0), json!(25)].contains(&found["reads"][1]),
        "{found}"
    );
}

/// Of the workspace.
const SIZE_MIB: u64 = 64;

/// Takes two files out of the project of the directory and writes more than it may have: one file gets
/// another project, the other is made in a directory that no longer hands its project down.
const ESCAPE: &str = r#"
SET, GET, SET_FLAGS, FLAGS = 0x401c5820, 0x801c581f, 0x40086602, 0x80086601
INHERIT = 0x20000000  # FS_PROJINHERIT_FL
attributes = ctypes.create_string_buffer(28)  # struct fsxattr: flags, extent, extents, project, ...
flags = ctypes.create_string_buffer(8)
at = lambda buffer: ctypes.c_void_p(ctypes.addressof(buffer))

def project(fd):
    assert call(16, 29, fd, GET, at(attributes)) == 0
    return struct.unpack_from("IIII", attributes)[3]

def leave(fd):
    project(fd)
    struct.pack_into("I", attributes, 12, 0)
    return call(16, 29, fd, SET, at(attributes))

def no_inheritance(fd):
    assert call(16, 29, fd, FLAGS, at(flags)) == 0
    struct.pack_into("Q", flags, 0, struct.unpack("Q", flags)[0] & ~INHERIT)
    return call(16, 29, fd, SET_FLAGS, at(flags))

def fill(fd):
    """Both files together are more than the quota; one is not."""
    try:
        for _ in range(40):
            os.write(fd, bytes(MIB))
        os.fsync(fd)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "all of it"

found = {}
file = os.open("escaped", os.O_RDWR | os.O_CREAT)
found["before"] = project(file)
found["leave"] = leave(file)
found["after"] = project(file)
found["file"] = fill(file)
os.makedirs("open", exist_ok=True)
found["no inheritance"] = no_inheritance(os.open("open", os.O_RDONLY))
below = os.open("open/below", os.O_RDWR | os.O_CREAT)
found["below"] = fill(below)
os.unlink("open/below"); os.rmdir("open"); os.unlink("escaped")
print(json.dumps(found))
"#;

/// Runs the script as the user's uid in a container without Casemate's filters, on the user's volume.
fn unfiltered(server: &Server, script: &str) -> Value {
    let volume = format!("{}:/workspace", server.instance.volumes()[0]);
    let user = format!("--user={0}:{0}", server.instance.uid());
    let run = [
        "run",
        "--rm",
        "--network=none",
        "--cap-drop=ALL",
        "--workdir=/workspace",
    ];
    let open = [
        "--security-opt=seccomp=unconfined",
        "--volume",
        &volume,
        &user,
    ];
    let script = format!("{PRELUDE}\n{script}");
    let python = [TOOLS_IMAGE, "python3", "-c", &script];
    let printed = docker::output(&[&run[..], &open, &python].concat());
    serde_json::from_str(&printed).expect("JSON")
}

/// The size that the Engine limits the server's volume to.
fn size_of_volume(server: &Server) -> Option<Value> {
    let volume = docker::inspect("volume", &server.instance.volumes()[0]);
    let size = &volume["Options"]["size"];
    if size.is_null() {
        not_run("the Engine cannot limit the size of volumes");
        return None;
    }
    Some(size.clone())
}

/// The attack succeeds without the filters, so their refusal is what keeps the quota.
#[tokio::test]
async fn nobody_writes_past_a_quota_by_changing_the_project_of_a_file() {
    let quota = format!("{SIZE_MIB}m");
    let server = TestServer::new().env("CASEMATE_QUOTA", &quota);
    let server = server.start().await;
    server.shell("true").await;
    let Some(size) = size_of_volume(&server) else {
        return;
    };
    assert_eq!(size, (SIZE_MIB << 20).to_string());

    let found = attack(&server, ESCAPE).await;
    let own = found["before"].as_u64().expect("a project");
    assert!(own > 0, "the volume has a project: {found}");
    assert_eq!(found["after"], own, "{found}");
    for way in ["leave", "no inheritance"] {
        assert_eq!(found[way], 25, "{way} is ENOTTY: {found}");
    }
    assert_eq!(found["file"], "all of it", "{found}");
    let full = [json!("ENOSPC"), json!("EDQUOT")];
    assert!(full.contains(&found["below"]), "{found}");

    let found = unfiltered(&server, ESCAPE);
    assert_eq!(found["before"], own, "the same volume: {found}");
    assert_eq!((&found["leave"], &found["after"]), (&json!(0), &json!(0)));
    assert_eq!(found["file"], "all of it", "{found}");
    assert_eq!(found["no inheritance"], 0, "{found}");
    assert_eq!(found["below"], "all of it", "{found}");
}

/// What the tools say, and that deleting makes room.
#[tokio::test]
async fn a_full_quota_is_told_with_its_size_and_deleting_makes_room() {
    let quota = format!("{SIZE_MIB}m");
    let server = TestServer::new().env("CASEMATE_QUOTA", &quota);
    let other = server.clone().user("other").start().await;
    let server = server.start().await;
    server.shell("true").await;
    if size_of_volume(&server).is_none() {
        return;
    }
    // The quota is smaller than the space that must stay free of the disk: another limit.
    let fill = server.shell("head -c 100M /dev/zero > fill; stat -c %s fill");
    let size: u64 = fill.await.stdout().trim_end().parse().expect("a size");
    assert!((1..=SIZE_MIB << 20).contains(&size), "{size}");
    let refused = server.write("more", &"x".repeat(1 << 20)).await;
    assert_eq!(refused.code(), "no_space", "{}", refused.0);
    let told = format!(" of {SIZE_MIB} MiB are free");
    assert!(refused.text().contains(&told), "{}", refused.0);
    let written = other.write("file", &"x".repeat(1 << 20)).await;
    assert!(!written.is_error(), "{}", written.0);
    server.shell("rm fill").await;
    let written = server.write("more", &"x".repeat(1 << 20)).await;
    assert!(!written.is_error(), "{}", written.0);
}
