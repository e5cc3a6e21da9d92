//! Real servers for tests and benchmarks, without containers: `cargo xtask services up|down|status|env NAME`, and what a
//! fault is made of: `pause|resume|kill|restart NAME`.
//!
//! A service is one file here: which tools it needs, how it is installed into the cache, what is run and when it is ready,
//! and which variables tell a test where it is. What all have in common is in this file: a folder per service below
//! `target/services`, free ports on 127.0.0.1, logs, pids, and an end by pid.

mod kafka;
mod minio;
mod nats;
#[path = "../../../crates/flott-testkit/src/ports.rs"]
mod ports;
mod process;
mod redis;
mod schema_registry;
mod versitygw;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Failure, root, say};
use process::Running;

/// How long a service may take from its start to its first answer.
const READY_PATIENCE: Duration = Duration::from_secs(90);
/// Somebody else may take a port between its choice and its use.
const STARTS_MAX: usize = 3;

/// A server that can be started here.
pub(crate) trait Service {
    /// As on the command line.
    fn name(&self) -> &'static str;
    /// In a list.
    fn about(&self) -> &'static str;
    /// Programs that have to be there, and what they are from.
    fn needs(&self) -> &'static [(&'static str, &'static str)];
    /// Puts what is missing into its folder of the cache.
    fn install(&self, cache: &Path) -> Result<(), Failure>;
    /// How many ports it listens on.
    fn ports(&self) -> usize {
        1
    }
    /// Its processes, in the order of their start; each is ready before the next begins.
    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure>;
    /// What a test needs to know.
    fn variables(&self, place: &Place) -> Vec<(String, String)>;
}

/// One process of a service.
pub(crate) struct Process {
    /// Of its log and its pid.
    pub(crate) name: &'static str,
    pub(crate) command: Command,
    pub(crate) ready: Ready,
}

/// When a process is ready.
pub(crate) enum Ready {
    /// A GET of this path on this port is answered, with this text in it.
    Http { port: u16, path: &'static str, holds: &'static str },
    /// Its log has this text.
    Log { holds: &'static str },
}

/// Where a service is.
pub(crate) struct Place {
    /// What is installed.
    pub(crate) cache: PathBuf,
    /// Data, logs and pids of this run.
    pub(crate) folder: PathBuf,
    pub(crate) ports: Vec<u16>,
}

fn all() -> Vec<Box<dyn Service>> {
    vec![
        Box::new(versitygw::Versitygw),
        Box::new(minio::Minio),
        Box::new(kafka::Kafka),
        Box::new(nats::Nats),
        Box::new(redis::Redis),
        Box::new(schema_registry::SchemaRegistry),
    ]
}

fn find(name: &str) -> Result<Box<dyn Service>, Failure> {
    let names: Vec<&str> = all().iter().map(|s| s.name()).collect();
    all()
        .into_iter()
        .find(|s| s.name() == name)
        .ok_or_else(|| format!("there is no service '{name}'; there are {}", names.join(", ")))
}

/// The command line.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["up", name] => print_variables(&up(&*find(name)?)?),
        ["down", name] => down(&*find(name)?),
        [what @ ("pause" | "resume" | "kill" | "restart"), name] => disturb(what, name),
        ["env", name] => {
            let service = find(name)?;
            let place = running(&*service).ok_or_else(|| format!("{name} does not run"))?;
            print_variables(&service.variables(&place))
        }
        ["status"] => {
            for service in all() {
                status(&*service);
            }
            Ok(())
        }
        ["status", name] => {
            status(&*find(name)?);
            Ok(())
        }
        _ => {
            let list: Vec<String> = all().iter().map(|s| format!("  {:<12} {}", s.name(), s.about())).collect();
            Err(format!(
                "cargo xtask services up|down|env|status|pause|resume|kill|restart NAME, where NAME is one of\n{}",
                list.join("\n")
            ))
        }
    }
}

/// What a fault is made of: `pause`, `resume`, `kill` or `restart`.
pub(crate) fn disturb(what: &str, name: &str) -> Result<(), Failure> {
    let service = find(name)?;
    match what {
        "pause" => signal(&*service, "-STOP"),
        "resume" => signal(&*service, "-CONT"),
        "kill" => signal(&*service, "-KILL"),
        "restart" => restart(&*service),
        other => Err(format!("a service cannot be told to {other}")),
    }
}

