//! What GUIs ask for, and what is asked of them.

use std::rc::Rc;

use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_core::gui::no_gui;
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    gui::{GuiFocus, GuiNews, GuiShow, GuiView, GuiWait, Intent, IntentKind},
    places::{CONFIG_VARIABLE, RUNTIME_DIR_VARIABLE, STATE_DIR_VARIABLE},
};

use super::{Router, fault, gone};
use crate::{
    actors::{
        gui::{Focus, Left, List, Show, Wait},
        process::Announce,
    },
    caller::Caller,
    effects::wezterm::{Place, Window},
};

/// Longest name that a GUI may give itself, in bytes: room for a process id, a time and a ULID.
const GUI_BYTES_MAX: usize = 128;
/// Something that is to be shown and was not in this time is not wanted any more, in milliseconds: whoever
/// asked sits before the screen.
const SHOW_MS: i64 = 15_000;

impl Router {
    /// Waits for what is new to a GUI, for as long as it does.
    pub(super) async fn wait_for_news(&self, caller: &Rc<Caller>, p: GuiWait) -> Result<GuiNews, Error> {
        check_name(&p.gui)?;
        self.note_wezterm(&p);
        let (reply, answer) = oneshot::channel();
        let ticket = self.next_holder();
        let gui = self.shared.gui.clone();
        gui.do_send(Wait { ticket, wait: p, reply });
        tokio::select! {
            answer = answer => answer.map_err(|_| fault())?,
            () = caller.gone() => {
                gui.do_send(Left(ticket));
                Err(Error::new(Code::Conflict, "the caller has gone"))
            }
        }
    }

    /// Takes note of where its WezTerm can be reached.
    fn note_wezterm(&self, p: &GuiWait) {
        let (Some(socket), Some(executables)) = (&p.socket, &p.executables) else { return };
        let place = Place { socket: socket.clone(), executables: executables.clone() };
        let usable = socket.is_absolute() && executables.is_absolute() && !self.wezterm.is(&place);
        if usable {
            self.wezterm.set(place);
        }
    }

    /// Takes note of where the user is.
    pub(super) async fn focus(&self, p: GuiFocus) -> Result<Empty, Error> {
        self.shared.gui.send(Focus(p)).await.map_err(gone)?;
        Ok(Empty {})
    }

    /// Has all panes told which process they show. Answered when the keepers have been asked to.
    pub(super) async fn announce(&self) -> Result<Empty, Error> {
        for view in self.shared.board.processes() {
            // one that is being removed shows nothing for long
            if let Ok(process) = self.process_actor(&view).await {
                process.send(Announce).await.map_err(gone)?;
            }
        }
        Ok(Empty {})
    }

    /// All GUIs.
    pub(super) async fn list_guis(&self) -> Result<Vec<GuiView>, Error> {
        self.shared.gui.send(List).await.map_err(gone)
    }

    /// Has something shown, and waits until it is.
    pub(super) async fn show_in_gui(&self, p: GuiShow) -> Result<GuiView, Error> {
        let (kind, workspace, process) = match (p.dashboard, p.workspace, p.process) {
            (true, None, None) => (IntentKind::ShowDashboard, None, None),
            (false, workspace, Some(process)) => {
                let view = self.process_view(workspace.as_deref(), &process)?;
                (IntentKind::ShowProcess, Some(view.workspace), Some(view.name))
            }
            (false, Some(workspace), None) => {
                (IntentKind::ShowWorkspace, Some(self.workspace_view(&workspace)?.name), None)
            }
            (true, _, _) => {
                return Err(Error::new(Code::BadParams, "the dashboard belongs to no workspace or process"));
            }
            (false, None, None) => {
                return Err(Error::new(Code::BadParams, "nothing is named that could be shown")
                    .hint("name a workspace or a process, or ask for the dashboard"));
            }
        };
        if p.gui.is_none() && self.list_guis().await?.is_empty() {
            return self.open_window(workspace, process).await;
        }
        let at = self.shared.clock.at();
        let id = ulid::Ulid::generate().to_string();
        let intent = Intent { workspace, process, ..Intent::new(id, kind, at, at + SHOW_MS) };
        let (reply, answer) = oneshot::channel();
        self.shared.gui.do_send(Show { intent, gui: p.gui, reply });
        answer.await.map_err(|_| fault())?
    }

    /// Opens a window without a plugin's help; the dashboard if nothing is named.
    async fn open_window(
        &self,
        workspace: Option<String>,
        process: Option<String>,
    ) -> Result<GuiView, Error> {
        let all = self.shared.board.processes();
        let cwd = workspace.as_deref().map(|w| self.workspace_view(w)).transpose()?.map(|w| w.cwd);
        let first = all.iter().find(|p| Some(&p.workspace) == workspace.as_ref()).map(|p| p.name.clone());
        let command = match (&workspace, process.or(first)) {
            (None, _) => vec!["dashboard".to_owned()],
            (Some(workspace), Some(process)) => vec!["attach".to_owned(), format!("{workspace}/{process}")],
            (Some(_), None) => Vec::new(),
        };
        let executable = (!command.is_empty()).then(|| self.shared.executable.clone().into_os_string());
        let places = &self.shared.places;
        let mut environment = IndexMap::clone(&self.shared.environment.borrow());
        for (name, path) in [
            (CONFIG_VARIABLE, &places.config),
            (RUNTIME_DIR_VARIABLE, &places.runtime_dir),
            (STATE_DIR_VARIABLE, &places.state_dir),
        ] {
            // a path that is no text is the default's, or nobody could have set it
            environment.extend(path.to_str().map(|path| (name.to_owned(), path.to_owned())));
        }
        let window = Window {
            workspace: workspace.unwrap_or_else(|| "default".into()),
            cwd: cwd.unwrap_or_else(|| self.shared.home.clone()),
            command: executable.into_iter().chain(command.into_iter().map(Into::into)).collect(),
            environment,
        };
        match self.wezterm.open(&window).await {
            Ok(()) => Ok(GuiView {
                gui: "wezterm cli".into(),
                socket: self.wezterm.socket(),
                workspace: Some(window.workspace),
                ..GuiView::default()
            }),
            Err(why) => {
                tracing::debug!("no window could be opened by `wezterm cli`: {why}");
                Err(no_gui())
            }
        }
    }
}

/// Whether a GUI may be called so.
pub(super) fn check_name(gui: &str) -> Result<(), Error> {
    match gui.len() {
        1..=GUI_BYTES_MAX => Ok(()),
        _ => Err(Error::new(Code::BadParams, format!("`gui` must be a name of 1 to {GUI_BYTES_MAX} bytes"))),
    }
}
