//! `picresize health`: asks a running process whether it is ready, for container health checks.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::config_file::ConfigFile;
use super::usage::Usage;

const PATIENCE: Duration = Duration::from_secs(5);

/// Ask a running process whether it is ready
///
/// Exits with 0 if it is ready, and with 1 if it is not or does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize health
  picresize health http://127.0.0.1:9090/readyz")]
pub(super) struct Health {
    /// The address to ask [default: /readyz at the port of server.listen, on this machine]
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Health {
    pub(super) fn run(self) -> Result<ExitCode> {
        let url = match self.url {
            Some(url) => url,
            None => {
                let listen = self.config.load()?.server.listen;
                let address = match listen.ip() {
                    ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    ip => ip,
                };
                format!("http://{}/readyz", SocketAddr::new(address, listen.port()))
            }
        };
        let Some((host, path)) = url.strip_prefix("http://").map(|rest| {
            let path = rest.find('/').unwrap_or(rest.len());
            rest.split_at(path)
        }) else {
            return Err(Usage(format!("{url:?} is not an http:// address")).into());
        };
        let status = ask(host, path).with_context(|| format!("{url} does not answer"))?;
        if status != 200 {
            bail!("{url} answers {status}");
        }
        println!("ready");
        Ok(ExitCode::SUCCESS)
    }
}

/// The status of the answer to a GET (RFC 9112): no more is needed than its first line.
fn ask(host: &str, path: &str) -> Result<u16> {
    let address = host
        .to_socket_addrs()?
        .next()
        .context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = if path.is_empty() { "/" } else { path };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(1024).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    status.context("the answer is not HTTP")
}
