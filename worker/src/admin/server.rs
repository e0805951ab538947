//! A small HTTP server beside the job.
//!
//! Owns: one thread with a small runtime of its own, joined when the server is dropped.
//! Never: knows what it serves.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

/// How long requests under way may take when the job has ended.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The server. Stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Why it cannot start.
#[derive(Debug)]
pub(crate) enum ServerError {
    /// The address cannot be listened on.
    Bind(io::Error),
    /// The system gives no thread or no event queue.
    Start(io::Error),
}

impl Server {
    /// Listens on `host:port`; port 0 takes any free port. The address is bound when this returns. `beside` runs for as
    /// long as it serves.
    pub(crate) fn start(
        name: &'static str,
        address: &str,
        router: Router,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, ServerError> {
        let listener = bind(address).map_err(ServerError::Bind)?;
        let address = listener.local_addr().map_err(ServerError::Bind)?;
        listener.set_nonblocking(true).map_err(ServerError::Bind)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServerError::Start)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(name, listener, router, stopped) => {}
                        () = beside => {}
                    }
                });
            })
            .map_err(ServerError::Start)?;
        Ok(Self { address, running: Some((stop, thread)) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // The server may have ended by itself; then nobody is there to be told.
            let _ = stop.send(());
            if thread.join().is_err() {
                tracing::error!("an HTTP server panicked; the job was not affected");
            }
        }
    }
}

/// `[::]` is every address of this machine, also where there is no IPv6.
fn bind(address: &str) -> io::Result<TcpListener> {
    match (TcpListener::bind(address), address.strip_prefix("[::]:")) {
        (Err(_), Some(port)) => {
            let port = port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        (bound, _) => bound,
    }
}

async fn serve(name: &'static str, listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the listener does not block");
    let (close, closing) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // Either way the job has ended.
        drop(closing.await);
    });
    let deadline = async {
        drop(stopped.await);
        let _ = close.send(());
        tokio::time::sleep(CLOSE_DEADLINE).await;
    };
    tokio::select! {
        served = server => if let Err(error) = served {
            tracing::error!(server = name, %error, "an HTTP server stopped; the job goes on without it");
        },
        () = deadline => {}
    }
}
