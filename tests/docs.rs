//! The documentation, compared with the program: commands, samples, JSON, links, file names.
//!
//! - `page`: a Markdown page as blocks, inline code, links and headings
//! - `command`: the `probe` commands in a page, checked by the program's own parser
//! - `sample`: commands and the output printed below them, run again
//! - `fields`: the table of JSON fields, generated from the schema
//!
//! `SNAPSHOTS=overwrite cargo test -p probe --test tests docs::` rewrites the samples that need no root and the
//! generated parts; with `DOCS_LIVE=1`, as root, the samples that need a kernel too.

mod command;
mod fields;
mod page;
mod sample;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use snapbox::{Assert, Data, assert::DEFAULT_ACTION_ENV, data::DataFormat};

use self::page::Page;
use crate::{schema, support::Objects};

/// The most lines that README.md may have.
const README_LINES: usize = 200;

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// Every page of the documentation.
fn pages() -> Vec<Page> {
    let root = root();
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).into();
    files.extend(["probe/benches/README.md", "tests/profiles/README.md"].map(PathBuf::from));
    files.extend(files_in(&root, Path::new("docs"), "md"));
    files.into_iter().map(|file| Page::read(&root, file)).collect()
}

/// The files below a directory with this extension, by their paths from the root.
fn files_in(root: &Path, directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(directory)).expect("the directory exists") {
        let path = directory.join(entry.expect("the directory can be read").file_name());
        if root.join(&path).is_dir() {
            found.extend(files_in(root, &path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Fails with every violation, one a line.
#[track_caller]
fn report(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_command_and_flag_exists() {
    report(pages().iter().flat_map(command::violations).collect());
}

/// One test, since a page's samples and its generated part share a file.
#[test]
fn samples_and_generated_parts_are_current() {
    let root = root();
    let assert = Assert::new().action_env(DEFAULT_ACTION_ENV);
    let mut stale = Vec::new();
    for page in pages() {
        let current = fields::filled(&sample::refreshed(&page));
        let expected = Data::read_from(&root.join(&page.file), Some(DataFormat::Text)).raw();
        let name = page.file.display();
        stale.extend(
            assert.try_eq(Some(&name), current.into(), expected).err().map(|error| error.to_string()),
        );
    }
    report(stale);
}

#[test]
fn every_output_in_a_page_can_be_made_again() {
    report(pages().iter().flat_map(sample::unverifiable).collect());
}

#[test]
fn json_samples_follow_the_schema() {
    let mut samples = 0;
    for page in pages() {
        // As they will be: another test may be rewriting the file.
        let page = Page::parse(page.file.clone(), sample::refreshed_offline(&page));
        for block in page.blocks.iter().filter(|block| block.language() == "json") {
            schema::validate(&Objects::parse(&block.text));
            samples += 1;
        }
    }
    assert!(samples > 0, "no page has a sample of the JSON");
}

#[test]
fn links_and_anchors_resolve() {
    let pages = pages();
    report(pages.iter().flat_map(|page| page.dead_links(&pages)).collect());
}

/// Source files and types that a page names: a rename shows here.
#[test]
fn named_files_and_types_exist() {
    let root = root();
    let mut sources = Vec::new();
    for part in ["probe", "probe-ebpf", "tests", "xtask"] {
        sources.extend(files_in(&root, Path::new(part), "rs"));
    }
    let words: HashSet<String> = sources
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(root.join(file)).expect("sources are UTF-8");
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned);
            words.collect::<HashSet<_>>()
        })
        .collect();
    let is_file = |name: &str| sources.iter().any(|file| file.ends_with(name));
    let mut violations = Vec::new();
    for page in pages().iter().filter(|page| page.is_about_the_code()) {
        for code in &page.code {
            let missing = match code.text.as_str() {
                file if file.ends_with(".rs") && !file.contains([' ', '{']) => !is_file(file),
                path if page::is_type(path) => {
                    !path.split("::").filter(|part| !part.is_empty()).all(|part| words.contains(part))
                }
                _ => false,
            };
            if missing {
                violations.push(format!("{}: nothing is named `{}`", page.at(code.at), code.text));
            }
        }
    }
    report(violations);
}

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).expect("it is UTF-8").lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines; {README_LINES} are the limit");
}
