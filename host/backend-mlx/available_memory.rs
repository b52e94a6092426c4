//! How much memory the system could give, where it says so: on Linux.

use std::fs;
use std::path::Path;

/// Bytes that can be had without paging, within the limits of the control groups that this process is in.
pub(crate) fn available_memory() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_available(&text));
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    system.into_iter().chain(left_in_groups(Path::new("/sys/fs/cgroup"), &membership)).min()
}

/// The line `MemAvailable: 1234 kB` of /proc/meminfo.
fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The files in which a control group tells its memory, by the kernel's documentation of the two versions (cgroup-v2,
/// cgroup-v1/memory).
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// The line of `memory.stat` that counts pages of files, which the system takes back first.
    reclaimable: &'static str,
}

const VERSION_1: GroupFiles =
    GroupFiles { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", reclaimable: "total_inactive_file " };
const VERSION_2: GroupFiles = GroupFiles { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file " };

/// Bytes left in the fullest of the control groups of /proc/self/cgroup, whose lines are `0::/group` in version 2 and
/// `4:memory:/group` in version 1.
fn left_in_groups(mount: &Path, membership: &str) -> Option<u64> {
    let left = membership.lines().filter_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let (root, files) = if controllers.is_empty() {
            (mount.to_path_buf(), VERSION_2)
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (mount.join("memory"), VERSION_1)
        } else {
            return None;
        };
        // Limits of the groups around it hold too. In a container the inner ones may be out of sight, and the root is
        // the container's own.
        let folder = root.join(group.trim_start_matches('/'));
        let groups = folder.ancestors().take_while(|folder| folder.starts_with(&root));
        groups.filter_map(|folder| left_in_group(folder, &files)).min()
    });
    left.min()
}

/// None where the group has no limit.
fn left_in_group(folder: &Path, files: &GroupFiles) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(files.reclaimable)?.parse::<u64>().ok());
    let used = number(files.used)?.saturating_sub(reclaimable.unwrap_or(0));
    Some(number(files.limit)?.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24648656 kB\nMemFree:  1 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(parse_available(meminfo), Some(23_000_000 * 1024));
        assert_eq!(parse_available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_fullest_control_group_bounds_it() {
        let mount = tempfile::tempdir().unwrap();
        let group = |path: &str, files: &[(&str, &str)]| {
            let folder = mount.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
        };
        let stat = ("memory.stat", "anon 5\ninactive_file 100\n");
        group("pod", &[("memory.max", "1000\n"), ("memory.current", "700\n"), stat]);
        group("pod/free", &[("memory.max", "max\n"), ("memory.current", "600\n"), stat]);
        group("pod/tight", &[("memory.max", "500\n"), ("memory.current", "450\n"), stat]);
        group("memory/job", &[("memory.limit_in_bytes", "300\n"), ("memory.usage_in_bytes", "310\n")]);
        let left = |membership: &str| left_in_groups(mount.path(), membership);
        assert_eq!(left("0::/pod/free\n"), Some(400), "the group around it has a limit");
        assert_eq!(left("0::/pod/tight\n"), Some(150));
        assert_eq!(left("0::/out/of/sight\n"), None);
        assert_eq!(left("3:cpuset:/job\n4:cpu,memory:/job\n0::/\n"), Some(0));
        assert_eq!(left("no line of the kernel's"), None);
    }
}
