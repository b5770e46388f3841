//! `probe audit`: what this kernel's TCP really does.

use std::io::{self, Write};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, NamedFile},
};
use crate::{
    audit::{Behaviour, Need, catalogue},
    cli::{AuditArgs, Common, Format},
    model::{Backend, BehaviourResult, BehaviourStatus, End, Host, Output, Profile},
    net::host,
    record::profile,
    render::{self, AuditTable, Json, Render, View, catalogue::Listed, html::Page},
    session::{Auditor, BlockWriter, SessionError},
    source::live::LiveOptions,
};

/// So many at once: most of them wait most of the time.
const AT_ONCE: usize = 16;

/// Plays what was asked for.
pub async fn audit(args: &AuditArgs, common: &Common) -> Result<Exit, Failure> {
    let chosen = chosen(args)?;
    if args.list {
        return list(&chosen);
    }
    let files = Files::create(args)?;
    let mut live = live::attach(&LiveOptions { namespaces: true, ..live::options(common) })?;
    let namespaces = live.namespaces().map_err(Failure::host)?;
    let mut report = Report::new(args.format, &chosen);
    let mut auditor = Auditor::new(chosen, AT_ONCE, namespaces);
    let played = live::unless_interrupted(async {
        let run = auditor.run(&mut live, |event| report.take(event)).await;
        outcome(run, |()| Exit::Expected)
    })
    .await;
    // Whatever became of it, what was done is told and kept.
    let end = auditor.end(live.attach_time());
    let closed = outcome(report.take(Output::End(end.clone())), |()| Exit::Expected);
    let exit = played.and_then(|exit| closed.map(|_| exit))?;
    let judged = report.verdict();
    files.write(report, &end).map_err(Failure::unexpected)?;
    Ok(if exit == Exit::Expected { judged } else { exit })
}

/// What was asked for by id or by group, in the catalogue's order; all where nothing was.
fn chosen(args: &AuditArgs) -> Result<Vec<&'static Behaviour>, Failure> {
    if let Some(unknown) = args.behaviours.iter().find(|id| catalogue::by_id(id).is_none()) {
        let nearest = nearest(unknown);
        return Err(Failure::usage(format!(
            "there is no behaviour `{unknown}`; the nearest {} {}, and `probe audit --list` names them all",
            if nearest.len() == 1 { "is" } else { "are" },
            nearest.join(" and ")
        )));
    }
    let all = args.behaviours.is_empty() && args.group.is_empty();
    let is_meant = |behaviour: &&Behaviour| {
        all || args.group.contains(&behaviour.group()) || args.behaviours.iter().any(|id| id == behaviour.id)
    };
    let chosen: Vec<_> = catalogue::all().filter(is_meant).collect();
    if chosen.is_empty() {
        return Err(Failure::usage("there is no behaviour in that group"));
    }
    Ok(chosen)
}

/// The id that is most like this one, whole or without its group; more than one where they are equally so.
fn nearest(unknown: &str) -> Vec<&'static str> {
    let likeness = |id: &str| {
        let short = id.split('/').next_back().unwrap_or(id);
        strsim::jaro_winkler(unknown, id).max(strsim::jaro_winkler(unknown, short))
    };
    let ids = || catalogue::all().map(|behaviour| behaviour.id);
    let best = ids().map(likeness).fold(0.0, f64::max);
    ids().filter(|id| likeness(id) >= best).collect()
}

/// Names the behaviours by group.
fn list(chosen: &[&'static Behaviour]) -> Result<Exit, Failure> {
    let listed: Vec<Listed> = chosen
        .iter()
        .map(|behaviour| Listed {
            id: behaviour.id,
            description: behaviour.description,
            group: behaviour.group(),
            needs: behaviour.needs.iter().map(Need::to_string).collect(),
        })
        .collect();
    let written = render::catalogue::list(&listed, output::style(), &mut output::stdout());
    outcome(written.map_err(SessionError::Output), |()| Exit::Expected)
}

/// What is shown, and what is kept for the files.
struct Report {
    render: Box<dyn Render>,
    shown: BlockWriter,
    /// The ids, in the catalogue's order.
    plan: Vec<String>,
    kernel: Option<(Host, Backend)>,
    results: Vec<BehaviourResult>,
}

impl Report {
    fn new(format: Format, chosen: &[&'static Behaviour]) -> Self {
        let plan: Vec<String> = chosen.iter().map(|behaviour| behaviour.id.to_owned()).collect();
        let render: Box<dyn Render> = match format {
            Format::Json => Box::new(Json::new(View::default())),
            Format::Table => Box::new(AuditTable::new(output::style(), plan.clone())),
        };
        let shown = BlockWriter::new(output::unbuffered());
        Self { render, shown, plan, kernel: None, results: Vec::new() }
    }

    fn take(&mut self, event: Output) -> Result<(), SessionError> {
        let shown = self.show(&event).map_err(SessionError::Output);
        match event {
            Output::Ready { host, backend, .. } => self.kernel = Some((host, backend)),
            Output::Behaviour(result) => self.results.push(*result),
            _ => {}
        }
        shown
    }

    fn show(&mut self, event: &Output) -> io::Result<()> {
        let Self { render, shown, .. } = self;
        shown.add(|text| render.render(event, text))?;
        shown.flush()
    }

    /// The exit code of what was done: what this host cannot show is no failure.
    fn verdict(&self) -> Exit {
        let is_bad = |result: &BehaviourResult| {
            matches!(result.status, BehaviourStatus::Differs | BehaviourStatus::Failed)
        };
        if self.results.iter().any(is_bad) { Exit::Unexpected } else { Exit::Expected }
    }

    /// The results in the catalogue's order.
    fn results(mut self) -> Vec<BehaviourResult> {
        self.results.sort_by_key(|result| self.plan.iter().position(|id| *id == result.id));
        self.results
    }
}

/// The files that were asked for.
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
            return Err(Failure::usage("--save and --html name the same file: each needs one of its own"));
        }
        let files = Self { save, html };
        let named = [("--save", &files.save), ("--html", &files.html)];
        let over = named.into_iter().find(|(_, file)| file.as_ref().is_some_and(NamedFile::is_stdout));
        match over {
            Some((flag, _)) => Err(Failure::usage(format!(
                "{flag} names the file that stdout goes to: it needs one of its own"
            ))),
            None => Ok(files),
        }
    }

    fn write(self, report: Report, end: &End) -> io::Result<()> {
        // An audit that was stopped before it began has nothing to keep.
        let Some((host, backend)) = report.kernel.clone() else { return Ok(()) };
        if self.save.is_none() && self.html.is_none() {
            return Ok(());
        }
        let facts = host::kernel_facts(backend);
        let results = report.results();
        if let Some(mut file) = self.html {
            let page = Page { host: &host, facts: &facts, results: &results, duration: end.duration };
            file.write_all(page.to_string().as_bytes())?;
            file.flush()?;
        }
        match self.save {
            Some(mut file) => profile::write(&Profile::new(facts, &results), &mut file),
            None => Ok(()),
        }
    }
}
