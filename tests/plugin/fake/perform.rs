//! What the actions do that the plugin uses. All others are only written down.

use std::rc::Rc;

use serde_json::Value as Json;

use super::{
    events, host,
    mux::{Mux, PaneId, Split},
    mux_lua::Spawn,
    pane,
    world::{Overlay, OverlayKind, World},
};

type Done = Result<(), String>;

fn text(given: &Json, field: &str) -> String {
    given[field].as_str().unwrap_or_default().to_string()
}

/// The function that answers an overlay. Only one made by `action_callback` will do.
fn answer(given: &Json, overlay: &str) -> Result<String, String> {
    let event = given["action"]["EmitEvent"].as_str().map(str::to_string);
    event.ok_or_else(|| format!("{overlay} requires action to be defined by wezterm.action_callback"))
}

/// Performs an action in a window.
pub fn perform(world: &Rc<World>, window: usize, at: PaneId, name: &str, given: &Json) -> Done {
    world.record.borrow_mut().actions.push(if given.is_null() {
        name.into()
    } else {
        format!("{name} {given}")
    });
    world.ring();
    match name {
        "Multiple" => {
            for action in given.as_array().into_iter().flatten() {
                let (name, given) = match action {
                    Json::String(name) => (name.clone(), Json::Null),
                    Json::Object(map) => {
                        let (name, given) = map.iter().next().ok_or("an empty action")?;
                        (name.clone(), given.clone())
                    }
                    other => return Err(format!("`{other}` is no KeyAssignment")),
                };
                perform(world, window, at, &name, &given)?;
            }
        }
        "EmitEvent" => events::emit_window(world, window, given.as_str().unwrap_or_default(), None),
        "InputSelector" => {
            let choices = given["choices"].as_array().cloned().unwrap_or_default();
            let choice = |c: &Json| -> Result<(Option<String>, String), String> {
                let label = c["label"].as_str().ok_or("a choice has no label")?;
                Ok((c["id"].as_str().map(str::to_string), label.to_string()))
            };
            let choices = choices.iter().map(choice).collect::<Result<Vec<_>, _>>()?;
            let kind = OverlayKind::Selector { fuzzy: given["fuzzy"].as_bool().unwrap_or(false), choices };
            ask(world, window, at, given, kind, "InputSelector")?;
        }
        "PromptInputLine" => {
            let initial = given["initial_value"].as_str().map(str::to_string);
            ask(world, window, at, given, OverlayKind::Prompt { initial }, "PromptInputLine")?;
        }
        "Confirmation" => {
            let cancel = given["cancel"]["EmitEvent"].as_str().map(str::to_string);
            ask(world, window, at, given, OverlayKind::Confirmation { cancel }, "Confirmation")?;
        }
        "SwitchToWorkspace" => switch(world, given),
        "SpawnCommandInNewTab" => {
            let place = world.mux.borrow().place(at).map(|(window, _)| window);
            spawn(world, place, given, None);
        }
        "SpawnCommandInNewWindow" => spawn(world, None, given, None),
        "SplitPane" | "SplitHorizontal" | "SplitVertical" => split(world, at, name, given)?,
        "ActivateTab" => {
            let at_tab = given.as_i64().ok_or("ActivateTab takes a number")?;
            let shown = world.with_window(window, |w| w.mux_window).ok_or("the window is gone")?;
            let mut mux = world.mux.borrow_mut();
            let shown = mux.windows.get_mut(&shown).ok_or("the window is gone")?;
            let count = shown.tabs.len() as i64;
            let at_tab = if at_tab < 0 { count + at_tab } else { at_tab };
            if (0..count).contains(&at_tab) {
                shown.active = at_tab as usize;
            }
        }
        "ActivateTabRelative" => {
            let by = given.as_i64().ok_or("ActivateTabRelative takes a number")?;
            let shown = world.with_window(window, |w| w.mux_window).ok_or("the window is gone")?;
            let mut mux = world.mux.borrow_mut();
            let shown = mux.windows.get_mut(&shown).ok_or("the window is gone")?;
            shown.active = (shown.active as i64 + by).rem_euclid(shown.tabs.len() as i64) as usize;
        }
        "ActivatePaneByIndex"
        | "ActivatePaneDirection"
        | "TogglePaneZoomState"
        | "SetPaneZoomState"
        | "AdjustPaneSize"
        | "RotatePanes" => in_tab(&mut world.mux.borrow_mut(), at, name, given)?,
        "CloseCurrentPane" => host::close_pane(world, at),
        "CloseCurrentTab" => {
            let panes = {
                let mux = world.mux.borrow();
                let (_, tab) = mux.place(at).ok_or("the pane is gone")?;
                mux.tabs[&tab].panes()
            };
            for pane in panes {
                host::close_pane(world, pane);
            }
        }
        "ActivateKeyTable" => {
            world.with_window(window, |w| w.key_tables.push(text(given, "name")));
        }
        "PopKeyTable" => {
            world.with_window(window, |w| w.key_tables.pop());
        }
        "ClearKeyTableStack" => {
            world.with_window(window, |w| w.key_tables.clear());
        }
        "SendString" => {
            let keys = given.as_str().unwrap_or_default();
            pane::write(world, at, keys).map_err(|e| e.to_string())?;
            if let Some(pane) = world.mux.borrow_mut().panes.get_mut(&at) {
                pane.written.push_str(keys);
            }
        }
        "ReloadConfiguration" => host::reload_later(world),
        _ => {}
    }
    Ok(())
}

