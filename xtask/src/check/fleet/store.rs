//! Store: traces are shipped to an object store on loopback, and are there what they were.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::check::fleet::cluster::kill_with_children;
use crate::check::fleet::{Bench, traces};
use crate::progress::output_of;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many traces are shipped.
const TRACES: usize = 5;
/// Makes the bucket, and afterwards gets every object.
const CLIENT: &str = include_str!("store.py");

/// A server that ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        kill_with_children(self.0.id());
        // It was killed; how it ended says nothing.
        drop(self.0.wait());
    }
}

pub(super) fn shipped(bench: &Bench<'_>) -> Result<()> {
    let folder = bench.folder.join("store");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("looking for a free port")?;
    let python = &bench.spark.python;
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().context("starting an object store")?);
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(since.elapsed() < PATIENCE, "the object store does not answer");
        thread::sleep(Duration::from_millis(100));
    }
    let endpoint = format!("http://{address}");
    let client = |verb: &str| {
        output_of(Command::new(python).args(["-c", CLIENT, &endpoint, verb]).arg(folder.join("got")))
    };
    client("make")?;
    let all = traces(&bench.sown)?;
    let program = folder.join("krcu-ship");
    let ship = || -> Result<String> {
        let mut command = Command::new(&program);
        command.args(["--to", "s3://farm/a fleet"]).args(all.iter().take(TRACES));
        command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
        command.envs([("AWS_REGION", "us-east-1"), ("AWS_ALLOW_HTTP", "true"), ("AWS_ENDPOINT", &endpoint)]);
        output_of(&mut command).map(|text| text.trim().to_owned())
    };
    bench.programs.ship_to_stores(&program)?;
    let first = ship()?;
    ensure!(first.starts_with(&format!("shipped {TRACES} traces,")), "{first}");
    let second = ship()?;
    ensure!(second.starts_with(&format!("shipped 0 traces, 0 bytes sent; {TRACES} were there")), "{second}");
    client("get")?;
    for trace in all.iter().take(TRACES) {
        let below = trace.strip_prefix(&bench.sown).context("a trace is in its fleet")?;
        let got = folder.join("got/a fleet").join(below);
        output_of(Command::new("diff").arg("-r").arg(trace).arg(got)).context("what is there differs")?;
    }
    Ok(())
}
