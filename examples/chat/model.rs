//! The model of the example. It is a script, so that the example runs anywhere and always the same: a
//! real one gets the same tools and results, and decides the same kind of steps.

use serde_json::{Value, json};

/// What a model wants next.
pub enum Step {
    /// A call of a tool, whose result it reads before the next step.
    Call {
        /// The tool's name.
        tool: &'static str,
        /// Its arguments.
        arguments: Value,
    },
    /// The answer to the user.
    Say(String),
}

/// A model that knows its tools.
pub struct Model {
    /// The description of `shell_exec` says what the image has.
    has_matplotlib: bool,
}

impl Model {
    /// With the tools of the server.
    pub fn new(tools: &[Value]) -> Self {
        let has_matplotlib = tools.iter().any(|tool| {
            let description = tool["description"].as_str().unwrap_or_default();
            tool["name"] == "shell_exec" && description.contains("matplotlib")
        });
        Self { has_matplotlib }
    }

    /// The next step for a question, after the results of the steps before.
    pub fn next(&self, question: &str, results: &[Value]) -> Step {
        let asks_for = |word: &str| question.contains(word);
        let steps = if asks_for("application") {
            self.application()
        } else if asks_for("report") {
            self.report()
        } else {
            self.chart()
        };
        match steps.into_iter().nth(results.len()) {
            Some((tool, arguments)) => Step::Call { tool, arguments },
            None => Step::Say(answer(results)),
        }
    }

    fn chart(&self) -> Vec<(&'static str, Value)> {
        let (program, chart) = match self.has_matplotlib {
            true => (include_str!("script/plot_matplotlib.py"), "chart.png"),
            false => (include_str!("script/plot_svg.py"), "chart.svg"),
        };
        vec![
            (
                "shell_exec",
                json!({ "command": "head -3 sales.csv; wc -l < sales.csv" }),
            ),
            (
                "write_file",
                json!({ "path": "plot.py", "content": program }),
            ),
            ("shell_exec", json!({ "command": "python3 plot.py" })),
            ("share", json!({ "path": chart })),
        ]
    }

    fn report(&self) -> Vec<(&'static str, Value)> {
        let program = include_str!("script/report.py");
        vec![
            (
                "write_file",
                json!({ "path": "report.py", "content": program }),
            ),
            ("shell_exec", json!({ "command": "python3 report.py" })),
            ("share", json!({ "path": "report" })),
        ]
    }

    fn application(&self) -> Vec<(&'static str, Value)> {
        let program = include_str!("script/app.py");
        let start = "setsid python3 app.py > app.log 2>&1 & \
            until curl --silent --fail 'localhost:8000/api/units?city=Lyon'; do sleep 0.2; done";
        vec![
            (
                "write_file",
                json!({ "path": "app.py", "content": program }),
            ),
            ("shell_exec", json!({ "command": start })),
            ("share", json!({ "port": 8000 })),
        ]
    }
}

/// What the user reads: the link of the last result, or the reason why it has no link.
fn answer(results: &[Value]) -> String {
    let last = results.last().unwrap_or(&Value::Null);
    match link(last) {
        Some(link) => format!("Here it is: {link}"),
        None => format!("I could not share it: {}", last["content"][0]["text"]),
    }
}

/// The link in a result of `share`: what shows in the browser goes before what it saves.
pub fn link(result: &Value) -> Option<&str> {
    let output = &result["structuredContent"];
    let mut links = ["preview_link", "link"]
        .into_iter()
        .filter_map(|kind| output[kind].as_str());
    links.next()
}
