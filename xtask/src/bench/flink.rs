//! A Flink of its own beside Flott: a JobManager, a TaskManager with two slots, an SQL gateway, from the installation in
//! `FLINK_HOME`, on loopback, ended with the benchmark.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http;
use super::measure::{Figures, pause, taken};
use crate::Failure;
use crate::services::free_ports;

const READY_PATIENCE_S: u32 = 90;
const STEP: Duration = Duration::from_millis(100);
/// Memory of the TaskManager process as Flink ships it.
pub(super) const TASK_MANAGER_MEMORY: &str = "1728m";
const JOB_MANAGER_MEMORY: &str = "1600m";

/// An installation.
pub(super) struct Installation {
    home: PathBuf,
    pub(super) version: String,
    /// `--add-opens` and the like, which Flink needs on newer Java.
    java_options: Vec<String>,
}

impl Installation {
    /// The one in `FLINK_HOME`, or why there is none.
    pub(super) fn find() -> Result<Installation, Failure> {
        let home = std::env::var_os("FLINK_HOME").map(PathBuf::from);
        let home = home.ok_or("FLINK_HOME does not name the folder of a Flink")?;
        let dist = jars(&home.join("lib"))?.into_iter().find_map(|jar| {
            let name = jar.file_name()?.to_str()?;
            Some(name.strip_prefix("flink-dist-")?.strip_suffix(".jar")?.to_string())
        });
        let version = dist.ok_or_else(|| format!("{} has no lib/flink-dist-*.jar", home.display()))?;
        if !gateway_jar(&home, &version).exists() {
            return Err(format!("{} has no opt/flink-sql-gateway-{version}.jar", home.display()));
        }
        if Command::new("java").arg("-version").stderr(Stdio::null()).status().is_err() {
            return Err("'java' is not on the PATH".to_string());
        }
        let conf = fs::read_to_string(home.join("conf/config.yaml")).unwrap_or_default();
        let options = conf.lines().find_map(|l| l.trim().split_once("all: --")).map(|(_, o)| format!("--{o}"));
        let options = options.ok_or_else(|| format!("{}/conf/config.yaml has no options for Java", home.display()))?;
        let mut java_options: Vec<String> = options.split_whitespace().map(str::to_string).collect();
        java_options.push("-Duser.timezone=UTC".to_string());
        Ok(Installation { home, version, java_options })
    }

    fn class_path(&self) -> Result<String, Failure> {
        let jars: Vec<String> = jars(&self.home.join("lib"))?.iter().map(|j| j.display().to_string()).collect();
        Ok(jars.join(":"))
    }

    /// What Flink computes of its memory settings: options for Java, options of its own.
    fn resources(&self, of: &str, conf: &Path) -> Result<(Vec<String>, Vec<String>), Failure> {
        let class_path = format!(
            "{}:{}",
            self.home.join("bin/bash-java-utils.jar").display(),
            self.home.join(format!("lib/flink-dist-{}.jar", self.version)).display()
        );
        let output = Command::new("java")
            .args(["-cp", &class_path, "org.apache.flink.runtime.util.bash.BashJavaUtils", of, "--configDir"])
            .arg(conf)
            .output()
            .map_err(|e| format!("java cannot be started: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines().filter_map(|l| l.split_once("BASH_JAVA_UTILS_EXEC_RESULT:"));
        let mut next = || -> Vec<String> {
            lines.next().map(|l| l.1.split_whitespace().map(str::to_string).collect()).unwrap_or_default()
        };
        Ok((next(), next()))
    }
}

fn gateway_jar(home: &Path, version: &str) -> PathBuf {
    home.join(format!("opt/flink-sql-gateway-{version}.jar"))
}

fn jars(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut jars: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "jar")).collect();
    jars.sort();
    Ok(jars)
}

/// A cluster that runs, with a session of its gateway.
pub(super) struct Cluster {
    processes: Vec<Child>,
    task_manager: u32,
    rest: u16,
    gateway: u16,
    session: String,
    begun: Instant,
}

