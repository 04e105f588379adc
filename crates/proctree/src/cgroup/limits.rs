//! What a leaf's members may use together, by the controllers of the hierarchy
//! (Documentation/admin-guide/cgroup-v2.rst of the kernel).

use std::{fs, io::Write as _, path::Path};

use super::{Leaf, error::CgroupError};

/// The period to which a quota of CPU time belongs, microseconds: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// The controllers that tasks' limits need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    pub memory: bool,
    pub pids: bool,
    pub cpu: bool,
}

impl Controllers {
    /// Gives the leaves in `parent` those that are set, as far as the hierarchy lets it: they must be there, and no process
    /// may be in the directories above the leaves. Returns those that the leaves have.
    #[must_use]
    pub fn enable(self, parent: &Path) -> Self {
        let directories = parent.parent().into_iter().chain([parent]);
        for path in directories.map(|directory| directory.join("cgroup.subtree_control")) {
            for name in self.names() {
                // One at a time: a list is taken whole or not at all.
                let writing = fs::File::options().write(true).open(&path);
                drop(writing.and_then(|mut file| file.write_all(format!("+{name}").as_bytes())));
            }
        }
        let enabled = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
        let is_enabled = |name: &str| enabled.split_whitespace().any(|enabled| enabled == name);
        Self {
            memory: self.memory && is_enabled("memory"),
            pids: self.pids && is_enabled("pids"),
            cpu: self.cpu && is_enabled("cpu"),
        }
    }

    /// As the kernel calls them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.memory, "memory"), (self.pids, "pids"), (self.cpu, "cpu")];
        all.into_iter().filter_map(|(is_set, name)| is_set.then_some(name))
    }
}

impl Leaf {
    /// Memory that all members have together. Where they need more, the kernel kills all of them.
    ///
    /// # Errors
    /// When the leaf has no such controller.
    pub fn limit_memory(&self, bytes: u64) -> Result<(), CgroupError> {
        self.write("memory.max", bytes.to_string().as_bytes())?;
        // Absent on old kernels: then it kills one member.
        drop(self.write("memory.oom.group", b"1"));
        // Else it would be a limit of what is not swapped out. Absent without swap accounting.
        drop(self.write("memory.swap.max", b"0"));
        Ok(())
    }

    /// Processes and threads at once.
    ///
    /// # Errors
    /// When the leaf has no such controller.
    pub fn limit_processes(&self, processes: u64) -> Result<(), CgroupError> {
        self.write("pids.max", processes.to_string().as_bytes())
    }

    /// CPU time, in hundredths of one CPU.
    ///
    /// # Errors
    /// When the leaf has no such controller.
    pub fn limit_cpu(&self, percent: u64) -> Result<(), CgroupError> {
        let quota = percent.saturating_mul(CPU_PERIOD_US / 100);
        self.write("cpu.max", format!("{quota} {CPU_PERIOD_US}").as_bytes())
    }

    /// How many members the kernel has killed for lack of memory; `None` where that is not counted.
    #[must_use]
    pub fn out_of_memory_kills(&self) -> Option<u64> {
        let events = fs::read_to_string(self.path().join("memory.events")).ok()?;
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        count.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that has the files of a leaf with these controllers, as the kernel makes them.
    fn leaf(files: &[(&str, &str)]) -> (tempfile::TempDir, Leaf) {
        let temporary = tempfile::tempdir().unwrap();
        let leaf = Leaf::create(temporary.path().join("leaf")).unwrap();
        for (name, text) in files {
            fs::write(leaf.path().join(name), text).unwrap();
        }
        (temporary, leaf)
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let files = ["memory.max", "memory.oom.group", "memory.swap.max", "pids.max", "cpu.max"];
        let (_temporary, leaf) = leaf(&files.map(|name| (name, "")));
        leaf.limit_memory(1 << 30).unwrap();
        leaf.limit_processes(64).unwrap();
        leaf.limit_cpu(150).unwrap();
        let written = files.map(|name| fs::read_to_string(leaf.path().join(name)).unwrap());
        assert_eq!(written, ["1073741824", "1", "0", "64", "150000 100000"]);
    }

    #[test]
    fn a_leaf_without_a_controller_says_so() {
        let (_temporary, leaf) = leaf(&[]);
        assert!(leaf.limit_memory(1).is_err());
        assert!(leaf.limit_processes(1).is_err());
        assert!(leaf.limit_cpu(1).is_err());
        assert_eq!(leaf.out_of_memory_kills(), None);
    }

    #[test]
    fn what_the_kernel_killed_for_lack_of_memory_is_counted() {
        let events = "low 0\nhigh 0\nmax 21\noom 3\noom_kill 2\noom_group_kill 1\n";
        let (_temporary, leaf) = leaf(&[("memory.events", events)]);
        assert_eq!(leaf.out_of_memory_kills(), Some(2));
    }

    #[test]
    fn only_controllers_that_the_leaves_really_have_count() {
        let temporary = tempfile::tempdir().unwrap();
        let parent = temporary.path().join("parent");
        fs::create_dir(&parent).unwrap();
        fs::write(parent.join("cgroup.subtree_control"), "").unwrap();
        let all = Controllers { memory: true, pids: true, cpu: true };
        // A plain file keeps what was written last, and the kernel what it has.
        let enabled = all.enable(&parent);
        assert_eq!(enabled, Controllers::default());
        let written = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap();
        assert!(written.starts_with("+cpu"), "{written}");
    }
}
