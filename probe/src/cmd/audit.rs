//! `probe audit`: tests this kernel's TCP behaviours.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, NamedFile},
};
use crate::{
    audit::{Behaviour, Requirement, catalogue},
    cli::{AuditArgs, Common, Format},
    model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Profile},
    net::host,
    os::open_files,
    record::profile,
    render::{self, AuditTable, Json, Render, View, catalogue::CatalogueEntry, html::Page},
    session::{Auditor, Scope, Session, SessionError},
    source::live::LiveOptions,
};

/// Behaviours that run concurrently; most of them wait most of the time.
const CONCURRENCY: usize = 16;

/// The limit of open files that they need together, with the programs; 144 were seen open at a time.
const MIN_OPEN_FILES: u64 = 256;

/// Runs the selected behaviours and reports and saves their results.
pub async fn audit(args: &AuditArgs, common: &Common) -> Result<Exit, Failure> {
    let selected = selected(args)?;
    if args.list {
        return list(&selected);
    }
    if open_files::limit() < MIN_OPEN_FILES {
        return Err(Failure::host(format!(
            "an audit needs {MIN_OPEN_FILES} open files, and this process may have only {}: raise the limit, e.g. `ulimit -n 1024`",
            open_files::limit()
        )));
    }
    let files = Files::create(args)?;
    let mut live = live::attach(&LiveOptions { namespaces: true, ..live::options(common) })?;
    let namespaces = live.namespaces().map_err(Failure::host)?;
    let session = Session::new(Scope::All, renderer(args.format, &selected), output::unbuffered());
    let mut auditor = Auditor::new(session, selected.clone(), CONCURRENCY, namespaces);
    let result = live::unless_interrupted(async {
        let run = auditor.run(&mut live).await;
        outcome(run, |()| Exit::Expected)
    })
    .await;
    // Even a failed or interrupted run closes the stream and saves its results.
    let duration = auditor.elapsed();
    let closed = outcome(auditor.finish(live.attach_time()), |_| Exit::Expected);
    let exit = result.and_then(|exit| closed.map(|_| exit))?;
    files.write(&auditor, &selected, duration).map_err(Failure::unexpected)?;
    if exit == Exit::Expected { verdict(auditor.results()) } else { Ok(exit) }
}

/// The behaviours selected by id or group, in the catalogue's order; all if neither is given.
fn selected(args: &AuditArgs) -> Result<Vec<&'static Behaviour>, Failure> {
    let named_groups: Vec<_> =
        args.behaviours.iter().filter_map(|name| BehaviourGroup::from_name(name)).collect();
    let is_unknown =
        |name: &&String| catalogue::by_id(name).is_none() && BehaviourGroup::from_name(name).is_none();
    if let Some(unknown) = args.behaviours.iter().find(is_unknown) {
        let nearest = nearest(unknown);
        return Err(Failure::usage(format!(
            "unknown behaviour `{unknown}`: did you mean {}? `probe audit --list` lists all",
            nearest.join(" or ")
        )));
    }
    let all = args.behaviours.is_empty() && args.group.is_empty();
    let is_selected = |behaviour: &&Behaviour| {
        all || args.group.contains(&behaviour.group())
            || named_groups.contains(&behaviour.group())
            || args.behaviours.iter().any(|id| id == behaviour.id)
    };
    let selected: Vec<_> = catalogue::all().filter(is_selected).collect();
    if selected.is_empty() {
        return Err(Failure::usage("this group has no behaviours; `probe audit --list` lists all"));
    }
    Ok(selected)
}

/// The ids most similar to this one, compared with and without their group; several if they are equally similar.
fn nearest(unknown: &str) -> Vec<&'static str> {
    let similarity = |id: &str| {
        let short = id.split('/').next_back().unwrap_or(id);
        strsim::jaro_winkler(unknown, id).max(strsim::jaro_winkler(unknown, short))
    };
    let ids = || catalogue::all().map(|behaviour| behaviour.id);
    let best = ids().map(similarity).fold(0.0, f64::max);
    ids().filter(|id| similarity(id) >= best).collect()
}

/// Lists the behaviours by group.
fn list(selected: &[&'static Behaviour]) -> Result<Exit, Failure> {
    let listed: Vec<CatalogueEntry> = selected
        .iter()
        .map(|behaviour| CatalogueEntry {
            id: behaviour.id,
            description: behaviour.description,
            group: behaviour.group(),
            needs: behaviour.needs.iter().map(Requirement::to_string).collect(),
        })
        .collect();
    let written = render::catalogue::list(&listed, output::style(), &mut output::stdout());
    outcome(written.map_err(SessionError::Output), |()| Exit::Expected)
}

/// The renderer for this format.
fn renderer(format: Format, selected: &[&'static Behaviour]) -> Box<dyn Render> {
    match format {
        Format::Json => Box::new(Json::new(View::default())),
        Format::Table => {
            let plan = selected.iter().map(|behaviour| behaviour.id.to_owned());
            Box::new(AuditTable::new(output::style(), plan))
        }
    }
}

/// The exit by the results. A behaviour that this host does not support is not a failure, unless it supports none.
fn verdict(results: &[BehaviourResult]) -> Result<Exit, Failure> {
    let is_failure = |result: &BehaviourResult| {
        matches!(result.status, BehaviourStatus::Differs | BehaviourStatus::Failed)
    };
    if results.iter().any(is_failure) {
        return Ok(Exit::Unexpected);
    }
    match results {
        [first, ..] if results.iter().all(|result| result.status == BehaviourStatus::Unsupported) => {
            Err(Failure::host(format!(
                "this host supports none of the selected behaviours; {}: {}",
                first.id,
                first.reason.as_deref().unwrap_or("unsupported")
            )))
        }
        _ => Ok(Exit::Expected),
    }
}

/// The files of --save and --html.
struct Files {
    save: Option<NamedFile>,
    html: Option<NamedFile>,
}

impl Files {
    fn create(args: &AuditArgs) -> Result<Self, Failure> {
        let save = args.save.as_deref().map(NamedFile::create).transpose()?;
        let html = args.html.as_deref().map(NamedFile::create).transpose()?;
        if let (Some(save), Some(html)) = (&save, &html)
            && save.is_same(html)
        {
            return Err(Failure::usage("--save and --html name the same file: give each its own"));
        }
        let files = Self { save, html };
        let named = [("--save", &files.save), ("--html", &files.html)];
        let clash = named.into_iter().find(|(_, file)| file.as_ref().is_some_and(NamedFile::is_stdout));
        match clash {
            Some((flag, _)) => Err(Failure::usage(format!(
                "{flag} names the file that stdout is redirected to: give it another"
            ))),
            None => Ok(files),
        }
    }

    /// Writes the results in the catalogue's order.
    fn write(self, auditor: &Auditor, selected: &[&'static Behaviour], duration: Duration) -> io::Result<()> {
        // An audit interrupted before it started has nothing to save.
        let Some((host, backend)) = auditor.origin() else { return Ok(()) };
        if self.save.is_none() && self.html.is_none() {
            return Ok(());
        }
        let facts = host::kernel_facts(*backend);
        let mut results = auditor.results().to_vec();
        results.sort_by_key(|result| selected.iter().position(|behaviour| behaviour.id == result.id));
        if let Some(mut file) = self.html {
            let page = Page { host, facts: &facts, results: &results, duration };
            file.write_all(page.to_string().as_bytes())?;
            file.flush()?;
        }
        match self.save {
            Some(mut file) => profile::write(&Profile::new(facts, &results), &mut file),
            None => Ok(()),
        }
    }
}