impl Cluster {
    /// Starts one whose Java has done nothing yet but to start.
    pub(super) fn start(flink: &Installation, folder: &Path, slots: usize, memory: &str) -> Result<Cluster, Failure> {
        let begun = super::measure::now();
        let folder = folder.join("flink");
        let conf = folder.join("conf");
        let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(folder.join("tmp")).map_err(wrong)?;
        fs::create_dir_all(&conf).map_err(wrong)?;
        let ports = free_ports(3)?;
        let (rest, rpc, gateway) = (ports[0], ports[1], ports[2]);
        let tmp = folder.join("tmp");
        let settings = [
            ("jobmanager.rpc.address", "127.0.0.1".to_string()),
            ("jobmanager.rpc.port", rpc.to_string()),
            ("jobmanager.bind-host", "127.0.0.1".to_string()),
            ("jobmanager.memory.process.size", JOB_MANAGER_MEMORY.to_string()),
            ("taskmanager.host", "127.0.0.1".to_string()),
            ("taskmanager.bind-host", "127.0.0.1".to_string()),
            ("taskmanager.numberOfTaskSlots", slots.to_string()),
            ("taskmanager.memory.process.size", memory.to_string()),
            ("rest.address", "127.0.0.1".to_string()),
            ("rest.bind-address", "127.0.0.1".to_string()),
            ("rest.port", rest.to_string()),
            ("io.tmp.dirs", tmp.display().to_string()),
            // Else what is read of a job is up to ten seconds old.
            ("metrics.fetcher.update-interval", "100".to_string()),
            ("table.local-time-zone", "UTC".to_string()),
        ];
        let text: String = settings.iter().map(|(k, v)| format!("{k}: {v}\n")).collect();
        fs::write(conf.join("config.yaml"), text).map_err(wrong)?;
        fs::write(conf.join("log4j.properties"), LOG).map_err(wrong)?;

        let class_path = flink.class_path()?;
        let mut cluster = Cluster { processes: vec![], task_manager: 0, rest, gateway, session: String::new(), begun };
        let conf_arg = conf.display().to_string();
        let start = |name: &str, java: &[String], class_path: &str, main: &[&str], more: &[String]| {
            let log = fs::File::create(folder.join(format!("{name}.log"))).map_err(wrong)?;
            let errors = log.try_clone().map_err(wrong)?;
            Command::new("java")
                .args(&flink.java_options)
                .arg(format!("-Dlog4j.configurationFile=file:{conf_arg}/log4j.properties"))
                .args(java)
                .args(["-cp", class_path])
                .args(main)
                .args(more)
                .env("FLINK_CONF_DIR", &conf)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn()
                .map_err(|e| format!("java cannot be started: {e}"))
        };
        let (java, more) = flink.resources("GET_JM_RESOURCE_PARAMS", &conf)?;
        let main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint";
        let more =
            [more, ["--configDir", &conf_arg, "--executionMode", "cluster"].map(str::to_string).to_vec()].concat();
        cluster.processes.push(start("jobmanager", &java, &class_path, &[main], &more)?);
        let (java, more) = flink.resources("GET_TM_RESOURCE_PARAMS", &conf)?;
        let main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner";
        let task_manager = start("taskmanager", &java, &class_path, &[main, "--configDir", &conf_arg], &more)?;
        cluster.task_manager = task_manager.id();
        cluster.processes.push(task_manager);
        let with_gateway = format!("{class_path}:{}", gateway_jar(&flink.home, &flink.version).display());
        let address = "sql-gateway.endpoint.rest";
        let more = [
            format!("-D{address}.address=127.0.0.1"),
            format!("-D{address}.bind-address=127.0.0.1"),
            format!("-D{address}.port={gateway}"),
        ];
        let main = "org.apache.flink.table.gateway.SqlGateway";
        cluster.processes.push(start("gateway", &["-Xmx1g".to_string()], &with_gateway, &[main], &more)?);
        cluster.await_answer(rest, "/overview", &format!("\"slots-total\":{slots}"))?;
        cluster.await_answer(gateway, "/info", "productName")?;
        let session = http::json("POST", gateway, "/v1/sessions", &json!({"properties": {}}))?;
        cluster.session = session["sessionHandle"].as_str().ok_or("the gateway gives no session")?.to_string();
        Ok(cluster)
    }

    /// Has the planner loaded by a first statement, so that it is not the job's.
    pub(super) fn load_planner(&self) -> Result<(), Failure> {
        self.execute("SELECT 1").map(drop)
    }

    fn await_answer(&mut self, port: u16, path: &str, holds: &str) -> Result<(), Failure> {
        for _ in 0..READY_PATIENCE_S * 10 {
            if http::request("GET", port, path, "").is_ok_and(|answer| answer.contains(holds)) {
                return Ok(());
            }
            for process in &mut self.processes {
                if let Ok(Some(status)) = process.try_wait() {
                    return Err(format!("a process of Flink ended: {status}; see its log in .bench/flink"));
                }
            }
            pause(STEP);
        }
        Err(format!("Flink is not ready after {READY_PATIENCE_S} s; see its logs in .bench/flink"))
    }

    /// Runs a statement to its end. Gives the job's id, where there is a job.
    pub(super) fn execute(&self, sql: &str) -> Result<Option<String>, Failure> {
        let mut job = None;
        let mut path = self.submit(sql)?;
        loop {
            let answer = http::json("GET", self.gateway, &path, &Value::Null)?;
            if let Some(id) = answer["jobID"].as_str() {
                job = Some(id.to_string());
            }
            match answer["resultType"].as_str() {
                Some("EOS") => return Ok(job),
                Some("NOT_READY") => pause(STEP),
                _ => match answer["nextResultUri"].as_str() {
                    Some(next) => path = next.to_string(),
                    None => return Ok(job),
                },
            }
        }
    }

