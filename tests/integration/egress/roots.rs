//! Certificates that the operator adds to those of the image.

use serde_json::json;

use super::lab::Lab;
use super::said;
use crate::harness::docker::Image;

#[tokio::test]
async fn programs_trust_what_the_operator_trusts_and_cannot_change_it() {
    let lab = Lab::new();
    let _host = lab.host("one.test", "93.184.1.1");
    std::fs::write(lab.path("roots.pem"), lab.certificate()).expect("a file");
    let settings = format!(
        "[egress]\nallow = [\"one.test\"]\nca_file = \"{}\"\n",
        lab.path("roots.pem").display()
    );
    // An image that only this test uses: images prepared from it are removed with it.
    let image = Image::from_tools("true", &[]);
    let server = lab.server(&settings).image(image.name()).start().await;
    let found = said(
        &server,
        r#"
path = os.environ["SSL_CERT_FILE"]
names = ["CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE",
         "NODE_EXTRA_CA_CERTS", "CARGO_HTTP_CAINFO"]
image = open("/etc/ssl/certs/ca-certificates.crt").read()
say([attempt(tls, "one.test", trust=ssl.create_default_context()),
     {os.environ[name] for name in names} == {path},
     open(path).read().startswith(image.strip()),
     attempt(lambda: str(open(path, "a")))])"#,
    )
    .await;
    assert_eq!(found, json!(["ping", true, true, "EACCES"]));
    // What a call says goes first.
    let own = json!({ "command": "echo $SSL_CERT_FILE", "env": { "SSL_CERT_FILE": "/mine" } });
    assert_eq!(server.call("shell_exec", own).await.stdout(), "/mine\n");
    drop(server);
}

#[tokio::test]
async fn a_file_without_certificates_ends_the_server_at_its_start() {
    let lab = Lab::new();
    std::fs::write(lab.path("roots.pem"), "no certificate").expect("a file");
    let path = lab.path("roots.pem");
    for (file, words) in [
        (path.display().to_string(), "it has no certificates in PEM"),
        (format!("{}x", path.display()), "it cannot be read"),
    ] {
        lab.set(
            "casemate.toml",
            &format!("[egress]\nca_file = \"{file}\"\n"),
        );
        let instance = crate::harness::Instance::new();
        let settings = lab.path("casemate.toml");
        let args = ["egress", "show", "ada", "--config"];
        let mut command = instance.command(&args);
        let output = command.arg(settings).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{said}");
        assert!(said.contains("egress.ca_file"), "{said}");
    }
}
