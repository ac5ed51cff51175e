//! The wish that the program stops, from signals to whoever has to know.

use tokio::sync::watch;

/// Turns to `true` when the program is asked to stop.
pub type Stop = watch::Receiver<bool>;

/// Returns when the program is asked to stop; never, when nobody can ask any more.
pub async fn requested(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Listens to Ctrl-C, SIGTERM and SIGHUP. The second one ends the program at
/// once, with status 1. Must be called inside a runtime.
///
/// # Errors
/// The system doesn't let signals be handled.
pub fn on_signals() -> std::io::Result<Stop> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        // Who doesn't listen has ended.
        let _ = stop.send(true);
        signals.next().await;
        std::process::exit(1);
    });
    Ok(stopped)
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
