package result

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where the load came from; a server on the same machine shares it.
type Machine struct {
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu"`          // model, or the architecture when it is not known
	Memory int64  `json:"memory_bytes"` // 0 when it is not known
	OS     string `json:"os"`
	Kernel string `json:"kernel"` // "" when it is not known
	Go     string `json:"go"`
}

// ThisMachine describes the machine that this process runs on. What only Linux
// tells is left out elsewhere.
func ThisMachine() Machine {
	m := Machine{
		CPUs: runtime.GOMAXPROCS(0),
		CPU:  runtime.GOARCH,
		OS:   runtime.GOOS + "/" + runtime.GOARCH,
		Go:   runtime.Version(),
	}
	if model := procValue("/proc/cpuinfo", "model name"); model != "" {
		m.CPU = model
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	if err == nil {
		m.Memory = kib << 10
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(kernel))
	}
	return m
}

// procValue returns what stands behind the first "name:" of a file, or "".
func procValue(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Lines describe the machine in two short lines.
func (m Machine) Lines() []string {
	hardware := fmt.Sprintf("%d x %s", m.CPUs, m.CPU)
	if m.Memory > 0 {
		hardware += fmt.Sprintf(", %s GiB", FormatNumber(float64(m.Memory)/(1<<30)))
	}
	software := m.OS
	if m.Kernel != "" {
		software += ", kernel " + m.Kernel
	}
	return []string{hardware, software + ", " + m.Go}
}
