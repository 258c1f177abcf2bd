//! The bundle for Claude Desktop, and the entry for the MCP registry that points to one.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{CASEMATE, VERSION, json, run, top};
use crate::harness::{Directory, clients};

/// The rules of the registry's schema (server.schema.json, 2025-12-11) for our entry.
#[test]
fn the_entry_for_the_registry_is_one() {
    let entry = json("packaging/server.json");
    let name = entry["name"]
        .as_str()
        .and_then(|name| name.split_once('/'))
        .expect("namespace/name");
    let good = |part: &str, also: &[u8]| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
    };
    assert!(
        name.0.starts_with("io.github.") && good(name.0, b".-") && good(name.1, b"._-"),
        "{name:?}"
    );
    for field in ["title", "description"] {
        let length = entry[field].as_str().map(str::len);
        assert!(
            length.is_some_and(|length| (1..=100).contains(&length)),
            "{field}"
        );
    }
}

#[tokio::test]
async fn the_bundle_for_claude_desktop_packs_and_names_the_tools() {
    let manifest = json("packaging/mcpb/manifest.json");
    let names = |tools: &Value| {
        let tools = tools.as_array().expect("tools").iter();
        tools
            .map(|tool| tool["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&manifest["tools"]),
        names(&json("tests/golden/tools.json"))
    );
    // Reads `.missing`, too, where it could not be installed.
    let Some(mut unpack) = clients::node("mcpb") else {
        return;
    };
    let out = Directory::new(0);
    let mut pack = tokio::process::Command::new(top().join("scripts/pack-mcpb"));
    let url = "https://example.com/casemate.mcpb";
    clients::succeeds(pack.args([url, CASEMATE]).env("OUT", out.text())).await;
    let bundle = |extension: &str| -> PathBuf {
        let files = std::fs::read_dir(out.text())
            .expect("a directory")
            .flatten();
        let mut files = files.map(|file| file.path());
        files
            .find(|path| path.extension().is_some_and(|it| it == extension))
            .expect(extension)
    };
    let unpacked = Path::new(out.text()).join("unpacked");
    clients::succeeds(unpack.arg("unpack").arg(bundle("mcpb")).arg(&unpacked)).await;
    let server = manifest["server"]["mcp_config"]["command"]
        .as_str()
        .expect("a command");
    let server = server.replace("${__dirname}", &unpacked.to_string_lossy());
    let said = run(Command::new(server).arg("--version")).expect("it is there");
    assert_eq!(said.trim(), format!("casemate {VERSION}"));
    let entry: Value =
        serde_json::from_slice(&std::fs::read(bundle("json")).expect("a file")).expect("JSON");
    let package = &entry["packages"][0];
    assert_eq!(
        (&package["identifier"], &package["registryType"]),
        (&url.into(), &"mcpb".into())
    );
    // The digest identifies the bundle; the registry accepts no version of it in addition.
    assert!(package.get("version").is_none(), "{entry}");
    let digest = run(Command::new("sha256sum").arg(bundle("mcpb"))).expect("sha256sum");
    assert_eq!(package["fileSha256"].as_str(), digest.split(' ').next());
}
