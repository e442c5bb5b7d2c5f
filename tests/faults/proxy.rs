//! A TCP proxy in front of a server, which delays, drops or resets.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// What a proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Open,
    /// Each piece of data waits for this long.
    Delay(Duration),
    /// Nothing passes, and nobody is told. New connections are accepted, as by a machine that hangs.
    Drop,
    /// Connections end with a reset, new ones too.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(listen: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let (mode, seen) = watch::channel(Mode::Open);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((client, _)) = accepted {
                            connections.spawn(connect(client, server, seen.clone()));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { mode, accepting }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(client: TcpStream, server: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let is_reset = async |mode: &mut watch::Receiver<Mode>| {
        // An error says that the proxy ends.
        let _ = mode.wait_for(|mode| *mode == Mode::Reset).await;
    };
    let _ = client.set_nodelay(true);
    let mut until_reset = mode.clone();
    tokio::select! {
        biased;
        () = is_reset(&mut until_reset) => {
            // Without this, the end would be an orderly one.
            let _ = client.set_zero_linger();
        }
        () = pass(&client, server, &mut mode) => {}
    }
}

/// Passes data both ways until one side ends.
async fn pass(client: &TcpStream, server: SocketAddr, mode: &mut watch::Receiver<Mode>) {
    open(mode).await;
    let Ok(server) = TcpStream::connect(server).await else {
        // The client sees that nobody listens there.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = server.set_nodelay(true);
    tokio::select! {
        () = pump(client, &server, mode.clone()) => {}
        () = pump(&server, client, mode.clone()) => {}
    }
}

async fn pump(from: &TcpStream, to: &TcpStream, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = read(from, &mut buffer).await;
        let Some(read) = read.filter(|read| *read > 0) else {
            return;
        };
        open(&mut mode).await;
        let current = *mode.borrow();
        if let Mode::Delay(delay) = current {
            sleep(delay).await;
        }
        if write(to, &buffer[..read]).await.is_none() {
            return;
        }
    }
}

/// `None` if the connection failed; 0 at its end.
async fn read(from: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        from.readable().await.ok()?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read.ok(),
        }
    }
}

async fn write(to: &TcpStream, mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        to.writable().await.ok()?;
        match to.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            written => bytes = &bytes[written.ok()?..],
        }
    }
    Some(())
}

/// Waits while nothing may pass.
async fn open(mode: &mut watch::Receiver<Mode>) {
    let _ = mode.wait_for(|mode| *mode != Mode::Drop).await;
}
