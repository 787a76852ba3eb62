package measure

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryGiB  int    `json:"memory_gib"`
	OS         string `json:"os"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the data directories
	Go         string `json:"go"`
}

// ThisMachine describes the machine, and the file system of a directory.
func ThisMachine(dir string) (Machine, error) {
	fileSystem, err := FileSystem(dir)
	if err != nil {
		return Machine{}, err
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return Machine{}, fmt.Errorf("sysinfo: %w", err)
	}
	return Machine{
		CPU:        fieldOf("/proc/cpuinfo", "model name", ":"),
		Cores:      runtime.NumCPU(),
		MemoryGiB:  int((info.Totalram*uint64(info.Unit) + 1<<29) >> 30),
		OS:         strings.Trim(fieldOf("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Kernel:     fieldOf("/proc/sys/kernel/osrelease", "", ""),
		FileSystem: fileSystem,
		Go:         runtime.Version(),
	}, nil
}

// fieldOf returns what follows a name and a separator in a line of a file, or
// "unknown".
func fieldOf(path, name, separator string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), name)
		value, separated := strings.CutPrefix(strings.TrimSpace(rest), separator)
		if found && separated {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// fileSystems are the numbers of statfs(2).
var fileSystems = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs",
	0x01021994: "tmpfs", 0x794c7630: "overlay", 0x858458f6: "ramfs",
}

// FileSystem names the kind of file system that a directory is on.
func FileSystem(dir string) (string, error) {
	var info syscall.Statfs_t
	if err := syscall.Statfs(dir, &info); err != nil {
		return "", fmt.Errorf("statfs %s: %w", dir, err)
	}
	if name, ok := fileSystems[info.Type]; ok {
		return name, nil
	}
	return fmt.Sprintf("type %#x", info.Type), nil
}

// DiskBytes is what the files below a directory take on the disk.
func DiskBytes(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += stat.Blocks * 512
		}
		return nil
	})
	return sum, err
}