    /// Where the first results of a statement are asked for.
    fn submit(&self, sql: &str) -> Result<String, Failure> {
        let path = format!("/v1/sessions/{}/statements", self.session);
        let answer = http::json("POST", self.gateway, &path, &json!({ "statement": sql }))?;
        let operation = answer["operationHandle"].as_str().ok_or("the gateway starts no operation")?;
        Ok(format!("/v1/sessions/{}/operations/{operation}/result/0?rowFormat=JSON", self.session))
    }

    /// A job to its end: its own duration, without the planner's and the gateway's, and the TaskManager's CPU time
    /// meanwhile, without the JobManager's.
    pub(super) fn run(&self, statements: &[String], rows: u64) -> Result<Figures, Failure> {
        let before = taken(self.task_manager)?;
        let mut job = None;
        for statement in statements {
            job = self.execute(statement)?.or(job);
        }
        let after = taken(self.task_manager)?;
        let job = job.ok_or("no statement started a job")?;
        let status = http::json("GET", self.rest, &format!("/jobs/{job}"), &Value::Null)?;
        match (status["state"].as_str(), status["duration"].as_f64()) {
            (Some("FINISHED"), Some(ms)) => {
                let cpu_s = after.cpu_s - before.cpu_s;
                Ok(Figures { rows, wall_s: ms / 1e3, cpu_s, rss_mb: after.rss_mb })
            }
            (state, _) => {
                let why = http::json("GET", self.rest, &format!("/jobs/{job}/exceptions"), &Value::Null);
                let why = why
                    .ok()
                    .and_then(|w| Some(w["exceptionHistory"]["entries"][0]["exceptionName"].as_str()?.to_string()));
                Err(format!("Flink's job is {}: {}", state.unwrap_or("unknown"), why.unwrap_or_default()))
            }
        }
    }

    /// A job to its end as somebody sees it who starts Flink for it: everything since the first process was started, of
    /// all three processes. They are not ended in it.
    pub(super) fn run_since_start(&self, statements: &[String], rows: u64) -> Result<Figures, Failure> {
        self.run(statements, rows)?;
        let wall_s = self.begun.elapsed().as_secs_f64();
        let mut all = Figures { rows, wall_s, cpu_s: 0.0, rss_mb: 0.0 };
        for process in &self.processes {
            let taken = taken(process.id())?;
            all.cpu_s += taken.cpu_s;
            all.rss_mb += taken.rss_mb;
        }
        Ok(all)
    }

    /// Starts an endless job, lets it run warm, and measures a while of it: rows that its source has read.
    pub(super) fn steady(&self, statements: &[String], warm: Duration, measured: Duration) -> Result<Figures, Failure> {
        let mut job = None;
        for statement in statements {
            job = self.execute(statement)?.or(job);
        }
        let job = job.ok_or("no statement started a job")?;
        let read = || -> Result<_, Failure> {
            // An answer is what was fetched for the question before.
            self.rows_read(&job)?;
            pause(Duration::from_secs(1));
            let rows = self.rows_read(&job)?;
            if rows == 0 { Err("Flink does not say how many rows it has read".to_string()) } else { Ok(rows) }
        };
        pause(warm);
        let (rows_before, before) = (read()?, taken(self.task_manager)?);
        let begun = super::measure::now();
        pause(measured);
        let (rows_after, after) = (read()?, taken(self.task_manager)?);
        let wall_s = begun.elapsed().as_secs_f64();
        http::request("PATCH", self.rest, &format!("/jobs/{job}?mode=cancel"), "")?;
        Ok(Figures {
            rows: rows_after.saturating_sub(rows_before),
            wall_s,
            cpu_s: after.cpu_s - before.cpu_s,
            rss_mb: after.rss_mb,
        })
    }

    /// Rows that have left the sources of a job, over all subtasks.
    fn rows_read(&self, job: &str) -> Result<u64, Failure> {
        let status = http::json("GET", self.rest, &format!("/jobs/{job}"), &Value::Null)?;
        let mut rows = 0.0;
        for vertex in status["vertices"].as_array().into_iter().flatten() {
            let id = vertex["id"].as_str().unwrap_or_default();
            let path = format!("/jobs/{job}/vertices/{id}/metrics");
            let names = http::json("GET", self.rest, &path, &Value::Null)?;
            let names: Vec<&str> = names
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|m| m["id"].as_str())
                .filter(|n| n.contains("Source") && n.ends_with(".numRecordsOut"))
                .collect();
            if names.is_empty() {
                continue;
            }
            let values = http::json("GET", self.rest, &format!("{path}?get={}", names.join(",")), &Value::Null)?;
            let values = values.as_array().into_iter().flatten();
            rows += values.filter_map(|m| m["value"].as_str()?.parse::<f64>().ok()).sum::<f64>();
        }
        Ok(rows as u64)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // It may have ended by itself; that is waited for all the same.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

const LOG: &str = "\
rootLogger.level = WARN
rootLogger.appenderRef.c.ref = C
appender.c.name = C
appender.c.type = CONSOLE
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %-5p %c %m%n
";
