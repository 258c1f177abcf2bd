//! Resolution against a model: a tree in memory, and the rules in the fewest lines.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use casemate_protocol::failure::Code;
use proptest::prelude::*;
use rustix::fs::{OFlags, fstat};

use super::super::path::RelativePath;
use super::super::testing::Sandbox;
use super::super::walk::MAX_LINKS;
use super::super::{Cancel, Workspace};

/// What absolute links of the model begin with to lead to the workspace.
const ROOT: &str = "/W";

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File,
    Link(String),
}

/// Everything but the root, by its names.
type Tree = BTreeMap<Vec<String>, Node>;

fn names(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn resolve(tree: &Tree, path: &str) -> Result<Vec<String>, Code> {
    let mut ahead = names(path);
    ahead.reverse();
    let mut at: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        match name.as_str() {
            "." => continue,
            ".." => {
                at.pop().ok_or(Code::OutsideWorkspace)?;
                continue;
            }
            _ => at.push(name),
        }
        match tree.get(&at) {
            None => return Err(Code::NotFound),
            Some(Node::Directory) => {}
            Some(Node::File) if ahead.is_empty() => {}
            Some(Node::File) => return Err(Code::NotDirectory),
            Some(Node::Link(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Code::TooManyLinks);
                }
                at.pop();
                let beneath = match target.strip_prefix(ROOT) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                        at.clear();
                        rest
                    }
                    _ if target.starts_with('/') => return Err(Code::OutsideWorkspace),
                    _ => target,
                };
                if target.ends_with('/') {
                    ahead.push(".".to_owned());
                }
                ahead.extend(names(beneath).into_iter().rev());
            }
        }
    }
    Ok(at)
}

/// Makes what can be made: where there is a directory and nothing of the name.
fn plant(sandbox: &Sandbox, nodes: Vec<(String, Node)>) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in nodes {
        let key = names(&path);
        let parent = &key[..key.len() - 1];
        let in_directory = parent.is_empty() || matches!(tree.get(parent), Some(Node::Directory));
        if !in_directory || tree.contains_key(&key) {
            continue;
        }
        let made = match &node {
            Node::Directory => fs::create_dir(sandbox.at(&path)),
            Node::File => fs::write(sandbox.at(&path), ""),
            Node::Link(target) => {
                let root = sandbox.at("").to_string_lossy().into_owned();
                let root = root.trim_end_matches('/');
                let target = match target.strip_prefix(ROOT) {
                    Some(rest) => format!("{root}{rest}"),
                    None => target.clone(),
                };
                symlink(target, sandbox.at(&path))
            }
        };
        made.expect("a new name in a directory");
        tree.insert(key, node);
    }
    tree
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => Just(Node::Directory),
        1 => Just(Node::File),
        2 => "((\\.\\.|\\.|[abc])/){0,4}([abc]/?|\\.\\.)".prop_map(Node::Link),
        1 => "/W(-evil)?(/(\\.\\.|[abc])){0,3}/?".prop_map(Node::Link),
        1 => prop::sample::select(vec!["/", "/tmp", "/proc/self/root", "/etc/passwd"])
            .prop_map(|target| Node::Link(target.to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_path_leads_where_the_model_says(
        nodes in prop::collection::vec(("[abc](/[abc]){0,2}", node()), 0..60),
        paths in prop::collection::vec("[abc](/[abc]){0,3}", 8),
    ) {
        let sandbox = Sandbox::new(true);
        let tree = plant(&sandbox, nodes);
        let mut walking = Workspace::open(&sandbox.at("")).expect("workspace");
        walking.openat2 = false;
        walking.name = sandbox.at("");
        for path in &paths {
            let expected = resolve(&tree, path).map(|names| {
                let found = fs::symlink_metadata(sandbox.at(&names.join("/")));
                found.expect("what the model has").ino()
            });
            for workspace in [&sandbox.workspace, &walking] {
                let path = RelativePath::parse(path).expect("path");
                let opened = workspace.open_beneath(path, OFlags::PATH, &Cancel::default());
                let inode = opened.map(|fd| fstat(&fd).expect("fstat").st_ino);
                prop_assert_eq!(inode.map_err(|failure| failure.code()), expected, "{:?}", path);
            }
        }
    }
}