fn print_variables(variables: &[(String, String)]) -> Result<(), Failure> {
    for (name, value) in variables {
        say(&format!("export {name}='{value}'"));
    }
    Ok(())
}

fn status(service: &dyn Service) {
    let name = service.name();
    say(&match running(service) {
        Some(place) => format!("{name}: runs on {:?}, in {}", place.ports, place.folder.display()),
        None => match missing(service) {
            Some(why) => format!("{name}: cannot be started here: {why}"),
            None => format!("{name}: does not run"),
        },
    });
}

/// Why a service cannot be started on this machine.
fn missing(service: &dyn Service) -> Option<String> {
    let lacks = |program: &str| {
        let mut paths =
            std::env::var_os("PATH").into_iter().flat_map(|p| std::env::split_paths(&p).collect::<Vec<_>>());
        !paths.any(|folder| folder.join(program).is_file())
    };
    let (program, of) = service.needs().iter().find(|(program, _)| lacks(program))?;
    Some(format!("'{program}' is not on the PATH; install {of}"))
}

/// What is downloaded and built once, for all working copies of a user.
fn cache(service: &dyn Service) -> PathBuf {
    let of_user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_user = of_user.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")));
    of_user.map_or_else(|| root().join("target"), |c| c.join("flott")).join("services").join(service.name())
}

fn folder(service: &dyn Service) -> PathBuf {
    root().join("target/services").join(service.name())
}

/// The place of a service all of whose processes are alive.
fn running(service: &dyn Service) -> Option<Place> {
    let folder = folder(service);
    let ports = fs::read_to_string(folder.join("ports")).ok()?;
    let ports = ports.split_whitespace().map(str::parse).collect::<Result<Vec<u16>, _>>().ok()?;
    let processes = Running::all(&folder);
    let place = Place { cache: cache(service), folder, ports };
    (!processes.is_empty() && processes.iter().all(Running::is_alive)).then_some(place)
}

/// Installs and starts a service, unless it runs.
fn up(service: &dyn Service) -> Result<Vec<(String, String)>, Failure> {
    if let Some(place) = running(service) {
        return Ok(service.variables(&place));
    }
    if let Some(why) = missing(service) {
        return Err(format!("{} cannot be started here: {why}", service.name()));
    }
    // What is left of one that died half.
    down(service)?;
    let cache = cache(service);
    fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    service.install(&cache)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match start(service, &cache) {
            Ok(place) => return Ok(service.variables(&place)),
            Err(why) => {
                stop(service)?;
                if tries == STARTS_MAX {
                    return Err(why);
                }
                say(&format!("{why}; once more, with other ports"));
            }
        }
    }
}

fn start(service: &dyn Service, cache: &Path) -> Result<Place, Failure> {
    let folder = folder(service);
    drop(fs::remove_dir_all(&folder));
    let place = Place { cache: cache.to_path_buf(), ports: free_ports(service.ports())?, folder };
    let wrong = |e: std::io::Error| format!("{}: {e}", place.folder.display());
    fs::create_dir_all(place.folder.join("data")).map_err(wrong)?;
    let ports: Vec<String> = place.ports.iter().map(u16::to_string).collect();
    fs::write(place.folder.join("ports"), ports.join(" ")).map_err(wrong)?;
    run_processes(service, &place)?;
    Ok(place)
}

fn run_processes(service: &dyn Service, place: &Place) -> Result<(), Failure> {
    for process in service.processes(place)? {
        let Process { name, command, ready } = process;
        let running = Running::start(name, command, &place.folder)?;
        running.wait_until(&ready, READY_PATIENCE)?;
    }
    Ok(())
}

/// Sends a signal to each process: stopped, going on, killed. Data and ports stay.
fn signal(service: &dyn Service, signal: &str) -> Result<(), Failure> {
    Running::all(&folder(service)).iter().try_for_each(|process| process.signal(signal))
}

/// Starts what was killed, with the same data and ports.
fn restart(service: &dyn Service) -> Result<(), Failure> {
    signal(service, "-CONT")?;
    stop(service)?;
    let folder = folder(service);
    let ports = fs::read_to_string(folder.join("ports"));
    let ports = ports.map_err(|_| format!("{} was not started: cargo xtask services up", service.name()))?;
    let ports = ports.split_whitespace().filter_map(|p| p.parse().ok()).collect();
    run_processes(service, &Place { cache: cache(service), folder, ports })
}

