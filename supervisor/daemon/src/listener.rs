//! The socket: where it lies, who may connect.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    rc::Rc,
};

use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    places::SOCKET_PATH_BYTES_MAX,
    rpc::Failure,
};

use crate::{connection, router::Router};

/// Clients at the same time: every pane, hook and editor of a busy day, and no more than the
/// descriptors of a process allow.
pub const CONNECTIONS_MAX: u32 = 256;
/// Clients that are being told that there is no room for them, at the same time. Beyond them nobody is told.
const TURNED_AWAY_MAX: usize = 64;
/// How long one of them has to read so, and to leave.
const TURNED_AWAY_FOR: std::time::Duration = std::time::Duration::from_secs(1);
/// Wait after the machine had no descriptor for a client.
const ACCEPT_RETRY: std::time::Duration = std::time::Duration::from_millis(100);

/// Makes a directory for ourselves alone, or checks that it is one.
///
/// # Errors
/// It belongs to somebody else, others may enter it, or it is no directory; with what to do.
pub fn private_dir(dir: &Path) -> Result<(), String> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| format!("cannot make the directory {}: {e}", dir.display()))?;
    let meta =
        std::fs::symlink_metadata(dir).map_err(|e| format!("cannot look at {}: {e}", dir.display()))?;
    let me = rustix::process::geteuid().as_raw();
    if !meta.is_dir() {
        return Err(format!("{} is not a directory; remove it, or set another place", dir.display()));
    }
    if meta.uid() != me {
        return Err(format!(
            "{} belongs to user {} and not to you ({me}); set another place, or have it removed",
            dir.display(),
            meta.uid()
        ));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(format!(
            "others may enter {} (its mode is 0{:o} and must be 0700); run `chmod 700 {}` if nobody else is to use it",
            dir.display(),
            meta.mode() & 0o7777,
            dir.display()
        ));
    }
    Ok(())
}

/// Binds the socket. The caller holds the daemon's lock, so that what lies there is of nobody alive.
///
/// # Errors
/// In words, with what to do.
pub fn bind(path: &Path) -> Result<UnixListener, String> {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the path of the socket is too long: {} has {bytes} bytes, and {SOCKET_PATH_BYTES_MAX} are allowed; set WEZTERM_PARALLEL_RUNTIME_DIR to a shorter directory",
            path.display()
        ));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(format!("cannot remove the old socket {}: {e}", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(path).map_err(|e| format!("cannot listen at {}: {e}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| format!("cannot protect {}: {e}", path.display()))?;
    Ok(listener)
}

/// Accepts clients for as long as the daemon lives. Says on `end` when one of them wants it to end.
pub async fn accept(listener: UnixListener, router: Rc<Router>, end: mpsc::UnboundedSender<()>) {
    let me = rustix::process::geteuid().as_raw();
    let (open, turned_away) = (Rc::new(()), Rc::new(()));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!(error = %e, "cannot accept a client");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        // before a byte of it is read
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == me => {}
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "refused a client of another user");
                continue;
            }
            Err(e) => {
                tracing::warn!(error = %e, "refused a client that nobody vouches for");
                continue;
            }
        }
        if Rc::strong_count(&open) > CONNECTIONS_MAX as usize {
            if Rc::strong_count(&turned_away) <= TURNED_AWAY_MAX {
                let held = turned_away.clone();
                actix_rt::spawn(async move {
                    let _held = held;
                    let _ = tokio::time::timeout(TURNED_AWAY_FOR, turn_away(stream)).await;
                });
            }
            continue;
        }
        let (router, end, held) = (router.clone(), end.clone(), open.clone());
        actix_rt::spawn(async move {
            let _held = held;
            if connection::serve(stream, router).await {
                let _ = end.send(());
            }
        });
    }
}

/// Tells a client that there is no room. What it says meanwhile is read: a socket that is closed with words
/// in it loses the answer too, and the client would think that there is no daemon.
async fn turn_away(mut stream: UnixStream) {
    let e = Error::new(Code::Busy, format!("{CONNECTIONS_MAX} clients are connected already"))
        .hint("close some, and try again");
    if let Ok(frame) = rmp_serde::to_vec_named(&Failure::new(0, &e)) {
        // it fits the socket's buffer, or the client is not worth waiting for
        let _ = stream.try_write(&frame);
    }
    let mut words = [0; 512];
    while stream.read(&mut words).await.is_ok_and(|n| n > 0) {}
}
