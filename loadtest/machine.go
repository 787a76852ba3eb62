package loadtest

import (
	"bufio"
	"os"
	"runtime"
	"strings"
)

// Machine is where the load came from; a server on the same machine shares it.
type Machine struct {
	CPUs int    `json:"cpus"`
	CPU  string `json:"cpu"` // model, or the architecture when it is not known
	OS   string `json:"os"`
	Go   string `json:"go"`
}

func thisMachine() Machine {
	return Machine{
		CPUs: runtime.GOMAXPROCS(0),
		CPU:  cpuModel(),
		OS:   runtime.GOOS + "/" + runtime.GOARCH,
		Go:   runtime.Version(),
	}
}

// cpuModel reads Linux's description of the first CPU.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close() //nolint:errcheck // Nothing was written.
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, model, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}
