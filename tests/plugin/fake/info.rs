//! What `format-tab-title` is given: a tab and its panes as they are at that moment.

use mlua::{UserData, UserDataFields, Value};

use super::{
    mux::{CELL, PaneId, Rect, TabId, WindowId},
    pane::Url,
    world::World,
};

#[derive(Clone)]
pub struct TabInfo {
    pub tab_id: TabId,
    pub tab_index: usize,
    pub is_active: bool,
    pub window_id: WindowId,
    pub title: String,
    pub panes: Vec<PaneInfo>,
}

#[derive(Clone)]
pub struct PaneInfo {
    pub pane_id: PaneId,
    pub index: usize,
    pub is_active: bool,
    pub is_zoomed: bool,
    pub rect: Rect,
    pub title: String,
    pub domain: String,
    pub user_vars: std::collections::BTreeMap<String, String>,
}

/// The tabs of a window of the mux. A zoomed pane is the only one that a tab has here.
pub fn tabs(world: &World, window: WindowId) -> Vec<TabInfo> {
    let mux = world.mux.borrow();
    let Some(shown) = mux.windows.get(&window) else { return Vec::new() };
    let tabs = shown.tabs.iter().enumerate().map(|(tab_index, tab_id)| {
        let tab = &mux.tabs[tab_id];
        let whole = Rect { left: 0, top: 0, width: tab.cols, height: tab.rows };
        let places = tab.places().into_iter().enumerate();
        let places = places.filter(|(_, (pane, _))| tab.zoomed.is_none_or(|zoomed| zoomed == *pane));
        let panes = places.map(|(index, (pane_id, rect))| {
            let pane = &mux.panes[&pane_id];
            PaneInfo {
                pane_id,
                index,
                is_active: tab.active == pane_id,
                is_zoomed: tab.zoomed == Some(pane_id),
                rect: if tab.zoomed == Some(pane_id) { whole } else { rect },
                title: pane.title.clone(),
                domain: pane.domain.clone(),
                user_vars: pane.user_vars.clone(),
            }
        });
        TabInfo {
            tab_id: *tab_id,
            tab_index,
            is_active: tab_index == shown.active,
            window_id: window,
            title: tab.title.clone(),
            panes: panes.collect(),
        }
    });
    tabs.collect()
}

impl UserData for TabInfo {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("tab_id", |_, t| Ok(t.tab_id));
        fields.add_field_method_get("tab_index", |_, t| Ok(t.tab_index));
        fields.add_field_method_get("is_active", |_, t| Ok(t.is_active));
        fields.add_field_method_get("window_id", |_, t| Ok(t.window_id));
        fields.add_field_method_get("tab_title", |_, t| Ok(t.title.clone()));
        fields.add_field_method_get("window_title", |_, _| Ok(""));
        fields.add_field_method_get("panes", |_, t| Ok(t.panes.clone()));
        fields.add_field_method_get("active_pane", |_, t| Ok(t.panes.iter().find(|p| p.is_active).cloned()));
    }
}

impl UserData for PaneInfo {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("pane_id", |_, p| Ok(p.pane_id));
        fields.add_field_method_get("pane_index", |_, p| Ok(p.index));
        fields.add_field_method_get("is_active", |_, p| Ok(p.is_active));
        fields.add_field_method_get("is_zoomed", |_, p| Ok(p.is_zoomed));
        fields.add_field_method_get("has_unseen_output", |_, _| Ok(false));
        fields.add_field_method_get("left", |_, p| Ok(p.rect.left));
        fields.add_field_method_get("top", |_, p| Ok(p.rect.top));
        fields.add_field_method_get("width", |_, p| Ok(p.rect.width));
        fields.add_field_method_get("height", |_, p| Ok(p.rect.height));
        fields.add_field_method_get("pixel_width", |_, p| Ok(p.rect.width * CELL.0));
        fields.add_field_method_get("pixel_height", |_, p| Ok(p.rect.height * CELL.1));
        fields.add_field_method_get("title", |_, p| Ok(p.title.clone()));
        fields.add_field_method_get("user_vars", |_, p| Ok(p.user_vars.clone()));
        fields.add_field_method_get("foreground_process_name", |_, _| Ok(""));
        fields.add_field_method_get("tty_name", |_, _| Ok(Value::Nil));
        fields.add_field_method_get("domain_name", |_, p| Ok(p.domain.clone()));
        fields.add_field_method_get("current_working_dir", |_, _| Ok(None::<Url>));
    }
}
