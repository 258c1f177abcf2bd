//! Third-party clients with credentials.

use super::super::clients::{inspect, try_all, try_with};
use super::super::harness::clients;
use super::issuer::Issuer;
use super::jwt::Issued;
use super::key::Key;
use super::tokens::token;
use super::*;

#[tokio::test]
async fn clients_with_a_users_token_and_with_a_delegates_work() {
    let (ada, first) = token(&["--user", "ada"]);
    let (webapp, second) = token(&["--delegate", "webapp"]);
    let file = SettingFile::new(&(first + &second));
    let server = tokens::server(&file).start_http().await;
    try_all(&server, Some(&ada)).await;
    try_with(clients::python("mcp", "backend.py"), &server, Some(&webapp)).await;
    let url = format!("http://{}/mcp", server.address);
    let header = format!("Authorization: Bearer {ada}");
    inspect(&[&url, "--transport", "http", "--header", &header]).await;
}

/// The README's way for Claude Desktop, which starts programs and calls no servers.
#[tokio::test]
async fn a_client_that_only_starts_programs_works_over_mcp_remote() {
    let (ada, table) = token(&["--user", "ada"]);
    let file = SettingFile::new(&table);
    let server = tokens::server(&file).start_http().await;
    let Some(bridge) = clients::node("mcp-remote") else {
        return;
    };
    let bridge = bridge.as_std();
    let mut words = vec![bridge.get_program().to_str().expect("UTF-8")];
    words.extend(bridge.get_args().map(|word| word.to_str().expect("UTF-8")));
    let url = format!("http://{}/mcp", server.address);
    let home = Directory::new(0);
    let config = SettingFile::new(
        &json!({ "mcpServers": { "casemate": {
            "command": words[0],
            "args": [words[1], url, "--header", "Authorization:${AUTH}"],
            "env": { "AUTH": format!("Bearer {ada}"), "MCP_REMOTE_CONFIG_DIR": home.text() },
        } } })
        .to_string(),
    );
    inspect(&["--config", &config.text(), "--server", "casemate"]).await;
}

#[tokio::test]
async fn clients_with_an_access_token_work_by_keys_of_a_file_and_of_a_url() {
    let issued = Issued::new().await;
    let head = json!({ "alg": "RS256", "kid": "RS256" });
    let access = issued.rsa().sign(&head, &jwt::claims());
    try_all(&issued.server, Some(&access)).await;

    let (issuer, key) = (Issuer::new().await, Key::ec());
    issuer.has(&[(&key, "a")]);
    let server = jwt::server(&issuer.url).start_http().await;
    let access = key.sign(&json!({ "alg": "ES256", "kid": "a" }), &jwt::claims());
    try_all(&server, Some(&access)).await;
}
