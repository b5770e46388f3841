//! Which modules of a crate import which others, and whether any of them do so in a circle.

use super::code::code_of;

/// The modules of one crate, by their paths from the crate root.
#[derive(Default)]
pub struct Modules(Vec<Module>);

struct Module {
    path: Vec<String>,
    imports: Vec<Import>,
}

/// One path of a `use` declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import {
    path: Vec<String>,
    is_public: bool,
}

impl Modules {
    /// Adds a file of the crate. `path` is relative to the crate root's directory. An inline test module does not count,
    /// nor does a file of tests.
    pub fn add(&mut self, path: &str, text: &str) {
        let path = path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let path: Vec<String> = match path {
            "main" | "lib" => Vec::new(),
            _ => path.split('/').map(str::to_owned).collect(),
        };
        if path.iter().any(|name| name == "tests" || name == "testing") {
            return;
        }
        let code = code_of(text);
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        self.0.push(Module { path, imports: imports(code) });
    }

    /// The modules that import each other in a circle, or lie between two circles.
    pub fn in_circles(&self) -> Vec<String> {
        let edges: Vec<Vec<usize>> = self.0.iter().map(|module| self.imported(module)).collect();
        let mut left: Vec<usize> = (0..self.0.len()).collect();
        loop {
            let is_in_circle = |module: &usize| {
                let imports = |from: usize, to: usize| from != to && edges[from].contains(&to);
                left.iter().any(|other| imports(*module, *other))
                    && left.iter().any(|other| imports(*other, *module))
            };
            let next: Vec<usize> = left.iter().copied().filter(is_in_circle).collect();
            if next.len() == left.len() {
                return left.into_iter().map(|module| self.0[module].path.join("::")).collect();
            }
            left = next;
        }
    }

    /// The modules that a module imports from.
    fn imported(&self, module: &Module) -> Vec<usize> {
        let absolute = module.imports.iter().filter_map(|import| self.absolute(module, &import.path));
        absolute.filter_map(|path| self.defining(&path)).collect()
    }

    /// An imported path from the crate root; `None` for one of another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&module.path[..], &path[1..]),
            "super" => (&module.path[..module.path.len().checked_sub(supers)?], &path[supers..]),
            _ => (&module.path[..], path),
        };
        let absolute = [base, rest].concat();
        let is_own = supers > 0 || ["crate", "self"].contains(&path[0].as_str());
        (is_own || self.find(&absolute[..base.len() + 1]).is_some()).then_some(absolute)
    }

    /// The module that defines what this path names: re-exports are followed.
    fn defining(&self, path: &[String]) -> Option<usize> {
        let (length, found) =
            (0..=path.len()).rev().find_map(|length| Some((length, self.find(&path[..length])?)))?;
        let module = &self.0[found];
        let Some(name) = path.get(length) else { return Some(found) };
        let re_export =
            module.imports.iter().find(|import| import.is_public && import.path.last() == Some(name));
        let target = re_export.and_then(|import| self.absolute(module, &import.path));
        target
            .filter(|target| target[..] != path[..=length])
            .and_then(|target| self.defining(&[&target, &path[length + 1..]].concat()))
            .or(Some(found))
    }

    fn find(&self, path: &[String]) -> Option<usize> {
        self.0.iter().position(|module| module.path == path)
    }
}

/// The paths of all `use` declarations.
fn imports(code: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end_matches([' ', '\t']);
        let is_public = before.ends_with("pub") || before.ends_with(')');
        if !is_public && !before.is_empty() && !before.ends_with(['\n', '{', ';']) {
            continue;
        }
        let declaration = &code[at + "use ".len()..];
        let declaration = &declaration[..declaration.find(';').unwrap_or(declaration.len())];
        expand(declaration, &[], &mut |path| imports.push(Import { path, is_public }));
    }
    imports
}

/// Calls `found` for each path of a `use` tree.
fn expand(tree: &str, prefix: &[String], found: &mut impl FnMut(Vec<String>)) {
    let (path, group) = tree.split_once('{').map_or((tree, None), |(path, group)| (path, Some(group)));
    let path = path.split(" as ").next().unwrap_or_default();
    let names = path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let path: Vec<String> = prefix.iter().cloned().chain(names).collect();
    let Some(group) = group else { return found(path) };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    expand(item, &path, found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let mut modules = Modules::default();
        files.iter().for_each(|(path, text)| modules.add(path, text));
        modules.in_circles()
    }

    #[test]
    fn modules_that_import_each_other_are_found() {
        let a = ("a.rs", "use crate::{\n    b::{self, B},\n    c,\n};");
        let b = ("b/mod.rs", "mod d;\nuse self::d::D;");
        let c = ("c.rs", "use std::fmt;");
        assert!(circles(&[a, b, c, ("b/d.rs", "use crate::c::C;")]).is_empty());
        assert_eq!(circles(&[a, b, c, ("b/d.rs", "use super::super::a::A;")]), ["a", "b", "b::d"]);
    }

    #[test]
    fn a_re_export_counts_as_its_definition() {
        let parent = ("mod.rs", "pub use self::a::A;");
        assert!(circles(&[("p/mod.rs", parent.1), ("p/a.rs", ""), ("p/b.rs", "use super::A;")]).is_empty());
        let from_b = ("p/mod.rs", "pub use self::b::B;\npub struct A;");
        assert_eq!(circles(&[from_b, ("p/b.rs", "use super::A;")]), ["p", "p::b"]);
    }

    #[test]
    fn test_modules_do_not_count() {
        let a = ("a.rs", "use crate::b::B;");
        assert!(circles(&[a, ("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}")]).is_empty());
        assert!(circles(&[a, ("b.rs", "mod tests;"), ("b/tests.rs", "use crate::a::A;")]).is_empty());
    }
}
