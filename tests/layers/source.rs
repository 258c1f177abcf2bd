//! What a source file names: words, and paths with the module that they stand in.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Macro, UseTree};

/// A file, parsed.
pub struct Source {
    /// Every identifier and keyword, also inside macro calls.
    pub words: Vec<Word>,
    /// Every import, and every other path of two segments and more.
    pub paths: Vec<NamedPath>,
    /// Every type that the file defines outside of a function.
    pub types: Vec<TypeName>,
}

/// One identifier or keyword.
pub struct Word {
    pub text: String,
    pub line: usize,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// It is named in the code.
    No,
    /// This file uses it.
    Used,
    /// This file passes it on: `pub use`.
    PassedOn,
}

/// A path and where the code names it.
pub struct NamedPath {
    pub segments: Vec<String>,
    /// Imported by another name.
    pub renamed: bool,
    pub import: Import,
    pub line: usize,
    /// In a module that only tests have.
    pub in_test: bool,
    module: Vec<String>,
}

/// A struct, an enum, a trait or an alias.
pub struct TypeName {
    pub name: String,
    pub line: usize,
    /// Not only in its module.
    pub is_visible: bool,
    pub in_test: bool,
}

impl Source {
    /// `file` is its path from the top of the repository. Panics on text that is not Rust.
    pub fn parse(file: &str, text: &str) -> Self {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut words = Vec::new();
        collect_words(tokens, &mut words);
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut visitor = Visitor {
            module: module(file),
            test_depth: 0,
            paths: Vec::new(),
            types: Vec::new(),
        };
        visitor.visit_file(&tree);
        Self {
            words,
            paths: visitor.paths,
            types: visitor.types,
        }
    }
}

impl NamedPath {
    /// It from the crate's root, without `crate`, `self` and `super`; an import without one of
    /// these is of another crate, or of a module beneath this one.
    pub fn absolute(&self) -> Vec<String> {
        let mut above = self.module.clone();
        let mut segments = self.segments.iter().peekable();
        while let Some(first) =
            segments.next_if(|segment| matches!(segment.as_str(), "crate" | "self" | "super"))
        {
            match first.as_str() {
                "crate" => above.clear(),
                "super" => drop(above.pop()),
                _ => {}
            }
        }
        above.extend(segments.cloned());
        above
    }

    /// The module of the crate's root that it leads to; `None` where it leads to no other.
    pub fn target(&self, root: &str) -> Option<&str> {
        let segments = self.segments.iter().map(String::as_str);
        let mut segments = segments.skip_while(|segment| *segment == "self").peekable();
        if segments.next_if_eq(&root).is_some() {
            return segments.next();
        }
        let mut up = 0;
        while segments.next_if_eq(&"super").is_some() {
            up += 1;
        }
        if up == 0 || up < self.module.len() {
            return None;
        }
        // A file that `#[path]` puts deeper than its name says goes past the root here: what it
        // names then is no layer.
        segments.next().filter(|name| super::is_layer(name))
    }
}

/// The module that a file is, from the crate's root. `main.rs` is a separate one.
pub fn module(file: &str) -> Vec<String> {
    let path = file.split_once("src/").map_or(file, |(_, path)| path);
    let path = path.trim_end_matches(".rs").split('/');
    let mut module: Vec<String> = path.map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

struct Visitor {
    module: Vec<String>,
    test_depth: usize,
    paths: Vec<NamedPath>,
    types: Vec<TypeName>,
}

impl Visitor {
    fn push_type(&mut self, name: &Ident, visibility: &syn::Visibility) {
        self.types.push(TypeName {
            name: name.to_string(),
            line: line(name),
            is_visible: !matches!(visibility, syn::Visibility::Inherited),
            in_test: self.test_depth > 0,
        });
    }

    fn push(&mut self, segments: Vec<String>, renamed: bool, import: Import, line: usize) {
        self.paths.push(NamedPath {
            segments,
            renamed,
            import,
            line,
            in_test: self.test_depth > 0,
            module: self.module.clone(),
        });
    }

    /// One tree of a `use`, spelled out. `use a::{self}` is `a`.
    fn push_tree(&mut self, tree: &UseTree, above: &[String], import: Import) {
        let with = |name: &Ident| match name.to_string() {
            this if this == "self" => above.to_vec(),
            name => [above, &[name]].concat(),
        };
        match tree {
            UseTree::Path(path) => {
                self.push_tree(
                    &path.tree,
                    &[above, &[path.ident.to_string()]].concat(),
                    import,
                );
            }
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|t| self.push_tree(t, above, import)),
            UseTree::Name(name) => self.push(with(&name.ident), false, import, line(&name.ident)),
            UseTree::Rename(rename) => {
                self.push(with(&rename.ident), true, import, line(&rename.ident));
            }
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.push([above, &["*".to_owned()]].concat(), false, import, line);
            }
        }
    }

    /// The paths in the tokens of a macro call or an attribute, which `syn` does not parse.
    fn push_tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let (mut colons, mut last_line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.push_segments(&mut segments, last_line);
                    }
                    (colons, last_line) = (0, line(&ident));
                    segments.push(ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.push_segments(&mut segments, last_line);
                    self.push_tokens(group.stream());
                }
                _ => self.push_segments(&mut segments, last_line),
            }
        }
        self.push_segments(&mut segments, last_line);
    }

    fn push_segments(&mut self, segments: &mut Vec<String>, line: usize) {
        let segments = std::mem::take(segments);
        if segments.len() > 1 {
            self.push(segments, false, Import::No, line);
        }
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            let test = attribute.parse_args::<syn::Ident>();
            attribute.path().is_ident("cfg") && test.is_ok_and(|word| word == "test")
        });
        self.module.push(item.ident.to_string());
        self.test_depth += usize::from(is_test);
        visit::visit_item_mod(self, item);
        self.test_depth -= usize::from(is_test);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let import = match item.vis {
            syn::Visibility::Inherited => Import::Used,
            _ => Import::PassedOn,
        };
        self.push_tree(&item.tree, &[], import);
    }

    /// The types inside of a function are its own.
    fn visit_block(&mut self, block: &'ast syn::Block) {
        let known = self.types.len();
        visit::visit_block(self, block);
        self.types.truncate(known);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.push_type(&item.ident, &item.vis);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.push_type(&item.ident, &item.vis);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.push_type(&item.ident, &item.vis);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.push_type(&item.ident, &item.vis);
        visit::visit_item_type(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let mut segments = segments.map(|segment| segment.ident.to_string()).collect();
        let last = path.segments.last();
        self.push_segments(&mut segments, last.map_or(0, |last| line(&last.ident)));
        visit::visit_path(self, path);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.push_tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.push_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn collect_words(tokens: TokenStream, words: &mut Vec<Word>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect_words(group.stream(), words),
            TokenTree::Ident(ident) => words.push(Word {
                text: ident.to_string(),
                line: line(&ident),
            }),
            _ => {}
        }
    }
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}
