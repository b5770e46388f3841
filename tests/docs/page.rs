//! A Markdown page, parsed.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page, with the parts that the tests check.
pub struct Page {
    /// Its path from the root.
    pub file: PathBuf,
    /// All of it.
    pub text: String,
    /// The fenced code blocks, in order.
    pub blocks: Vec<Block>,
    /// The inline code.
    pub code: Vec<Code>,
    links: Vec<(usize, String)>,
    anchors: Vec<String>,
}

/// A fenced code block.
pub struct Block {
    /// The words behind the opening fence.
    pub info: String,
    /// The lines between the fences.
    pub text: String,
    /// Where these lines are in the page.
    pub range: Range<usize>,
    /// The HTML comment right above it: how its output is made.
    pub comment: Option<String>,
}

/// Inline code.
pub struct Code {
    /// The text between the backticks.
    pub text: String,
    /// Where in the page.
    pub at: usize,
}

impl Block {
    /// The language that it is marked with.
    pub fn language(&self) -> &str {
        self.info.split([',', ' ']).next().unwrap_or_default()
    }
}

impl Page {
    /// Reads a page by its path from the root.
    pub fn read(root: &Path, file: PathBuf) -> Self {
        let text = fs::read_to_string(root.join(&file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::parse(file, text)
    }

    /// Parses the text of a page.
    pub fn parse(file: PathBuf, text: String) -> Self {
        let mut page = Self {
            file,
            blocks: Vec::new(),
            code: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
            text: String::new(),
        };
        let mut heading: Option<String> = None;
        let mut in_block = false;
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    in_block = true;
                    page.blocks.push(block(&text, &info, range));
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    page.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((range.start, dest_url.into_string()));
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.code.push(Code { text: code.into_string(), at: range.start });
                }
                Event::Text(words) if !in_block => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        Self { text, ..page }
    }

    /// A position in the page, as `file:line`.
    pub fn at(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.file.display())
    }

    /// Whether its code names are those of this repository's sources.
    pub fn is_about_the_code(&self) -> bool {
        let name = self.file.to_string_lossy();
        ["ARCHITECTURE.md", "CONTRIBUTING.md"].contains(&&*name) || name.starts_with("docs/adr/")
    }

    /// The links to files or headings that do not exist.
    pub fn dead_links(&self, pages: &[Self]) -> Vec<String> {
        let root = super::root();
        let directory = self.file.parent().unwrap_or(Path::new(""));
        let is_dead = |link: &str| {
            let (path, anchor) =
                link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let file = if path.is_empty() { self.file.clone() } else { normal(&directory.join(path)) };
            let Some(anchor) = anchor else { return !root.join(&file).exists() };
            !pages.iter().any(|page| page.file == file && page.anchors.iter().any(|known| known == anchor))
        };
        let relative =
            self.links.iter().filter(|(_, link)| !link.contains("://") && !link.starts_with("mailto:"));
        let dead = relative.filter(|(_, link)| is_dead(link));
        dead.map(|(at, link)| format!("{}: {link} does not resolve", self.at(*at))).collect()
    }
}

fn block(page: &str, info: &str, range: Range<usize>) -> Block {
    let whole = &page[range.clone()];
    let start = range.start + whole.find('\n').map_or(whole.len(), |end| end + 1);
    let end = range.start + whole.trim_end().rfind('\n').map_or(whole.len(), |last| last + 1);
    let above = page[..range.start].trim_end();
    let range = start..end.max(start);
    let comment = above.strip_suffix("-->").and_then(|above| above.rsplit_once("<!--"));
    Block {
        info: info.to_owned(),
        text: page[range.clone()].to_owned(),
        range,
        comment: comment.map(|(_, comment)| comment.trim().to_owned()),
    }
}

/// A heading's anchor, as the repository's host makes it.
fn anchor(heading: &str) -> String {
    let retained = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    retained.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part.as_os_str().to_str() {
            Some("..") => drop(normal.pop()),
            Some(".") => {}
            _ => normal.push(part),
        }
    }
    normal
}

/// Whether inline code is a path or type of Rust: `Event`, `source::live`, `Output::Ready`.
pub fn is_type(code: &str) -> bool {
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_camel = code.starts_with(|c: char| c.is_ascii_uppercase())
        && code.contains(|c: char| c.is_ascii_lowercase())
        && is_word(code);
    is_camel || code.contains("::") && code.split("::").all(|part| !part.is_empty() && is_word(part))
}