/// Ends the processes that were started, the last one first.
fn stop(service: &dyn Service) -> Result<(), Failure> {
    Running::all(&folder(service)).iter().rev().try_for_each(Running::end)
}

/// Ends a service and removes its data; what is installed stays.
fn down(service: &dyn Service) -> Result<(), Failure> {
    stop(service)?;
    drop(fs::remove_dir_all(folder(service)));
    Ok(())
}

/// That nobody listens on.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    ports::free_ports(count).map_err(|e| format!("{count} free ports: {e}"))
}

/// Services that the tests use, started for as long as this lives.
pub(crate) struct ForTests {
    started: Vec<Box<dyn Service>>,
    /// Where they are, or why they are not there.
    pub(crate) variables: Vec<(String, String)>,
}

impl ForTests {
    /// Starts them. One that cannot be started is no failure: its tests are skipped, and say why.
    pub(crate) fn start(names: &[&str]) -> Result<ForTests, Failure> {
        let mut these = ForTests { started: vec![], variables: vec![] };
        for name in names {
            let service = find(name)?;
            let was_running = running(&*service).is_some();
            match up(&*service) {
                Ok(variables) => {
                    these.variables.extend(variables);
                    if !was_running {
                        these.started.push(service);
                    }
                }
                Err(why) => {
                    say(&format!("SKIPPED: the tests with {name}: {why}"));
                    these
                        .variables
                        .push((format!("FLOTT_TEST_SKIP_{}", name.to_ascii_uppercase().replace('-', "_")), why));
                }
            }
        }
        Ok(these)
    }
}

impl Drop for ForTests {
    fn drop(&mut self) {
        for service in &self.started {
            if let Err(why) = down(&**service) {
                say(&format!("{} goes on: {why}", service.name()));
            }
        }
    }
}

/// Fills the cache's folder of a version once: what stands there is whole, however an earlier try has ended. `fill` gets an empty
/// folder.
fn install_once(cache: &Path, version: &str, fill: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let installed = cache.join(version);
    if installed.is_dir() {
        return Ok(());
    }
    let new = cache.join(format!("{version}.new"));
    drop(fs::remove_dir_all(&new));
    let wrong = |e: std::io::Error| format!("{}: {e}", new.display());
    fs::create_dir_all(&new).map_err(wrong)?;
    fill(&new)?;
    fs::rename(&new, &installed).map_err(wrong)
}

/// Runs a program in a folder.
fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let done = Command::new(program).args(arguments).current_dir(folder).status();
    match done.map_err(|e| format!("{program} cannot be started: {e}"))? {
        status if status.success() => Ok(()),
        status => Err(format!("{program} {}: {status}", arguments.join(" "))),
    }
}

/// Builds a Go program into the cache, and checks that it is of the sources that we mean: `sum` is the module's checksum
/// as in a `go.sum`.
fn go_install(cache: &Path, module: &str, package: &str, version: &str, sum: &str) -> Result<PathBuf, Failure> {
    // As Go names it: a number of a version at the end is no part of the name.
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
    let program = package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package);
    let built = cache.join(version).join(program);
    if built.is_file() {
        return Ok(built);
    }
    let building = cache.join(format!("{version}.new"));
    drop(fs::remove_dir_all(&building));
    say(&format!("+ go install {package}@{version} (once; this takes a minute or more)"));
    let done = Command::new("go")
        .args(["install", &format!("{package}@{version}")])
        .env("GOBIN", &building)
        .env("GOFLAGS", "-mod=mod")
        .current_dir(cache)
        .status()
        .map_err(|e| format!("go cannot be started: {e}"))?;
    if !done.success() {
        return Err(format!("go install {package}@{version}: {done}"));
    }
    let shown = Command::new("go").args(["version", "-m"]).arg(building.join(program)).output();
    let shown = shown.map_err(|e| format!("go cannot be started: {e}"))?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let is_meant = shown.lines().any(|line| line.split_whitespace().eq(["mod", module, version, sum]));
    if !is_meant {
        return Err(format!("{module}@{version} has another checksum than {sum}: it is not run"));
    }
    fs::rename(&building, cache.join(version)).map_err(|e| format!("{}: {e}", cache.display()))?;
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(find("versitygw").is_ok());
        assert!(find("kafkaesque").err().expect("unknown").contains("versitygw"));
    }
}
