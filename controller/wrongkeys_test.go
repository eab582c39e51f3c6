package controller

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/catalog"
)

// TestWrongKeys: what the providers' own options refuse is known where a configuration is looked
// at, with file and line, without anything being opened.
func TestWrongKeys(t *testing.T) {
	// each the one line that is wrong, of a file that is good otherwise
	table := map[string][]string{
		"chroot": {"layer = both", "base = here"},
		"container": {
			"pull = sometimes", "network = a/b", "env = novalue", "mounts = x", "ports = x", "ulimits = x",
			"memory = 1K", "cores = -1",
		},
		"ec2": {
			"spot = maybe", "type-match = (", "flavor-sets = (", "prices = dear", "tags = aws:x=y", "max-price = 1",
			"endpoint = x", "cores = -1", "ssh-port = 99999", "user = a b",
		},
		"fake":   {"fail-create = often", "boot = -1s", "capacity = -1", "run = away", "state = gas"},
		"ironic": {"host-key = none", "rate-limit = -1", "deploy-timeout = -1s", "user-data = x", "properties = ~", "capabilities = ~"},
		"kubernetes": {
			"volumes = foo:bar", "tolerations = a b", "env = novalue", "labels = x", "annotations = x",
			"node-selector = x", "kind = cow", "warm = 1", "warm-pool = x", "cores = -1", "kubeconfig = x",
			"template = x", "egress = x", "namespace = A",
		},
		"openstack": {
			"host-key = none", "stop = go", "flavor-order = x", "floating-ip-pool = x", "identity-file = x",
			"user-data = x", "metadata = x", "flavor-sets = (", "flavor-regex = (", "disk = -1",
		},
		"sandbox": {
			"upper = lower", "network = web", "image = ./x", "cores = -1", "memory = 1K", "disk = 1K", "pids = 3",
			"mounts = x", "tree = x", "ports = x",
		},
		"ssh": {"hosts = -x", "hosts = a, a"},
		"vm": {
			"image = ./x", "kernel = x", "initrd = /x", "machine = q36", "accel = full", "network = none of it",
			"ports = x", "agent = smith", "cores = -1", "memory = 1M", "disk = -1", "io = 1K", "iops = 1", "user = a b",
		},
		"local": nil, // it has no keys
	}
	kinds := append(host.Kinds(), clouds.Kinds()...)
	for _, typ := range kinds.Names(func(k *catalog.Kind) bool { return k.Check != nil }) {
		wrong, known := table[typ]
		if !known {
			t.Errorf("nothing is tried of type %s", typ)
		}
		for _, line := range wrong {
			if runtime.GOOS != "linux" && (typ == "sandbox" || typ == "vm") {
				continue
			}
			text := "type = " + typ + "\n[" + typ + "]\n"
			if typ == "chroot" && !strings.HasPrefix(line, "base") {
				text += "base = /\n"
			}
			text += "# what follows is wrong\n" + line + "\n"
			dir := t.TempDir()
			file := filepath.Join(dir, "sources", "bad", "source.conf")
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.LoadOptions{Dir: dir, ConfigDir: dir, Kinds: kinds})
			if err != nil {
				t.Fatal(err)
			}
			s, err := cfg.Source("bad")
			if err != nil || s.Err != nil {
				t.Fatalf("%s: %s: %v, %v: the file is to be good but for a value", typ, line, err, s.Err)
			}
			err = check.FaultOf(s)
			at, ok := errors.AsType[*config.Error](err)
			if !ok || at.File != file || at.Line != strings.Count(text, "\n") || !errors.Is(host.ConfigError(err), compute.ErrInvalid) {
				t.Errorf("%s: %s: %v, want an error of line %d of the file", typ, line, err, strings.Count(text, "\n"))
			}
		}
	}
}

// TestWrongKeyReload: a source that a reload finds with such a key, or with one that names what is
// not there, goes on as it was.
func TestWrongKeyReload(t *testing.T) {
	// which is not there yet, and no reason to refuse a context of it
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "later"))
	kinds := append(host.Kinds(), clouds.Kinds()...)
	for _, line := range []string{"volumes = foo:bar", "template = /no/such/file", "kubeconfig = KUBECONFIG"} {
		dir := t.TempDir()
		if config := filepath.Join(dir, "config"); strings.HasPrefix(line, "kubeconfig") {
			line = "kubeconfig = " + config
			if err := os.WriteFile(config, []byte("{a: ["), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, "sources", "pods", "source.conf")
		read := func(text string) *config.Config {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.LoadOptions{Dir: dir, ConfigDir: dir, Kinds: kinds})
			if err != nil {
				t.Fatal(err)
			}
			return cfg
		}
		key, _, _ := strings.Cut(line, " ")
		was := read("type = kubernetes\n[kubernetes]\nimage = a\ncontext = there\n")
		now := read("type = kubernetes\n[kubernetes]\nimage = a\n" + line + "\n")
		faults := faultsOf(now)
		keepGood(was, now, faults)
		s, err := now.Source("pods")
		if err != nil || s.Settings[key] != "" || len(faults) != 1 || !faults[0].kept ||
			!strings.Contains(faults[0].err().Error(), file+":4: ") {
			t.Errorf(
				"after a reload with %s: %v, %v, faults %v; want the source as it was, and the fault with file and line",
				line, s.Settings, err, faults,
			)
		}
	}
}
