//! The supervisor's own process, by the names that every program has. Read when a page is requested.

use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};
use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use crate::ops::{logging::dropped_lines, panics};

/// Names of this family have no prefix.
pub(super) fn register(to: &mut Registry) {
    let started_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    to.register_collector(Box::new(Figures { started_s: started_s.as_secs_f64() }));
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    to.register("cc_executor_build", "The version of the supervisor", Info::new(version));
}

#[derive(Debug)]
struct Figures {
    /// Seconds since the Unix epoch.
    started_s: f64,
}

impl Collector for Figures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let (seconds, nanoseconds) = (cpu.tv_sec as f64, cpu.tv_nsec as f64);
        let cpu_s = ConstCounter::new(seconds + nanoseconds / 1e9);
        let help = "User and system time of the supervisor";
        one(&mut to, "process_cpu", Some(&Unit::Seconds), help, &cpu_s)?;
        let gauge = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the supervisor that is resident";
            one(&mut to, "process_resident_memory", Some(&Unit::Bytes), help, &gauge(bytes))?;
        }
        if let Some(open) = open_files() {
            one(&mut to, "process_open_fds", None, "Open files of the supervisor", &gauge(open))?;
        }
        if let Some(most) = open_files_limit() {
            let help = "The limit of open files of the supervisor";
            one(&mut to, "process_max_fds", None, help, &gauge(most))?;
        }
        let dropped = ConstCounter::new(dropped_lines());
        let help = "Lines of the log that were dropped because standard error was not read";
        one(&mut to, "cc_executor_log_lines_dropped", None, help, &dropped)?;
        let help = "Panics, each of which is a mistake of this program";
        one(&mut to, "cc_executor_panics", None, help, &ConstCounter::new(panics::count()))?;
        let help = "When the supervisor was started, since the Unix epoch";
        let started = ConstGauge::new(self.started_s);
        one(&mut to, "process_start_time", Some(&Unit::Seconds), help, &started)
    }
}

fn one(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    unit: Option<&Unit>,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

/// The second number of proc_pid_statm(5), in pages.
#[must_use]
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

/// How many files may be open at once.
#[must_use]
pub(crate) fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many files are open. Since Linux 6.2 the size of the directory says it; before, it is counted.
#[must_use]
pub(crate) fn open_files() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.len() {
        0 => Some(fs::read_dir(DIRECTORY).ok()?.count() as u64),
        count => Some(count),
    }
}
