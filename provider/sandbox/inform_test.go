//go:build linux

package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// TestInform: what a sandbox is and uses is its own, not the machine's.
func TestInformAsUser(t *testing.T) {
	if asUser(t) {
		j := newJail(t, sandbox.Options{})
		informer, _ := provider.As[provider.FactReader](j.conn)
		u, err := informer.Usage(t.Context())
		if err != nil || u.Memory <= 0 || u.Memory > 200<<20 || u.Processes < 1 || u.Processes > 10 ||
			u.CPU > time.Minute || u.OOMKills != 0 {
			t.Errorf("usage %+v, %v", u, err)
		}
	}
}

func TestInform(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("inform: an ordinary user has no control group here")
	}
	j := newJail(t, sandbox.Options{Memory: 100 << 20, Cores: 1})
	informer, ok := provider.As[provider.FactReader](j.conn)
	if !ok {
		t.Fatal("it does not tell")
	}
	f, err := informer.Facts(t.Context())
	if err != nil || f.Memory != 100<<20 || f.Cores != 1 || f.OS != "linux" {
		t.Errorf("facts %+v, %v", f, err)
	}
	u, err := informer.Usage(t.Context())
	if err != nil || u.Memory <= 0 || u.Memory > 100<<20 || u.Processes < 1 || u.Processes > 5 || u.CPU <= 0 || u.CPU > time.Minute {
		t.Errorf("usage %+v, %v", u, err)
	}
}

// TestShares: what must not be shared is refused, and says why.
func TestShares(t *testing.T) {
	state := t.TempDir()
	dir, link := t.TempDir(), ""
	for _, c := range []struct {
		o    sandbox.Options
		want string
	}{
		{sandbox.Options{State: []string{state}, Mounts: []string{filepath.Dir(state) + ":/x:rw"}}, "hostler's own"},
		{sandbox.Options{Mounts: []string{filepath.Join(dir, "missing")}}, "no such file"},
	} {
		c.o.Dir = t.TempDir()
		p := open(t, c.o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "shares"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("mounts = %v: %v", c.o.Mounts, err)
		}
		gone(t, p, "shares")
	}
	if os.Geteuid() != 0 {
		return
	}
	link = filepath.Join(dir, "link")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	p := open(t, sandbox.Options{Dir: t.TempDir(), Mounts: []string{link + ":/x:rw"}})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "shares"}); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("a link that anybody can make: %v", err)
	}
	gone(t, p, "shares")
}
