//! That the WezTerm of these tests keeps the rules that plugins break on.

use crate::{
    fake::{Flavour, Host},
    support::site::Site,
};

const EMPTY: &str = "return {}";

#[test]
fn a_config_is_evaluated_twice_before_the_first_event() {
    let site = Site::new();
    let host = Host::new(&site, Flavour::Stable);
    host.start(
        "local wezterm = require 'wezterm'; wezterm.log_info 'evaluated'; return wezterm.config_builder()",
    );
    assert_eq!(host.record().evaluations, 2);
    assert_eq!(host.record().log.iter().filter(|(_, text)| text == "evaluated").count(), 2);
}

#[test]
fn nothing_can_be_waited_for_where_wezterm_cannot_wait() {
    let site = Site::new();
    let module = site.path("config/wezterm");
    std::fs::create_dir_all(&module).expect("a directory");
    std::fs::write(
        module.join("slow.lua"),
        "return { pcall(require('wezterm').run_child_process, { 'sleep', '0.2' }) }",
    )
    .expect("a module");
    let host = Host::new(&site, Flavour::Nightly);
    host.start(EMPTY);
    let said = host.run(
        r"
        local wezterm = require 'wezterm'
        local function slow() return (pcall(wezterm.run_child_process, { 'sleep', '0.2' })) end
        local sorted, gsubbed
        pcall(table.sort, { 2, 1 }, function() sorted = slow() return false end)
        pcall(string.gsub, 'a', 'a', function() gsubbed = slow() end)
        wezterm.on('format-tab-title', function() wezterm.log_info('title ' .. tostring(slow())) end)
        return { plain = slow(), module = require('slow')[1], sorted = sorted, gsubbed = gsubbed,
          meta = setmetatable({}, { __index = slow }).x }
        ",
    );
    assert_eq!(
        said,
        serde_json::json!({ "plain": true, "module": false, "sorted": false, "gsubbed": false, "meta": true })
    );
    host.tab_titles();
    assert!(host.record().log.iter().any(|(_, text)| text == "title false"), "{}", host.describe());
}
