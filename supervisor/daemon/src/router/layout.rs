//! Templates for panes, which panes a workspace is to have, and how they were last left.

use std::{collections::HashSet, io::ErrorKind, path::PathBuf, rc::Rc, sync::Arc};

use futures_util::future::join_all;
use indexmap::IndexMap;
use wezterm_parallel_config::layout as templates;
use wezterm_parallel_core::{
    layout::{self, Placed, Room, Wish, check},
    spec::NAME_BYTES_MAX,
};
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    layout::{
        Arrangement, ArrangementFrom, Layout, LayoutKeep, LayoutPlan, LayoutSave, LayoutSource, LayoutTarget,
        LayoutView, Window,
    },
    process::ProcessAdd,
    workspace::WorkspaceView,
};
use wezterm_parallel_store::{ArrangementRow, Change};

use super::{Router, client_environment, gone, gui, inbox::fitting, off_thread};
use crate::{
    actors::{process::Explain, supervisor, workspace},
    caller::Caller,
    effects::layout as files,
    layouts::FromConfig,
};

/// Panes, before it was looked what of them can be had.
struct Meant {
    from: ArrangementFrom,
    windows: Vec<Window>,
    shown: bool,
    at: Option<i64>,
    problems: Vec<String>,
}

impl Meant {
    fn of(from: ArrangementFrom, windows: Vec<Window>) -> Self {
        Self { from, windows, shown: false, at: None, problems: Vec::new() }
    }
    fn left(row: ArrangementRow) -> Self {
        let ArrangementRow { windows, shown, at, .. } = row;
        Self { shown, at: Some(at), ..Self::of(ArrangementFrom::Left, windows) }
    }
    fn template(layout: Layout) -> Self {
        Self::of(ArrangementFrom::Template, vec![Window { title: None, tabs: layout.tabs }])
    }
}

impl Router {
    pub(super) async fn list_layouts(&self) -> Result<Vec<LayoutView>, Error> {
        let config = self.shared.layouts.config();
        let (dir, agents) = (self.layouts_dir(), config.agents.clone());
        let saved = off_thread(move || files::all_saved(&dir, &agents)).await?;
        let own = config.layouts.iter().map(|(name, layout)| of_config(name, layout));
        let shipped = templates::shipped_names().filter_map(shipped);
        // the first of a name is the one that counts
        let mut seen = HashSet::new();
        let all = own.chain(saved).chain(shipped).filter(|v| seen.insert(v.name.clone())).collect();
        Ok(fitting(all))
    }

    pub(super) async fn show_layout(&self, p: LayoutTarget) -> Result<LayoutView, Error> {
        self.find_layout(&p.name).await
    }

    /// A template of this name: of the config, saved, or shipped, the first there is.
    async fn find_layout(&self, name: &str) -> Result<LayoutView, Error> {
        let config = self.shared.layouts.config();
        if let Some(layout) = config.layouts.get(name) {
            return Ok(of_config(name, layout));
        }
        let (dir, agents, wanted) = (self.layouts_dir(), config.agents.clone(), name.to_owned());
        if let Some(saved) = off_thread(move || files::saved(&dir, &wanted, &agents)).await? {
            return Ok(saved);
        }
        match shipped(name) {
            Some(view) => Ok(view),
            None => Err(self.no_layout(name).await),
        }
    }

    async fn no_layout(&self, name: &str) -> Error {
        let all = self.list_layouts().await.unwrap_or_default();
        let hint = templates::suggestion(name, all.iter().map(|v| v.name.as_str()));
        let hint = hint.unwrap_or_else(|| "`wezterm-parallel layout list` shows all".into());
        Error::new(Code::NotFound, format!("there is no layout {name}")).hint(hint)
    }

    /// The same, if it can be used; none for [`templates::DEFAULT`], unless somebody has made one of that name.
    pub(super) async fn usable_layout(&self, name: &str) -> Result<Option<Layout>, Error> {
        let view = match self.find_layout(name).await {
            Err(e) if e.code == Code::NotFound && name == templates::DEFAULT => return Ok(None),
            found => found?,
        };
        match view.problem {
            None => Ok(Some(view.layout)),
            Some(problem) => Err(Error::new(Code::BadConfig, format!("the layout {name}: {problem}"))
                .hint("mend its file, or choose another layout")),
        }
    }

