//! The chat backend of `examples/chat`, with its user, from the upload to the web application.

#[path = "../../examples/chat/backend.rs"]
mod backend;
#[path = "../../examples/chat/browser.rs"]
mod browser;
#[path = "../../examples/chat/casemate.rs"]
mod casemate;
#[path = "../../examples/chat/model.rs"]
mod model;
#[path = "../../examples/chat/scenes.rs"]
mod scenes;
#[path = "../../examples/chat/server.rs"]
mod server;

use std::cell::RefCell;
use std::path::Path;

use crate::harness::{Instance, TOOLS_IMAGE, docker, not_run_but_in_ci};

/// Plays the conversation, and returns what it shows.
async fn played(image: &str) -> Vec<String> {
    let instance = Instance::new();
    let environment = [
        ("CASEMATE_INSTANCE", instance.name()),
        ("CASEMATE_IMAGE", image),
    ];
    let shown = RefCell::new(Vec::new());
    let show = |who: &str, what: &str, result: &str| {
        shown.borrow_mut().push(format!("{who}: {what}: {result}"));
    };
    let program = Path::new(env!("CARGO_BIN_EXE_casemate"));
    let played = scenes::play(program, &environment, show).await;
    let shown = shown.into_inner();
    played.unwrap_or_else(|error| panic!("{error:#}: {shown:#?}"));
    shown
}

fn says(shown: &[String], words: &str) -> bool {
    shown.iter().any(|line| line.contains(words))
}

#[tokio::test]
async fn a_user_gets_a_chart_a_report_and_an_application_of_an_uploaded_table() {
    let shown = played(TOOLS_IMAGE).await;
    assert!(says(&shown, "chart.svg: 4 months"), "{shown:#?}");
    assert!(
        says(&shown, r#"{"city": "Lyon", "units": 600}"#),
        "{shown:#?}"
    );
    let opened = shown
        .iter()
        .filter(|line| line.contains("opens the link: text/html"));
    assert_eq!(opened.count(), 2, "{shown:#?}");
}

#[tokio::test]
async fn the_model_plots_with_what_the_image_says_it_has() {
    let image = "casemate-data:latest";
    if docker::lines(&["images", "--quiet", image]).is_empty() {
        return not_run_but_in_ci(&format!("`make image-data` makes {image}"));
    }
    let shown = played(image).await;
    assert!(says(&shown, "chart.png: 4 months"), "{shown:#?}");
}
