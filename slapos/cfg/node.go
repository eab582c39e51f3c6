package cfg

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// NodeConfig says what a node agent works with: the section [slapos] of a slapos.cfg.
type NodeConfig struct {
	Computer     string // its ID
	Master       string // URL
	SoftwareRoot string
	InstanceRoot string

	KeyFile, CertFile string // the node's identity; both or none
	CAFile            string // authorities for the master's certificate; "": this machine's
	Certificates      string // directory of the partitions' certificates; "" is none

	// directories of parts that releases share; the last one may be written to
	SharedParts    []string
	BuildTimeParts []string
	Buildout       string // the program that bootstraps; "" is buildout on PATH
	InstanceHome   string // more storage of partitions
	GlobalIPv4     string

	PartitionTimeout time.Duration // 0 is no limit
	PromiseTimeout   time.Duration
	// after so long an instance is processed though nothing has changed; 0 each time, less than 0
	// never
	Periodicity  time.Duration
	MaxDelay     time.Duration // before a pass it waits at random up to so long
	SoftwareFree int64         // bytes that must be free before a release is built
	InstanceFree int64         // and before an instance is processed

	NoSupervisor bool // commands do not start the supervisor when they need it
	ForceStop    bool
	// RestartServices: restart a partition's services (etc/service) that end by themselves, and
	// process its tree if that does not help. Else its tree is processed at once, as with SlapOS.
	RestartServices bool
	Develop         bool
	RootCheck       bool // only root may run the passes
	Managers        []string
	PowerUsers      []string

	PIDFile, PIDSoftware, PIDInstance, PIDReport string
	LogFile                                      string
	CollectDays                                  int
}

// Node reads a node's settings. Required ones may be missing, as options of a command may give
// them: see NodeConfig.Missing.
func (f *File) Node() (*NodeConfig, error) {
	const section = "slapos"
	n := &NodeConfig{RootCheck: true, RestartServices: true}
	for key, to := range map[string]*string{"computer_id": &n.Computer, "master_url": &n.Master,
		"software_root": &n.SoftwareRoot, "instance_root": &n.InstanceRoot, "key_file": &n.KeyFile,
		"cert_file": &n.CertFile, "master_ca_file": &n.CAFile, "certificate_repository_path": &n.Certificates,
		"buildout": &n.Buildout, "instance_storage_home": &n.InstanceHome,
		"ipv4_global_network": &n.GlobalIPv4, "pidfile": &n.PIDFile, "pidfile_software": &n.PIDSoftware,
		"pidfile_instance": &n.PIDInstance, "pidfile_report": &n.PIDReport, "log_file": &n.LogFile} {
		text, err := f.Text(section, key)
		if err != nil {
			return nil, err
		}
		if *to = strings.TrimSpace(text); key != "computer_id" && key != "master_url" && key != "ipv4_global_network" {
			*to = Home(*to)
		}
	}
	for key, to := range map[string]*[]string{"shared_part_list": &n.SharedParts, "build_time_part_list": &n.BuildTimeParts} {
		lines, err := f.Lines(section, key)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			*to = append(*to, Home(line))
		}
	}
	for key, to := range map[string]*[]string{"manager_list": &n.Managers, "power_user_list": &n.PowerUsers} {
		text, err := f.Text(section, key)
		if err != nil {
			return nil, err
		}
		*to = strings.Fields(text)
	}
	for _, one := range []struct {
		key  string
		to   *bool
		deft bool
	}{
		{"forbid_supervisord_automatic_launch", &n.NoSupervisor, false}, {"restart_services", &n.RestartServices, true},
		{"force_stop", &n.ForceStop, false}, {"develop", &n.Develop, false}, {"root_check", &n.RootCheck, true},
	} {
		var err error
		if *one.to, err = f.Bool(section, one.key, one.deft); err != nil {
			return nil, err
		}
	}
	for _, one := range []struct {
		key  string
		to   *time.Duration
		deft time.Duration
		less bool // it may be less than 0
	}{
		{"partition_timeout", &n.PartitionTimeout, 0, false},
		{"promise_timeout", &n.PromiseTimeout, 20 * time.Second, false},
		{"maximum_periodicity", &n.Periodicity, 24 * time.Hour, true}, {"maximal_delay", &n.MaxDelay, 0, false},
	} {
		seconds, err := f.number(section, one.key, one.deft.Seconds(), one.less)
		if err != nil {
			return nil, err
		}
		*one.to = time.Duration(seconds * float64(time.Second))
	}
	days, err := f.number(section, "collect_cache", 15, false)
	if err != nil {
		return nil, err
	}
	n.CollectDays = int(days)
	for key, to := range map[string]*int64{"software_min_free_space": &n.SoftwareFree, "instance_min_free_space": &n.InstanceFree} {
		if *to, err = f.Size(section, key, 1000<<20); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Missing says which keys a node cannot do without, and has not: a sentence, or "".
func (n *NodeConfig) Missing() string {
	var missing []string
	for _, one := range []struct{ key, value string }{
		{"computer_id", n.Computer}, {"instance_root", n.InstanceRoot}, {"master_url", n.Master},
		{"software_root", n.SoftwareRoot},
	} {
		if one.value == "" {
			missing = append(missing, one.key)
		}
	}
	switch {
	case len(missing) > 0:
		return "the section [slapos] lacks " + strings.Join(missing, ", ")
	case (n.KeyFile == "") != (n.CertFile == ""), n.Certificates != "" && n.KeyFile == "":
		return "key_file, cert_file and certificate_repository_path go together, and not all of them are there"
	case !filepath.IsAbs(n.InstanceRoot) || !filepath.IsAbs(n.SoftwareRoot):
		return "instance_root and software_root are absolute paths"
	}
	return ""
}

// Bool is the value of a key that is true or false, in any case.
func (f *File) Bool(section, key string, deft bool) (bool, error) {
	text, err := f.Text(section, key)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "":
		return deft, nil
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, f.Fail(section, key, "is neither true nor false")
}

// Seconds is a key's time in seconds, which is not less than 0.
func (f *File) Seconds(section, key string, deft time.Duration) (time.Duration, error) {
	n, err := f.number(section, key, deft.Seconds(), false)
	return time.Duration(n * float64(time.Second)), err
}

// number is a key's number.
func (f *File) number(section, key string, deft float64, less bool) (float64, error) {
	text, err := f.Text(section, key)
	if err != nil || strings.TrimSpace(text) == "" {
		return deft, err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(n) || math.Abs(n) > 1e9 || n < 0 && !less {
		return 0, f.Fail(section, key, "is no number that can be meant: %q", text)
	}
	return n, nil
}

// Size is a key's number of bytes: K, M, G and T are powers of 1024.
func (f *File) Size(section, key string, deft int64) (int64, error) {
	text, err := f.Text(section, key)
	text = strings.TrimSpace(text)
	if err != nil || text == "" {
		return deft, err
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(text), "B"), "I")
	unit := int64(1)
	if i := strings.IndexByte("KMGT", last(digits)); i >= 0 {
		digits, unit = digits[:len(digits)-1], int64(1)<<(10*(i+1))
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*float64(unit) > 1<<60 {
		return 0, f.Fail(section, key, "is no size, as 500M or 2G: %q", text)
	}
	return int64(n * float64(unit)), nil
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}
