//! The generated code is committed, so that neither the server nor
//! casemate-init needs a protobuf compiler to build. This test compiles the
//! `.proto` again and compares; `UPDATE=1` writes it instead.

use std::path::Path;

/// Each with the package that it declares.
const FILES: [(&str, &str); 2] = [
    ("sandbox.proto", "casemate.v1"),
    ("egress.proto", "casemate.egress.v1"),
];

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a switch for the developer, not a setting"
)]
fn the_committed_code_is_what_the_proto_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (proto, package) in FILES {
        let fresh = generate(root, proto, package);
        let committed = root.join(format!("src/generated/{package}.rs"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(root.join("src/generated")).expect("folder for generated code");
            std::fs::write(&committed, &fresh).expect("write generated code");
        }
        let stored = std::fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            stored == fresh,
            "{} is older than proto/{proto}: run `UPDATE=1 cargo test -p casemate-protocol`",
            committed.display()
        );
    }
}

fn generate(root: &Path, proto: &str, package: &str) -> String {
    let descriptors = protox::compile([proto], [root.join("proto")]).expect("it compiles");
    let out = std::env::temp_dir().join(format!("{package}-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("temporary folder");
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("code generation");
    let code = std::fs::read_to_string(out.join(format!("{package}.rs"))).expect("generated code");
    std::fs::remove_dir_all(&out).expect("remove temporary folder");
    code
}