    pub(super) async fn save_layout(&self, p: LayoutSave) -> Result<LayoutView, Error> {
        let Some(file) = templates::file(&self.layouts_dir(), &p.name) else {
            let hint = format!(
                "use up to {NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`, and begin with a letter or a digit"
            );
            let message = format!("`{}` cannot be the name of a layout", p.name);
            return Err(Error::new(Code::BadName, message).hint(hint));
        };
        let config = self.shared.layouts.config();
        if config.layouts.contains_key(&p.name) {
            let message = format!("the config has a layout {}, which would go before this one", p.name);
            return Err(Error::new(Code::ManagedByConfig, message).hint("choose another name"));
        }
        let layout = match (p.layout, &p.workspace) {
            (Some(layout), None) => layout,
            (None, Some(workspace)) => self.as_left(workspace).await?,
            _ => {
                return Err(Error::new(
                    Code::BadParams,
                    "a layout is saved as it is given, or from a workspace",
                )
                .hint("give one of the two"));
            }
        };
        check_layout(&layout, &config)?;
        let schema = self.shared.places.layout_schema();
        let (text, path) = (templates::to_text(&layout, &schema), file.clone());
        let saved = off_thread(move || {
            files::write_schema(&schema);
            files::save(&path, &text, p.replace)
        });
        saved.await?.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => {
                Error::new(Code::Exists, format!("there is a saved layout {} already", p.name))
                    .hint("`--replace` puts this one in its place")
            }
            _ => disk(&file, &e),
        })?;
        let (name, source) = (p.name, LayoutSource::Saved);
        Ok(LayoutView { name, source, file: Some(file), layout, problem: None })
    }

    /// The panes of a workspace as they were last left, as a template.
    async fn as_left(&self, workspace: &str) -> Result<Layout, Error> {
        let view = self.workspace_view(workspace)?;
        let never = || {
            Error::new(Code::NotFound, format!("nobody has told yet how the panes of {} lie", view.name))
                .hint("show the workspace in WezTerm first")
        };
        let row = self.shared.layouts.left(&view.id).filter(|row| !row.windows.is_empty());
        let room = self.room(&view).await?;
        let placed = layout::place(row.ok_or_else(never)?.windows, &room, &HashSet::new());
        if placed.windows.is_empty() {
            return Err(never());
        }
        Ok(layout::template(&placed.windows, &room))
    }

    pub(super) async fn delete_layout(&self, p: LayoutTarget) -> Result<Empty, Error> {
        let config = self.shared.layouts.config();
        let file = templates::file(&self.layouts_dir(), &p.name).unwrap_or_default();
        let others = config.layouts.contains_key(&p.name) || templates::shipped(&p.name).is_some();
        let users = self.shared.board.workspaces().into_iter().filter(|w| w.layout.as_ref() == Some(&p.name));
        let users: Vec<String> = users.map(|w| w.name).collect();
        let there = file.clone();
        if !off_thread(move || there.symlink_metadata().is_ok()).await? {
            return Err(match (config.layouts.contains_key(&p.name), templates::shipped(&p.name)) {
                (true, _) => {
                    Error::new(Code::ManagedByConfig, format!("the layout {} stands in the config", p.name))
                        .hint(format!("edit {}", self.shared.places.config.display()))
                }
                (false, Some(_)) => {
                    Error::new(Code::Conflict, format!("the layout {} comes with the program", p.name))
                        .hint("save one of this name, and it goes before it")
                }
                (false, None) => self.no_layout(&p.name).await,
            });
        }
        if !users.is_empty() && !others {
            // the config would not be right any more
            let message = format!("the layout {} is the one of {}", p.name, users.join(", "));
            return Err(Error::new(Code::Conflict, message).hint("give them another one first"));
        }
        let path = file.clone();
        match off_thread(move || files::delete(&path)).await? {
            Ok(()) => Ok(Empty {}),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(self.no_layout(&p.name).await),
            Err(e) => Err(disk(&file, &e)),
        }
    }

    pub(super) async fn plan_layout(&self, caller: &Caller, p: LayoutPlan) -> Result<Arrangement, Error> {
        let view = self.workspace_view(&p.workspace)?;
        let mut meant = match &p.layout {
            Some(name) => self.named(name).await?,
            None => self.meant(&view).await,
        };
        if meant.from == ArrangementFrom::Template {
            let room = self.room(&view).await?;
            for window in &mut meant.windows {
                layout::fill(&mut window.tabs, &room);
            }
            if p.create {
                self.only_user(caller, "have the processes of a layout made")?;
                let tabs = meant.windows.iter().flat_map(|w| &w.tabs).cloned().collect::<Vec<_>>();
                let wishes = layout::wishes(&tabs, &room);
                let environment = client_environment(p.environment);
                let problems = self.make_all(&view, wishes, environment).await?;
                meant.problems.extend(problems);
            }
        }
        self.arrange(self.workspace_view(&view.id)?, meant).await
    }

    /// The panes of a workspace where nobody says which: as last left, else its template, else its processes.
    async fn meant(&self, view: &WorkspaceView) -> Meant {
        let left = self.shared.layouts.left(&view.id).filter(|row| !row.windows.is_empty());
        if let Some(row) = left {
            return Meant::left(row);
        }
        let mut meant = Meant::of(ArrangementFrom::Processes, Vec::new());
        if let Some(name) = &view.layout {
            match self.named(name).await {
                Ok(named) => meant = named,
                Err(e) => meant.problems.push(e.message),
            }
        }
        meant
    }

    async fn named(&self, name: &str) -> Result<Meant, Error> {
        match self.usable_layout(name).await {
            Ok(Some(layout)) => Ok(Meant::template(layout)),
            Ok(None) => Ok(Meant::of(ArrangementFrom::Processes, Vec::new())),
            Err(e) => Err(e),
        }
    }

    /// Makes the processes that a template wants. One that cannot be had is told, and costs no other one.
    async fn make_all(
        &self,
        view: &WorkspaceView,
        wishes: Vec<Wish>,
        environment: Option<Arc<IndexMap<String, String>>>,
    ) -> Result<Vec<String>, Error> {
        let add = |wish: &Wish| ProcessAdd {
            workspace: view.name.clone(),
            name: Some(wish.name.clone()),
            agent: wish.agent.clone(),
            command: wish.command.clone(),
            ..ProcessAdd::default()
        };
        let directories = wishes.iter().map(|w| w.cwd.clone()).collect();
        let gone = self.away(directories).await;
        let mut problems = Vec::new();
        for wish in &wishes {
            if gone.contains(&wish.cwd) {
                problems.push(format!(
                    "the directory {} is not there; {} runs in {}",
                    wish.cwd.display(),
                    wish.name,
                    view.cwd.display()
                ));
            }
        }
        // asked for in order, so that this is their order, and waited for together: each takes some commits
        let made = wishes.iter().map(|wish| {
            let cwd = Some(wish.cwd.clone()).filter(|dir| *dir != view.cwd && !gone.contains(dir));
            self.make(add(wish), cwd, environment.clone())
        });
        for (wish, made) in wishes.iter().zip(join_all(made).await) {
            match made {
                Ok(_) => {}
                // somebody was first, with the same wish
                Err(e) if e.code == Code::Exists => self.is_there(&view.id, &wish.name).await?,
                Err(e) if matches!(e.code, Code::Storage | Code::ShuttingDown | Code::Internal) => {
                    return Err(e);
                }
                Err(e) => problems.push(format!("{} cannot be made: {}", wish.name, e.message)),
            }
        }
        Ok(problems)
    }

    /// Waits until a process that is being made is shown.
    async fn is_there(&self, workspace: &str, name: &str) -> Result<(), Error> {
        let find = supervisor::FindWorkspace(workspace.to_owned());
        let workspace = self.supervisor.send(find).await.map_err(gone)??;
        let found = workspace.send(workspace::FindByName(name.to_owned())).await.map_err(gone)?;
        // it answers once it has shown itself
        if let Some(actor) = found {
            actor.send(Explain).await.map_err(gone)?;
        }
        Ok(())
    }

    pub(super) async fn left_layouts(&self) -> Result<Vec<Arrangement>, Error> {
        let mut all = Vec::new();
        for view in self.shared.board.workspaces().into_iter().filter(|w| w.open) {
            if let Some(row) = self.shared.layouts.left(&view.id).filter(|row| !row.windows.is_empty()) {
                all.push(self.arrange(view, Meant::left(row)).await?);
            }
        }
        Ok(fitting(all))
    }

    /// Makes panes into what can be built.
    async fn arrange(&self, workspace: WorkspaceView, meant: Meant) -> Result<Arrangement, Error> {
        let room = self.room(&workspace).await?;
        let Meant { mut from, windows, shown, at, problems } = meant;
        let mut placed = Placed::default();
        if !windows.is_empty() {
            let directories = layout::directories(&windows, &room);
            let gone = self.away(directories).await;
            placed = layout::place(windows, &room, &gone);
        }
        if placed.windows.is_empty() {
            from = ArrangementFrom::Processes;
            let windows = layout::side_by_side(&room);
            let directories = layout::directories(&windows, &room);
            let gone = self.away(directories).await;
            placed = Placed { missing: placed.missing, ..layout::place(windows, &room, &gone) };
        }
        let Placed { windows, missing, away } = placed;
        Ok(Arrangement { workspace, from, windows, shown, at, missing, problems, away })
    }

    pub(super) async fn keep_layout(&self, p: LayoutKeep) -> Result<Empty, Error> {
        gui::check_name(&p.gui)?;
        check::left(&p.windows).map_err(|message| Error::new(Code::BadParams, message))?;
        let view = self.workspace_view(&p.workspace)?;
        let row = ArrangementRow {
            workspace_id: view.id,
            at: self.shared.clock.at(),
            shown: p.shown,
            gui: p.gui,
            windows: p.windows,
        };
        let told = self.shared.layouts.tell(row);
        if !told.rows.is_empty() {
            let changes = told.rows.iter().cloned().map(Change::PutArrangement).collect();
            self.shared.board.commit_and_wait(changes, Vec::new()).await?;
            self.shared.layouts.kept(&told);
        }
        Ok(Empty {})
    }

    async fn room(&self, view: &WorkspaceView) -> Result<Room, Error> {
        let members = self.supervisor.send(supervisor::Members(view.id.clone())).await.map_err(gone)??;
        Ok(Room { cwd: view.cwd.clone(), home: self.shared.home.clone(), members })
    }

    fn layouts_dir(&self) -> PathBuf {
        templates::dir(&self.shared.places.config)
    }
}

fn of_config(name: &str, layout: &Layout) -> LayoutView {
    LayoutView {
        name: name.to_owned(),
        source: LayoutSource::Config,
        file: None,
        layout: layout.clone(),
        problem: None,
    }
}

fn shipped(name: &str) -> Option<LayoutView> {
    let layout = templates::shipped(name)?;
    Some(LayoutView {
        name: name.to_owned(),
        source: LayoutSource::Shipped,
        file: None,
        layout,
        problem: None,
    })
}

/// Whether a template that comes as values may be saved.
fn check_layout(layout: &Layout, config: &Rc<FromConfig>) -> Result<(), Error> {
    let mut faults = templates::faults(layout);
    faults.extend(templates::unknown_agent(layout, config.agents.iter().map(String::as_str)));
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Code::BadParams, faults.join("; "))),
    }
}

fn disk(file: &std::path::Path, e: &std::io::Error) -> Error {
    Error::new(Code::Storage, format!("{}: {}", file.display(), e.to_string().to_lowercase()))
        .hint("look whether the directory can be written to, and has room")
}
