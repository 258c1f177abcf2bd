//! Clients that know only what is written down: the OpenAPI file, and the example.

use crate::harness::{Application, TestServer, clients};

/// The document.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

#[tokio::test]
async fn what_the_openapi_file_says_holds_for_hundreds_of_generated_requests() {
    let Some(mut schemathesis) = clients::python_script("openapi", "openapi.py") else {
        return;
    };
    let server = TestServer::new().start_http().await;
    let said = schemathesis.arg(format!("http://{}", server.address));
    let said = clients::succeeds(said).await;
    // A finding fails the program; this is that it asked for all there is.
    let document: serde_json::Value = serde_json::from_str(OPENAPI).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let methods = ["get", "put", "post", "delete", "head", "patch"];
    let all = |path: &serde_json::Value| {
        methods
            .iter()
            .filter(|method| !path[*method].is_null())
            .count()
    };
    let all: usize = paths.map(all).sum();
    assert!(
        said.contains(&format!("Selected: {all}/{all}"))
            && said.contains(&format!("Tested: {all}")),
        "{said}"
    );
}

#[tokio::test]
async fn the_document_is_served_as_it_is_written() {
    let server = TestServer::new().start_http().await;
    let (status, text) = server.get("/v1/openapi.json").await;
    assert_eq!((status.as_u16(), text.as_str()), (200, OPENAPI));
}

#[tokio::test]
async fn the_application_of_the_example_works_for_two_users() {
    let Some(mut example) = clients::python("openapi", "fastapi_app.py") else {
        return;
    };
    let app = Application::start(TestServer::new()).await;
    example
        .arg("--try")
        .arg(format!("http://{}", app.server.address));
    let said = clients::succeeds(example.env("TOKEN", Application::TOKEN)).await;
    assert!(said.contains("works"), "{said}");
}
