//! `wezterm-parallel mcp`: a server of the Model Context Protocol on standard input and output, started by a
//! supervised Claude as its child. What it is asked it asks the daemon, which sees whose child it is: what an
//! agent may is decided there and nowhere here.
//!
//! In reading order: the tools that there are, how one is carried out, the way to the daemon.

mod ask;
mod daemon;
mod tool;

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use wezterm_parallel_schemas::places::Places;

use crate::daemon::{Daemon, Hangup};

/// Calls that are under way at the same time: each is a thread that waits for the daemon. Claude asks a few at
/// once.
const CALLS_MAX: usize = 16;
/// Stack of such a thread: it encodes, waits and decodes.
const STACK_BYTES: usize = 256 << 10;
/// They end after this long without work.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

const INSTRUCTIONS: &str = "\
You are one of several Claude Code agents that wezterm-parallel runs side by side on this machine. With these \
tools you add work for others (task_*), see who else is there and what they do (process_list), tell them \
something (process_send), and keep out of each other's way: take a lease (lease_acquire) before you use \
something that only one can use at a time, such as a file that several edit or a port, and give it back after.";

/// Serves until standard input ends, and gives the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    if args.count() > 0 {
        eprintln!("wezterm-parallel mcp takes no arguments: an agent starts it, and speaks MCP to it");
        return 2;
    }
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let daemon = Arc::new(Daemon::new(Places::new(|name| std::env::var_os(name), &home)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .max_blocking_threads(CALLS_MAX)
        .thread_keep_alive(KEEP_ALIVE)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("the MCP server cannot start: {e}");
            return 1;
        }
    };
    let served = runtime.block_on(async {
        let server = Server { daemon }.serve(rmcp::transport::stdio()).await.map_err(|e| e.to_string())?;
        server.waiting().await.map_err(|e| e.to_string())
    });
    // calls that still wait end with the process: nobody is there to be told
    runtime.shutdown_background();
    match served {
        Ok(_) => 0,
        Err(e) => {
            eprintln!("the MCP server ended: {e}");
            1
        }
    }
}

struct Server {
    daemon: Arc<Daemon>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("wezterm-parallel", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tool::all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let hangup = Arc::new(Hangup::default());
        let (daemon, of_call) = (self.daemon.clone(), hangup.clone());
        let arguments = serde_json::Value::Object(request.arguments.unwrap_or_default());
        let name = request.name.into_owned();
        let mut call =
            tokio::task::spawn_blocking(move || ask::carry_out(&name, arguments, &daemon, &of_call));
        let done = tokio::select! {
            done = &mut call => done,
            () = context.ct.cancelled() => {
                // the daemon gives what is waited for to the next one
                hangup.hang_up();
                call.await
            }
        };
        let said = done.map_err(|e| ErrorData::internal_error(e.to_string(), None))?;
        let result = match said {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Err(text) => CallToolResult::error(vec![ContentBlock::text(text)]),
        };
        Ok(result.into())
    }
}
