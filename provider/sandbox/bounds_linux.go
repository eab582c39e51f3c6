package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// What a sandbox needs to begin at all, with something left for a command.
const (
	leastMemory = 32 << 20 // bytes
	leastDisk   = 1 << 20  // bytes
	leastPIDs   = 64
)

// bounds says which limit of a source cannot be.
func (o *Options) bounds() error {
	switch cores := runtime.NumCPU(); {
	case o.Cores < 0 || o.Cores > float64(cores):
		return fmt.Errorf("cores = %v: more than 0, up to the %d that this machine has", o.Cores, cores)
	case o.Memory != 0 && o.Memory < leastMemory:
		return fmt.Errorf("memory = %s: at least %s, as the sandbox's own process needs some", size(o.Memory), size(leastMemory))
	case o.Memory > installed():
		return fmt.Errorf("memory = %s: at most the %s that this machine has", size(o.Memory), size(installed()))
	case o.Disk != 0 && o.Disk < leastDisk:
		return fmt.Errorf("disk = %s: at least %s, as the sandbox's own files need some", size(o.Disk), size(leastDisk))
	case o.PIDs != 0 && o.PIDs < leastPIDs:
		return fmt.Errorf("pids = %d: at least %d, as the sandbox's own process needs some thirty", o.PIDs, leastPIDs)
	case o.Upper == "disk" && o.Disk > 0 && os.Geteuid() != 0:
		return errors.New("disk = " + size(o.Disk) + ": only root can limit what is written with upper = disk")
	}
	return nil
}

// size writes a number of bytes for people, as sources have it: 512M, 1.5G.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 0 {
		return "-" + size(-n)
	}
	v, unit := float64(n), ""
	for i := 0; v >= 1024 && i < len(units); i++ {
		v, unit = v/1024, units[i:i+1]
	}
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10) + unit
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + unit
}