fn ask(world: &World, window: usize, pane: PaneId, given: &Json, kind: OverlayKind, name: &str) -> Done {
    let event = answer(given, name)?;
    let description = match &kind {
        OverlayKind::Confirmation { .. } => text(given, "message"),
        OverlayKind::Selector { fuzzy: true, .. } => text(given, "fuzzy_description"),
        _ => text(given, "description"),
    };
    let own_pane = world.next_overlay.get();
    world.next_overlay.set(own_pane + 1);
    // not the pane that the action was given: so it is in WezTerm
    let pane = world.active_or_overlay(window).unwrap_or(pane);
    let overlay = Overlay { kind, title: text(given, "title"), description, event, pane, own_pane };
    world.with_window(window, |w| {
        // one that was there is gone without an answer
        w.overlay = Some(overlay);
    });
    world.ring();
    Ok(())
}

fn switch(world: &Rc<World>, given: &Json) {
    let name = given["name"]
        .as_str()
        .map_or_else(|| format!("workspace-{}", world.mux.borrow().workspaces().len()), str::to_string);
    world.mux.borrow_mut().active_workspace = name.clone();
    if world.mux.borrow().windows_of(&name).is_empty() {
        spawn(world, None, &given["spawn"], Some(name));
    } else {
        let world = Rc::clone(world);
        tokio::task::spawn_local(async move { world.reconcile() });
    }
}

/// Opens a pane in a moment; nobody waits for it.
fn spawn(world: &Rc<World>, window: Option<usize>, given: &Json, workspace: Option<String>) {
    let spawn: Spawn = serde_json::from_value(given.clone()).unwrap_or_default();
    let world = Rc::clone(world);
    tokio::task::spawn_local(async move {
        let workspace = workspace.unwrap_or_else(|| world.mux.borrow().active_workspace.clone());
        let made = world.mux.borrow_mut().spawn(window, &workspace, (80, 24), spawn.pane());
        match made {
            Ok((_, id, _)) => {
                if let Err(e) = pane::run(&world, id) {
                    world.note("error", format!("Failed to spawn: {e}"));
                }
            }
            Err(e) => world.note("error", format!("Failed to spawn: {e}")),
        }
        world.reconcile();
    });
}

fn split(world: &Rc<World>, at: PaneId, name: &str, given: &Json) -> Done {
    let command = if name == "SplitPane" { &given["command"] } else { given };
    let spawn: Spawn = serde_json::from_value(command.clone()).unwrap_or_default();
    let direction = match name {
        "SplitHorizontal" => "Right",
        "SplitVertical" => "Down",
        _ => given["direction"].as_str().unwrap_or_default(),
    };
    let (down, second) = match direction {
        "Right" => (false, true),
        "Left" => (false, false),
        "Down" => (true, true),
        "Up" => (true, false),
        other => return Err(format!("`{other}` is no direction")),
    };
    let size = match (&given["size"]["Percent"].as_f64(), &given["size"]["Cells"].as_f64()) {
        (Some(percent), _) => percent / 100.0,
        (_, Some(cells)) => *cells,
        _ => 0.5,
    };
    let top_level = given["top_level"].as_bool().unwrap_or(false);
    let split = Split { down, second, top_level, size };
    let made = world.mux.borrow_mut().split(at, split, spawn.pane())?;
    pane::run(world, made).map_err(|e| e.to_string())
}

fn in_tab(mux: &mut Mux, at: PaneId, name: &str, given: &Json) -> Done {
    let (_, tab) = mux.place(at).ok_or("the pane is gone")?;
    let tab = mux.tabs.get_mut(&tab).expect("it has a place");
    match name {
        "ActivatePaneByIndex" => {
            let index = given.as_u64().ok_or("ActivatePaneByIndex takes a number")? as usize;
            if let Some(pane) = tab.panes().get(index) {
                tab.activate(*pane);
            }
        }
        "ActivatePaneDirection" => {
            if let Some(pane) = tab.beside(tab.active, given.as_str().unwrap_or_default()) {
                tab.activate(pane);
            }
        }
        "TogglePaneZoomState" => {
            let zoomed = tab.zoomed.is_none();
            tab.set_zoomed(zoomed);
        }
        "SetPaneZoomState" => {
            tab.set_zoomed(given.as_bool().unwrap_or(false));
        }
        "AdjustPaneSize" => {
            let by = given[1].as_i64().ok_or("AdjustPaneSize takes a direction and a number")? as isize;
            let (down, by) = match given[0].as_str().unwrap_or_default() {
                "Left" => (false, -by),
                "Right" => (false, by),
                "Up" => (true, -by),
                _ => (true, by),
            };
            tab.adjust(tab.active, down, by);
        }
        _ => tab.rotate(given.as_str() == Some("Clockwise")),
    }
    Ok(())
}
